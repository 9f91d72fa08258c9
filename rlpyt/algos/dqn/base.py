"""What every Q-learning algorithm does around its loss: replay, gradient steps, target network."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.opt_info import opt_info
from rlpyt.algos.optimizer import Compile, Precision, gradient_step
from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.replay_loop import (
    LOOP_RANGES,
    ReplayLoop,
    keeps_learned_reward,
    recorded_state,
)
from rlpyt.algos.schedule import Schedule, scheduled
from rlpyt.algos.target import TargetUpdate
from rlpyt.data import AgentInputs, BatchSpec, NoState, OptInfo, Samples
from rlpyt.models.base import Model
from rlpyt.models.dqn import DqnModel, QHead, QOutputs
from rlpyt.ops.losses import weighted_mean
from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state
from rlpyt.utils.world import World

__all__ = [
    "Q_RANGES",
    "QAlgorithm",
    "QInfo",
    "behind_burn_in",
    "q_agent",
    "weighted_loss",
]

Q_RANGES = {
    "discount": (0.0, 1.0),
    "learning_rate": (0.0, float("inf")),
    **LOOP_RANGES,
    "target_update_interval": (1, float("inf")),
    "target_update_tau": (0.0, 1.0),
    "clip_grad_norm": (1e-12, float("inf")),
}
"""Ranges of the settings that algorithms of action values share, ends included."""


class QInfo(NamedTuple):
    """What is logged of a gradient step: scalars, without gradient."""

    loss: Tensor
    tdAbsErr: Tensor
    q: Tensor


@dataclass(kw_only=True)
class QAlgorithm(RlAlgorithm, ABC):
    """Off-policy learning of action values from a replay of transitions, or of sequences where the
    model is recurrent.

    Each iteration appends one batch of samples and takes as many gradient steps as
    ``replay_ratio`` asks for, exactly, counted over the run.
    """

    off_policy: ClassVar[bool] = True
    sequences: ClassVar[bool] = False  # whether the loss is of sequences, not of transitions
    # What the settings that the algorithm adds may be, ends included.
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    discount: float = 0.99  # γ
    replay: ReplayBuffer = field(default_factory=ReplayBuffer)
    batch_size: int = 32  # transitions, or sequences, in one gradient step
    min_steps_learn: int = 20_000  # environment steps before the first
    replay_ratio: float = 8.0  # transitions learned from for each environment step
    learning_rate: float = 6.25e-5
    learning_rate_schedule: Schedule = "constant"
    target_update_interval: int = 2_000  # gradient steps between two updates of the target network
    target_update_tau: float = 1.0  # how far it then goes; 1: it becomes the online network
    clip_grad_norm: float | None = 10.0
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, Any] = field(default_factory=lambda: {"eps": 1.5e-4})
    intrinsic: IntrinsicRewards | None = None  # added to the environment's
    compile: Compile = False  # forward and backward as one graph; True needs a C++ compiler on CPU
    precision: Precision = "float32"  # of products and convolutions in the loss

    @property
    @abstractmethod
    def head(self) -> Sequence[QHead]:
        """The model's heads that the loss can learn."""

    @abstractmethod
    def losses(self, batch: Any, noise: Any) -> QLosses:
        """The paper's loss for each transition or sequence."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """What the loss needs of chance for one gradient step."""

    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the agent; allocate the replay; the target network starts as the online one."""
        self.check_settings({**Q_RANGES, **self.ranges})
        self.agent = q_agent(agent, self.head, type(self).__name__)
        self._check_memory()
        self._n_itr = n_itr
        self._world = world or World()
        self._loop = ReplayLoop(self, self.agent, batch_spec, seed=seed, world=self._world)
        self._rng = generator(seed, Stream.ALGO, 0, *self._world.keys)
        self._gradient = gradient_step(self, self.agent.model, self._loss, world=self._world)
        self.target: DqnModel = deepcopy(self.agent.model).requires_grad_(False)
        self._target_update = TargetUpdate(self.target, self.agent.model)
        self._updates = 0

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes that the replay takes when it is full."""
        agent = q_agent(agent, self.head, type(self).__name__)
        state = recorded_state(agent)
        return self.replay.forecast(
            agent.env_spaces,
            B=batch_spec.B,
            prev_rnn_state=state,
            learned_reward=keeps_learned_reward(self),
        )

    def _check_memory(self) -> None:
        kinds = ("transitions", "sequences")
        sequences = self.replay.sequence_length is not None
        what = f"algo.replay hands out {kinds[sequences]}"
        if sequences != self.sequences:
            hint = f"{type(self).__name__} learns from {kinds[self.sequences]}: " + (
                "set algo.replay.sequence_length"
                if self.sequences
                else "algo.replay.sequence_length must be None"
            )
            raise RlpytError("config", f"{what}, and the loss does not fit them", hint=hint)
        if self.agent.recurrent != sequences:
            hint = "set agent.model_kwargs.recurrent and algo.replay.sequence_length, or neither"
            raise RlpytError("config", f"{what}, and the model does not fit them", hint=hint)

    def updates_per_itr(self) -> int:
        """Gradient steps, on average."""
        return self._loop.updates_per_itr

    def samples_per_itr(self) -> int:
        """Transitions learned from."""
        return self._loop.samples_per_itr

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Append the batch [T, B]; then the gradient steps that are due."""
        learning_rate = scheduled(self.learning_rate, self.learning_rate_schedule, itr, self._n_itr)
        infos, norms = [], []
        for batch in self._loop.batches(itr, samples):
            self.agent.model.resample(self._rng)
            self.target.resample(self._rng)
            report, norm = self._gradient.step(learning_rate, batch, self.draw(self._rng))
            info, priority = report
            if self.replay.prioritized is not None:
                self.replay.update_priorities(batch.indices, priority)
            self._updates += 1
            if self._updates % self.target_update_interval == 0:
                self._target_update.step(self.target_update_tau)
            infos.append(info)
            norms.append(norm)
        if not infos:  # else a noisy model would explore by none at first, or always by the same
            self.agent.model.resample(self._rng)
        self.agent.model.update_normalizer(samples.observation, samples.valid, self._world)
        report = self._loop.report() if infos else {}
        return {**opt_info(infos, norms), **report}

    def _loss(
        self, batch: ReplaySamples | ReplaySequences, noise: Any
    ) -> tuple[Tensor, tuple[QInfo, Tensor]]:
        return weighted_loss(self.losses(batch, noise), batch.is_weight)

    def outputs(self, inputs: AgentInputs, fractions: Tensor | None = None) -> QOutputs:
        """The online network's, [N, ...]."""
        found: QOutputs = self.agent.model(*inputs, NoState(), fractions)[0]
        return found

    @torch.no_grad()
    def target_outputs(self, inputs: AgentInputs, fractions: Tensor | None = None) -> QOutputs:
        """The target network's, [N, ...]."""
        found: QOutputs = self.target(*inputs, NoState(), fractions)[0]
        return found

    @torch.no_grad()
    def next_action(self, inputs: AgentInputs, target: QOutputs, *, double: bool) -> Tensor:
        """The greedy next action, [N]: by the target network, or ``double`` by the online one."""
        outputs = self.outputs(inputs) if double else target
        return self.agent.greedy(self.agent.action_values(outputs), inputs.observation)

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, target network, replay, generators and counters."""
        return {
            "gradient": self._gradient.state_dict(),
            "target": self.target.state_dict(),
            "rng": generator_state(self._rng),
            "updates": self._updates,
            **self._loop.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._gradient.load_state_dict(state["gradient"])
        self.target.load_state_dict(state["target"])
        self._loop.load_state_dict(state)
        load_generator_state(self._rng, state["rng"])
        self._updates = state["updates"]


def weighted_loss(losses: QLosses, is_weight: Tensor | None) -> tuple[Tensor, tuple[QInfo, Tensor]]:
    """E[w L] over N transitions or sequences, what is logged of them, and their priorities [N]."""
    loss = weighted_mean(losses.loss, is_weight)
    info = QInfo(loss.detach(), losses.priority.mean(), losses.q.mean())
    return loss, (info, losses.priority)


def behind_burn_in(model: Model, inputs: AgentInputs, state: Any, burn_in: int) -> Any:
    """What a recurrent ``model`` gives along ``inputs`` [L, N, ...] but for the first ``burn_in``
    rows, which only bring ``state`` [N, ...] up to date: a tree [L - burn_in, N, ...].
    """
    if burn_in:
        with torch.no_grad():
            state = model(*inputs[:burn_in], state)[1]
    return model(*inputs[burn_in:], state)[0]


def q_agent(agent: Agent, heads: Sequence[QHead], algorithm: str) -> DqnAgent:
    """``agent``, checked to have a model that the algorithm can learn."""
    if not isinstance(agent, DqnAgent):
        what = f"{algorithm} learns action values; the agent is a {type(agent).__name__}"
        raise RlpytError("config", what, hint="use a DqnAgent")
    if agent.model.kind not in heads:
        what = f"{algorithm} does not learn agent.model_kwargs.head={agent.model.kind!r}"
        raise RlpytError("config", what, hint=f"use {' or '.join(map(repr, heads))}")
    return agent
