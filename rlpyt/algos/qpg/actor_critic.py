"""A policy and its critics as losses use them: the online networks, and the target networks."""

from copy import deepcopy
from typing import Any, Literal, Self, final

import torch
from torch import Tensor, nn

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg.batch import QpgBatch, States, Steps
from rlpyt.algos.target import TargetUpdate
from rlpyt.models.critic import CriticModel
from rlpyt.models.policy import PolicyModel
from rlpyt.replays.batches import ReplaySequences
from rlpyt.utils.buffer import buffer_map

__all__ = ["ActorCritic", "TargetNetwork"]

TargetNetwork = Literal["policy", "critic"]
"""Which networks have a copy that follows them."""


@final
class ActorCritic:
    """π and Q_1 ... Q_n at N transitions, or at steps of N sequences; leading dimensions below are
    [...], which is [N] or [steps, N].
    """

    def __init__(
        self, agent: QpgAgent, policy: PolicyModel, critic: CriticModel, *, is_target: bool
    ) -> None:
        self._agent = agent
        self.policy = policy
        self.critic = critic
        self._is_target = is_target

    def target(
        self, names: tuple[TargetNetwork, ...], *, common: nn.Module | None = None
    ) -> tuple[Self, list[TargetUpdate]]:
        """The target networks, and what updates them: copies of those in ``names``; the others are
        the same networks. So is ``common``, a part of them.
        """
        kept = {} if common is None else {id(common): common}
        policy = deepcopy(self.policy, dict(kept)) if "policy" in names else self.policy
        critic = deepcopy(self.critic, dict(kept)) if "critic" in names else self.critic
        updates = []
        for copied, network in ((policy, self.policy), (critic, self.critic)):
            if copied is not network:
                for slow, fast in zip(copied.parameters(), network.parameters(), strict=True):
                    if slow is not fast:
                        slow.requires_grad_(False)
                updates.append(TargetUpdate(copied, network))
        return type(self)(self._agent, policy, critic, is_target=True), updates

    def states(self, batch: ReplaySequences, burn_in: int) -> States:
        """The recurrent states behind the burn-in: the policy's from the recorded ones on, the
        critics' from zero on.
        """
        inputs = batch.agent_inputs[:burn_in]
        policy, critic = batch.init_rnn_state, self.critic.initial_state(batch.return_.shape[1])
        if burn_in:
            with torch.no_grad():
                policy = self.policy(*inputs, policy)[1]
                critic = self.critic.next_state(inputs, critic)
        return States(policy, critic)

    def _states(self, steps: Steps) -> States:
        return steps.target_states if self._is_target else steps.states

    def q(self, steps: Steps, action: Tensor | None = None) -> Tensor:
        """Q_i(s, a), [n, ...]; Discrete: Q_i(s, ·), [n, ..., A]."""
        q = self.quantiles(steps, action)
        return q if action is None else q.squeeze(-1)

    def quantiles(self, steps: Steps, action: Tensor | None) -> Tensor:
        """All outputs of the critics for (s, a), [n, ..., M]."""
        found: Tensor = self.critic(*steps.inputs, self._states(steps).critic, action)
        return found

    def joint_q(self, batch: QpgBatch, next_action: Tensor) -> tuple[Tensor, Tensor]:
        """Q_i(s, a) and Q_i(s', a'), each [n, N], normalised as one batch by its statistics."""
        inputs = buffer_map(_join, batch.now.inputs, batch.following.inputs)
        action = _join(batch.action, next_action)
        states = self._states(batch.now)
        q: Tensor = self.critic(*inputs, states.critic, action, train=True).squeeze(-1)
        now, following = q.chunk(2, dim=1)
        return now, following

    def sample(self, steps: Steps, noise: Tensor, *, train: bool = False) -> tuple[Tensor, Tensor]:
        """An action a ~ π(·|s) of a Gaussian policy, [..., *shape], and log π(a|s), [...]."""
        state = self._states(steps).policy
        return self._agent.sample(steps.inputs, state, noise, model=self.policy, train=train)

    def mean_action(self, steps: Steps, noise: Tensor | None = None) -> Tensor:
        """The action μ(s) of a deterministic policy plus noise, in bounds, [..., *shape]."""
        state = self._states(steps).policy
        return self._agent.mean_action(steps.inputs, state, noise, model=self.policy)

    def log_probabilities(self, steps: Steps) -> Tensor:
        """All log π(·|s) of a categorical policy, [..., A]."""
        state = self._states(steps).policy
        return self._agent.log_probabilities(steps.inputs, state, model=self.policy)

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers of both."""
        return {"policy": self.policy.state_dict(), "critic": self.critic.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and buffers."""
        self.policy.load_state_dict(state["policy"])
        self.critic.load_state_dict(state["critic"])


def _join(one: Tensor, other: Tensor) -> Tensor:
    return torch.cat([one, other])
