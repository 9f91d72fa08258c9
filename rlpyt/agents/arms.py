"""The agent of NGU and Agent57: a family of policies, of which each episode plays one.

Badia et al. 2020a, "Never Give Up" (arXiv:2002.06038); Badia et al. 2020b, "Agent57"
(arXiv:2003.13350).

Differs from the papers: the previous intrinsic reward is no input of the network. It is computed by
the learner, which has the episodic memories, batch by batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.action_mask import has_action_mask
from rlpyt.agents.base import Agent, Exploration
from rlpyt.agents.dqn import EpsilonGreedy
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, Samples
from rlpyt.distributions.tensors import mask_logits
from rlpyt.models.armed_q import Armed, ArmedQModel, ArmedRnnState
from rlpyt.ops.arms import intrinsic_weights
from rlpyt.ops.q_learning import greedy_action
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.ranges import check_number
from rlpyt.utils.seed import seeded_init

__all__ = ["ArmAgent", "ArmInfo", "ArmState"]

_EXTRA_NOISE = 3  # behind the scores: ε, the environment's index, whether it trains


class ArmState(NamedArrayTuple):
    """What the agent knows in B episodes; zeros where one begins."""

    arm: Tensor  # [B] int64
    rnn: ArmedRnnState


class ArmInfo(NamedArrayTuple):
    """What is recorded of each step."""

    arm: Tensor  # [...] int64: the policy of this episode
    probability: Tensor  # [...] float32: μ(a|s), of the action taken
    prev_rnn_state: Any  # tree [..., ...], the networks' state that this step started from


@final
@dataclass(kw_only=True)
class ArmAgent(Agent):
    """Acts ε-greedily by the policy of an arm j: an intrinsic weight β_j and a discount γ_j.

    An episode keeps the arm that it starts with: the one that ``next_arm`` holds for its
    environment. That table goes to all processes with the parameters, and the algorithm writes it.
    Evaluations play ``evaluation_arm``, by default the first, which is paid for reward alone.
    """

    n_arms: int = 32  # N
    intrinsic_weight: float = 0.3  # β, of the last arm
    split: bool = False  # Q_e and Q_i by networks of their own, as in Agent57
    value_scale_eps: float = 1e-3  # ε of h
    model_kwargs: dict[str, Any] = field(default_factory=dict)  # of ArmedQModel.from_spaces
    epsilon: EpsilonGreedy = field(
        default_factory=lambda: EpsilonGreedy(final=0.4, final_min=0.4**8)
    )
    max_envs: int = 4096  # environments, over all processes, that there is an arm for
    model: ArmedQModel = field(init=False, repr=False, compare=False)
    env_spaces: EnvSpaces = field(init=False, repr=False, compare=False)
    weights: Tensor = field(init=False, repr=False, compare=False)  # β, [N] float32
    next_arm: Tensor = field(init=False, repr=False, compare=False)  # [max_envs] int64
    evaluation_arm: Tensor = field(init=False, repr=False, compare=False)  # [1] int64

    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Build the model for ``env_spaces``.

        Raises:
            RlpytError: ``config``, for a setting out of range.
        """
        for name in ("intrinsic_weight", "value_scale_eps"):
            check_number(f"agent.{name}", getattr(self, name), low=0.0)
        weights = intrinsic_weights(self.n_arms, self.intrinsic_weight)
        self.env_spaces = env_spaces
        build = ArmedQModel.from_spaces
        own: dict[str, Any] = {"n_arms": self.n_arms, "split": self.split}
        given = {name: f"agent.{name}" for name in own}
        kwargs = checked_arguments(
            build, self.model_kwargs, "agent.model_kwargs", positional=2, given=given
        )
        with seeded_init(seed):
            model = build(env_spaces.observation, env_spaces.action, **own, **kwargs)
        self.model = model.to(device)
        self._device = device
        self._n_actions = model.n_actions
        self._masked = has_action_mask(env_spaces.observation, model.n_actions)
        self.weights = torch.from_numpy(weights).float().to(device)
        self.next_arm = torch.arange(self.max_envs, device=device) % self.n_arms
        self.evaluation_arm = torch.zeros(1, dtype=torch.int64, device=device)

    def play_next(self, first: int, arms: Sequence[int]) -> None:
        """Environments ``first``, ``first + 1``, ... play ``arms`` in the episodes that they begin
        from now on.

        Raises:
            RlpytError: ``config``, for more environments than ``max_envs``.
        """
        self._check_envs(first + len(arms))
        following = torch.as_tensor(arms, dtype=torch.int64)
        self.next_arm[first : first + len(arms)].copy_(following)

    def _check_envs(self, n_envs: int) -> None:
        if n_envs > self.max_envs:
            what = f"{n_envs} environments, agent.max_envs={self.max_envs}"
            raise RlpytError("config", what, hint=f"set agent.max_envs={n_envs}")

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._device

    @property
    def noise_size(self) -> int:
        """Whether the action is random, one number per action, and what the arm depends on."""
        return 1 + self._n_actions + _EXTRA_NOISE

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Noise for ``leading`` actions, [*leading, 1 + A + 3] float32: 1 for a random action, else
        0; a number for each action, of which the greatest wins; ε; the environment's index; 1 in
        training, else 0.

        Raises:
            RlpytError: ``config``, for more environments than ``max_envs``.
        """
        self._check_envs(where.n_envs)
        noise = rng.random((*leading, self.noise_size), dtype=np.float32)
        epsilon = self.epsilon.at(where)
        noise[..., 0] = noise[..., 0] < epsilon
        noise[..., -3] = epsilon
        noise[..., -2] = where.env_index
        noise[..., -1] = where.steps is not None
        return noise

    def initial_state(self, B: int) -> ArmState:
        """The first arm, and no memory."""
        arm = torch.zeros(B, dtype=torch.int64, device=self.device)
        return ArmState(arm, self.model.initial_state(B))

    def step(
        self, inputs: AgentInputs, state: ArmState, noise: Tensor | None
    ) -> tuple[AgentStep, ArmState]:
        """Act in B environments: ε-greedily by ``noise``, greedily without."""
        arm = torch.where(inputs.reset, self._arm(noise, state.arm), state.arm)
        observed = inputs._replace(observation=Armed(arm, inputs.observation))
        outputs, rnn = self.model(*observed, state.rnn)
        scores = self.action_values(outputs, arm)
        greedy = self.greedy(scores, inputs.observation)
        action, probability = greedy, torch.ones_like(scores[:, 0])
        if noise is not None:
            drawn = self.greedy(noise[:, 1 : 1 + self._n_actions], inputs.observation)
            action = torch.where(noise[:, 0] > 0.0, drawn, greedy)
            probability = self._probability(action == greedy, noise[:, -3], inputs.observation)
        info = ArmInfo(arm, probability.float(), state)
        return AgentStep(action, info), ArmState(arm, rnn)

    def _arm(self, noise: Tensor | None, like: Tensor) -> Tensor:
        """The arm of an episode that begins now, [B]."""
        evaluation = self.evaluation_arm.expand_as(like)
        if noise is None:
            return evaluation
        return torch.where(noise[:, -1] > 0.0, self.next_arm[noise[:, -2].long()], evaluation)

    def _probability(self, is_greedy: Tensor, epsilon: Tensor, observation: Any) -> Tensor:
        """μ(a|s) = ε / n + (1 - ε) [a is greedy], n being the actions allowed, [B]."""
        mask = self.mask(observation)
        n = self._n_actions if mask is None else mask.sum(-1).clamp(min=1)
        return epsilon / n + (1.0 - epsilon) * is_greedy

    def act(
        self, inputs: AgentInputs, state: ArmState, noise: Tensor | None
    ) -> tuple[AgentStep, ArmState]:
        """As ``step``: nothing can wait."""
        return self.step(inputs, state, noise)

    def finish(self, samples: Samples) -> None:
        """Nothing was left out."""

    def value(self, inputs: AgentInputs, state: ArmState) -> Tensor:
        """max_a Q of the arm that is played, [B]."""
        observed = inputs._replace(observation=Armed(state.arm, inputs.observation))
        scores = self.action_values(self.model(*observed, state.rnn)[0], state.arm)
        mask = self.mask(inputs.observation)
        return (scores if mask is None else mask_logits(scores, mask)).amax(-1)

    def action_values(self, outputs: Any, arm: Tensor) -> Tensor:
        """Q that the policies of ``arm`` [...] act by, [..., A], on the scale of h."""
        return self.model.action_values(outputs, self.weights[arm], self.value_scale_eps)

    def greedy(self, scores: Tensor, observation: Any) -> Tensor:
        """The allowed action with the greatest of ``scores`` [..., A], [...] int64."""
        return greedy_action(scores, self.mask(observation))

    def mask(self, observation: Any) -> Tensor | None:
        """Which actions are allowed, [..., A] bool; None where all are."""
        return observation.action_mask.bool() if self._masked else None

    def state_dict(self) -> dict[str, Any]:
        """Parameters, and the arms that come next."""
        return {
            "model": self.model.state_dict(),
            "next_arm": self.next_arm,
            "evaluation_arm": self.evaluation_arm,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and arms."""
        self.model.load_state_dict(state["model"])
        self.next_arm.copy_(state["next_arm"])
        self.evaluation_arm.copy_(state["evaluation_arm"])
