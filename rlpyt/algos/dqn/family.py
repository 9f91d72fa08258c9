"""What NGU and Agent57 share: a replay of episodes that were played by the arms of a family of
policies, an intrinsic reward, and Retrace towards each arm's own greedy policy.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.arms import ArmAgent
from rlpyt.agents.base import Agent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn.armed_replay import (
    RetraceSteps,
    Unrolled,
    armed_inputs,
    cross_mixed,
    recorded,
    recorded_spaces,
)
from rlpyt.algos.dqn.base import Q_RANGES, QInfo, behind_burn_in, weighted_loss
from rlpyt.algos.opt_info import opt_info
from rlpyt.algos.optimizer import Compile, Precision, gradient_step
from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.replay_loop import ReplayLoop, recorded_state
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.algos.target import TargetUpdate
from rlpyt.data import BatchSpec, OptInfo, Samples
from rlpyt.models.armed_q import ArmedQModel
from rlpyt.replays.batches import ReplaySequences
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.rewards import ngu as novelty
from rlpyt.rewards.base import OF_THE_RUN
from rlpyt.rewards.samples import samples_of
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import (
    Stream,
    generator,
    generator_state,
    load_generator_state,
    seed_int,
)
from rlpyt.utils.world import World

__all__ = ["FamilyAlgorithm", "arm_generators"]

_UNIT = (0.0, 1.0)
_BELOW_ONE = (0.0, 0.999999)  # spaced by log(1 - γ)
_RANGES = {
    **Q_RANGES,
    "discount": _BELOW_ONE,
    "discount_min": _BELOW_ONE,
    "retrace_lambda": _UNIT,
    "cross_mixture": _UNIT,
}
_ARM_STREAM, _MIXTURE_STREAM = 2, 3  # of Stream.ALGO; 0 and 1 are algorithms' and replays'


def _replay() -> ReplayBuffer:
    return ReplayBuffer(
        size=1_000_000,
        sequence_length=80,
        burn_in=40,
        rnn_state_interval=40,
        prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6, eta=0.9),
    )


def arm_generators(places: range, seed: int) -> list[np.random.Generator]:
    """What arms are drawn by: a generator for each environment, by its global index."""
    return [generator(seed, Stream.ALGO, _ARM_STREAM, index) for index in places]


@dataclass(kw_only=True)
class FamilyAlgorithm(RlAlgorithm, ABC):
    """Off-policy learning of a family of policies (β_j, γ_j) from sequences.

    Each iteration computes the intrinsic rewards of one batch, in the order in which it was
    sampled, teaches the reward by the same batch, appends it to the replay, and takes as many
    gradient steps as ``replay_ratio`` asks for.
    """

    off_policy: ClassVar[bool] = True
    intrinsic: ClassVar[None] = None  # it has a reward of its own
    split: ClassVar[bool]  # whether Q_e and Q_i are networks of their own
    # What the settings that the algorithm adds may be, ends included.
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    # The discounts between which those of the arms lie, none greater than the one before.
    falling: ClassVar[Sequence[str]] = ("discount", "discount_min")

    discount: float = 0.997
    discount_min: float = 0.99  # of the last arm
    replay: ReplayBuffer = field(default_factory=_replay)
    batch_size: int = 64  # sequences
    min_steps_learn: int = 6_250 * 80  # environment steps; the papers count sequences
    replay_ratio: float = 1.0  # transitions learned from for each environment step
    retrace_lambda: float = 0.95  # λ
    cross_mixture: float = 0.0  # of the sequences, learned from for another arm than played them
    learning_rate: float = 1e-4
    learning_rate_schedule: Schedule = "constant"
    target_update_interval: int = 1_500  # gradient steps
    target_update_tau: float = 1.0
    clip_grad_norm: float | None = 40.0
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, Any] = field(default_factory=lambda: {"eps": 1e-4})
    reward_kwargs: dict[str, Any] = field(default_factory=dict)  # of rewards.NGU.from_spaces
    compile: Compile = False
    precision: Precision = "float32"

    @abstractmethod
    def discounts(self, n_arms: int) -> Any:
        """γ_j, [n_arms] float64."""

    @abstractmethod
    def begin(self, places: range, n_envs: int, seed: int) -> None:
        """Build what chooses the arms of the environments at global indices ``places``, of
        ``n_envs`` in all ranks, once the agent is bound.
        """

    @abstractmethod
    def choose_arms(self, samples: Samples) -> None:
        """Say which arms come next, knowing the batch [T, B]."""

    @abstractmethod
    def losses(self, batch: ReplaySequences) -> QLosses:
        """The paper's loss of each sequence, [N]."""

    @abstractmethod
    def arm_state(self) -> dict[str, Any]:
        """What chooses the arms, for a checkpoint."""

    @abstractmethod
    def load_arm_state(self, state: dict[str, Any]) -> None:
        """Go on with what :meth:`arm_state` found."""

    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the agent; allocate the replay; build the intrinsic reward for B environments."""
        self.check_settings({**_RANGES, **self.ranges})
        for longer, shorter in pairwise(self.falling):
            if getattr(self, longer) < getattr(self, shorter):
                what = f"algo.{shorter}={getattr(self, shorter)}, "
                what += f"algo.{longer}={getattr(self, longer)}"
                hint = f"later arms look less far ahead: use no more than algo.{longer}"
                raise RlpytError("config", what, hint=hint)
        self.agent = self._checked(agent)
        self._n_itr = n_itr
        self._world = world or World()
        self._discounts = torch.from_numpy(self.discounts(self.agent.n_arms)).float()
        self._discounts = self._discounts.to(self.agent.device)
        self._loop = ReplayLoop(
            self,
            self.agent,
            batch_spec,
            seed=seed,
            world=self._world,
            spaces=recorded_spaces(self.agent.env_spaces, self.agent.n_arms),
        )
        self.reward = self._build_reward(batch_spec.B, seed)
        self._gradient = gradient_step(self, self.agent.model, self._loss, world=self._world)
        self._rng = generator(seed, Stream.ALGO, _MIXTURE_STREAM, *self._world.keys)
        self.target: ArmedQModel = deepcopy(self.agent.model).requires_grad_(False)
        self._target_update = TargetUpdate(self.target, self.agent.model)
        self._updates = 0
        B, first = batch_spec.B, self._world.rank * batch_spec.B
        self.begin(range(first, first + B), B * self._world.size, seed)

    def _build_reward(self, n_envs: int, seed: int) -> novelty.NGU:
        spaces, build = self.agent.env_spaces, novelty.NGU.from_spaces
        kwargs = checked_arguments(
            build,
            self.reward_kwargs,
            "algo.reward_kwargs",
            positional=2,
            given=OF_THE_RUN,
        )
        key = seed_int(seed, Stream.REWARD)
        reward = build(spaces.observation, spaces.action, n_envs=n_envs, seed=key, **kwargs)
        reward = reward.to(self.agent.device)
        if self._world.size > 1:
            reward.join(self._world)
        return reward

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes that the replay takes when it is full."""
        agent = self._checked(agent)
        spaces = recorded_spaces(agent.env_spaces, agent.n_arms)
        return self.replay.forecast(spaces, B=batch_spec.B, prev_rnn_state=recorded_state(agent))

    def _checked(self, agent: Agent) -> ArmAgent:
        name = type(self).__name__
        if not isinstance(agent, ArmAgent):
            what = f"{name} learns a family of policies; the agent is a {type(agent).__name__}"
            raise RlpytError("config", what, hint="use an ArmAgent")
        if agent.split != self.split:
            what = f"agent.split={agent.split} does not fit {name}"
            raise RlpytError("config", what, hint=f"set agent.split={self.split}")
        if self.replay.sequence_length is None or self.replay.n_step_return != 1:
            n, length = self.replay.n_step_return, self.replay.sequence_length
            what = f"algo.replay.sequence_length={length}, n_step_return={n}"
            hint = f"{name} takes sequences of single steps: set a length, and n_step_return=1"
            raise RlpytError("config", what, hint=hint)
        return agent

    def updates_per_itr(self) -> int:
        """Gradient steps, on average."""
        return self._loop.updates_per_itr

    def samples_per_itr(self) -> int:
        """Transitions learned from."""
        return self._loop.samples_per_itr

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Pay for novelty in the batch [T, B] and append it; then the gradient steps due."""
        transitions = samples_of(samples)
        intrinsic = self.reward.compute(transitions)
        reports = self.reward.update(transitions)
        self.choose_arms(samples)
        learning_rate = scheduled(self.learning_rate, self.learning_rate_schedule, itr, self._n_itr)
        infos, norms = [], []
        for batch in self._loop.batches(itr, recorded(samples, intrinsic)):
            learned = cross_mixed(batch, self.agent.n_arms, self.cross_mixture, self._rng)
            (info, priority), norm = self._gradient.step(learning_rate, learned)
            if self.replay.prioritized is not None:
                self.replay.update_priorities(batch.indices, priority)
            self._updates += 1
            if self._updates % self.target_update_interval == 0:
                self._target_update.step(self.target_update_tau)
            infos.append(info)
            norms.append(norm)
        if not infos:
            return {}
        paid = {"intrinsicReward": [intrinsic.mean().item()]}
        arms = {"evaluationArm": [float(self.agent.evaluation_arm)]}
        return opt_info(infos, norms) | paid | arms | {k: [v] for k, v in reports.items()}

    def _loss(self, batch: ReplaySequences) -> tuple[Tensor, tuple[QInfo, Tensor]]:
        return weighted_loss(self.losses(batch), batch.is_weight)

    def unrolled(self, batch: ReplaySequences) -> Unrolled:
        """Both networks along the learnt steps, and the actions of the target policies."""
        burn_in, inputs = self.replay.burn_in, armed_inputs(batch)
        online = behind_burn_in(self.agent.model, inputs, batch.init_rnn_state.rnn, burn_in)
        with torch.no_grad():
            target = behind_burn_in(self.target, inputs, batch.init_rnn_state.rnn, burn_in)
            seen = inputs.observation[burn_in:]
            scores = self.agent.action_values(online, seen.arm)
            greedy = self.agent.greedy(scores.detach(), seen.observation)
        steps = RetraceSteps.of(batch, burn_in)
        return Unrolled(online, target, greedy, steps, self._discounts[steps.arm])

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, target network, replay, intrinsic reward, arms, generators and counters."""
        return {
            "gradient": self._gradient.state_dict(),
            "target": self.target.state_dict(),
            "reward": self.reward.state_dict(),
            "arms": self.arm_state(),
            "updates": self._updates,
            "mixture": generator_state(self._rng),
            **self._loop.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._gradient.load_state_dict(state["gradient"])
        self.target.load_state_dict(state["target"])
        self.reward.load_state_dict(state["reward"])
        self.load_arm_state(state["arms"])
        self._loop.load_state_dict(state)
        self._updates = state["updates"]
        load_generator_state(self._rng, state["mixture"])
