"""The rewards that a policy gradient learns from: the environment's, as they are or normalised, and
intrinsic ones.
"""

from typing import Any, ClassVar, Protocol, final

import torch
from torch import Tensor

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.pg.batch import LossInputs, RewardNormalizer
from rlpyt.data import AgentInputs, BatchSpec, OptInfo, Samples
from rlpyt.ops.returns import generalized_advantage_estimation
from rlpyt.rewards.samples import samples_of
from rlpyt.utils.buffer import buffer_map, buffer_to
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["LearnedRewards", "RewardSettings"]


class RewardSettings(Protocol):
    """The fields of an algorithm that are read here."""

    discount: float
    normalize_reward: bool
    reward_clip: float
    intrinsic: IntrinsicRewards | None
    two_values: ClassVar[bool]


@final
class LearnedRewards:
    """From a batch to its rewards; with intrinsic ones that have a value of their own, from
    advantages to the sum of both kinds'.
    """

    def __init__(
        self,
        algo: RewardSettings,
        agent: PgAgent,
        batch_spec: BatchSpec,
        *,
        seed: int,
        world: World,
    ) -> None:
        """As the settings of ``algo`` say.

        Raises:
            RlpytError: ``config``, where model, loss and settings do not go together.
        """
        intrinsic = algo.intrinsic
        self._agent = agent
        self._normalizer = None
        if algo.normalize_reward:
            self._normalizer = RewardNormalizer(
                batch_spec.B, algo.discount, algo.reward_clip, world
            )
        self._intrinsic = intrinsic
        self._bonus: Tensor | None = None
        if intrinsic is not None:
            intrinsic.initialize(
                agent.env_spaces,
                batch_spec,
                seed=seed,
                device=agent.device,
                world=world,
                two_values=algo.two_values,
            )
        _check(agent, intrinsic)

    def __call__(self, itr: int, samples: Samples) -> Tensor:
        """The rewards [T, B] of iteration ``itr``'s batch; without those that have a value of their
        own, which :meth:`joined` adds.
        """
        reward = samples.reward if self._normalizer is None else self._normalizer(samples)
        if self._intrinsic is None:
            return reward
        self._intrinsic.begin(itr)
        if self._intrinsic.discount is None:
            return self._intrinsic.added(samples, reward)
        self._bonus = self._intrinsic.bonus(samples_of(samples))
        if self._intrinsic.extrinsic_weight == 0.0:  # nor shall its value move what is shared
            return torch.zeros_like(reward)
        return reward

    @torch.no_grad()
    def joined(self, batch: LossInputs, samples: Samples, gae_lambda: float) -> LossInputs:
        """``batch`` of ``samples`` with the advantages w A + A_intrinsic, and the intrinsic value's
        targets: of returns that go on through the ends of episodes. As it came with one value.

        Behind the last row stands its true next observation, also where an episode ended there:
        what the next one begins with comes with the next batch.
        """
        intrinsic, bonus, agent = self._intrinsic, self._bonus, self._agent
        if intrinsic is None or intrinsic.discount is None:
            return batch
        if samples.valid is not None:
            what = "algo.intrinsic.discount with environments that wait for the batch's end"
            hint = "returns through the ends of episodes need sampler.mid_batch_reset=True"
            raise RlpytError("config", what, hint=hint)
        assert bonus is not None
        state = buffer_to(agent.first_state(samples.agent_info), agent.device)
        value = agent.intrinsic_value(buffer_to(_with_last(samples), agent.device), state)
        bonus = bonus.to(value.device)
        never = torch.zeros_like(bonus, dtype=torch.bool)
        advantage = generalized_advantage_estimation(
            bonus, value[:-1], value[1:], never, intrinsic.discount, gae_lambda
        )
        return batch._replace(
            advantage=intrinsic.extrinsic_weight * batch.advantage + advantage,
            intrinsic_return=advantage + value[:-1],
        )

    def report(self) -> OptInfo:
        """Of intrinsic rewards, in this iteration; nothing without."""
        return {} if self._intrinsic is None else self._intrinsic.report()

    def state_dict(self) -> dict[str, Any]:
        """Statistics, and the intrinsic reward's everything."""
        return {
            "rewards": None if self._normalizer is None else self._normalizer.state_dict(),
            "intrinsic": None if self._intrinsic is None else self._intrinsic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        if self._normalizer is not None:
            self._normalizer.load_state_dict(state["rewards"])
        if self._intrinsic is not None:
            self._intrinsic.load_state_dict(state["intrinsic"])


def _with_last(samples: Samples) -> AgentInputs:
    """What the model saw, and what it sees after the batch: [T + 1, B, ...]."""
    observation, prev_action, prev_reward, reset = samples.agent_inputs

    def longer(leaf: Tensor, source: Tensor) -> Tensor:
        return torch.cat([leaf, source[-1:]])

    return AgentInputs(
        buffer_map(longer, observation, samples.final_observation),
        buffer_map(longer, prev_action, samples.action),
        longer(prev_reward, samples.reward),
        longer(reset, torch.zeros_like(reset)),
    )


def _check(agent: PgAgent, intrinsic: IntrinsicRewards | None) -> None:
    wanted = intrinsic is not None and intrinsic.discount is not None
    if wanted and not agent.model.has_intrinsic_value:
        what = "algo.intrinsic.discount, and the model has no value of intrinsic returns"
        hint = "set agent.model_kwargs.intrinsic_value=True as well"
        raise RlpytError("config", what, hint=hint)
    if agent.model.has_intrinsic_value and not wanted:
        what = "agent.model_kwargs.intrinsic_value=True, and nothing learns that value"
        raise RlpytError("config", what, hint="set algo.intrinsic.discount=0.99, or leave it out")
