"""What deterministic and maximum-entropy actor-critics do around their losses: replay, critics and
their targets, a step of the critics, and now and then one of the policy.
"""

from abc import ABC, abstractmethod
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.opt_info import opt_info
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.replay_loop import LOOP_RANGES, ReplayLoop
from rlpyt.algos.target import update_target
from rlpyt.data import AgentInputs, BatchSpec, OptInfo, Samples
from rlpyt.models.critic import CriticModel
from rlpyt.models.policy import PolicyKind
from rlpyt.ops.losses import weighted_mean
from rlpyt.replays.batches import ReplaySamples
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state, seeded_init

__all__ = ["CriticInfo", "QpgAlgorithm", "critic_losses"]


class CriticInfo(NamedTuple):
    """What is logged of a step of the critics: scalars, without gradient."""

    qLoss: Tensor
    tdAbsErr: Tensor
    q: Tensor


def critic_losses(q: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """L = Σ_i ½ (y - Q_i(s, a))² of each of N transitions, and E_i |y - Q_i|, both [N].

    Args:
        q: Q_i(s, a) of each critic, [n, N].
        target: y, [N], without gradient.
    """
    error = target - q
    return 0.5 * error.square().sum(0), error.detach().abs().mean(0)


@dataclass(kw_only=True)
class QpgAlgorithm(RlAlgorithm, ABC):
    """Off-policy learning of n critics, and of a policy that climbs them.

    Each iteration appends one batch of samples and takes as many steps of the critics as
    ``replay_ratio`` asks for, exactly, counted over the run; the policy and the target networks
    take a step after every ``policy_delay`` of them.
    """

    policy: ClassVar[PolicyKind]  # which the loss can learn

    discount: float = 0.99  # γ
    replay: ReplayBuffer = field(default_factory=ReplayBuffer)
    batch_size: int = 256  # transitions
    min_steps_learn: int = 10_000  # environment steps before the first gradient step
    replay_ratio: float = 256.0  # transitions learned from for each environment step
    learning_rate: float = 3e-4
    n_critics: int = 2
    critic_kwargs: dict[str, Any] = field(default_factory=dict)
    policy_delay: int = 1  # steps of the critics for one of the policy
    target_update_tau: float = 0.005
    clip_grad_norm: float | None = None
    OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam
    optim_kwargs: dict[str, Any] = field(default_factory=dict)
    compile: bool = False  # forward and backward as one compiled graph; needs a C++ compiler on CPU

    @abstractmethod
    def prepare(self) -> dict[str, Any]:
        """Build what else there is; returns all of it that has a state, by name."""

    @abstractmethod
    def target_value(self, batch: ReplaySamples, noise: Tensor) -> Tensor:
        """The paper's value of the next observation, [N]; called without gradient."""

    @abstractmethod
    def policy_loss(self, batch: ReplaySamples, noise: Tensor) -> tuple[Tensor, NamedTuple]:
        """The paper's loss of the policy, and scalars to report."""

    @abstractmethod
    def follow(self, report: Any) -> None:
        """What else takes a step after the policy; ``report`` is that of its loss."""

    def initialize(self, agent: Agent, *, n_itr: int, batch_spec: BatchSpec, seed: int) -> None:
        """Bind the agent; build critics and their targets; allocate the replay."""
        one = (1, float("inf"))
        limits = {"discount": (0.0, 1.0), "target_update_tau": (0.0, 1.0), **LOOP_RANGES}
        self.check_ranges({**limits, "n_critics": one, "policy_delay": one})
        self.agent = self._checked(agent)
        self._rng = generator(seed, Stream.ALGO, 0)
        self.replay.initialize(
            self.agent.env_spaces,
            B=batch_spec.B,
            T=batch_spec.T,
            discount=self.discount,
            rng=generator(seed, Stream.ALGO, 1),
            device=self.agent.device,
            prev_rnn_state=None,
        )
        self._loop = ReplayLoop(
            self.replay,
            batch_spec,
            batch_size=self.batch_size,
            min_steps_learn=self.min_steps_learn,
            replay_ratio=self.replay_ratio,
        )
        self.critic = self._build_critic(int(self._rng.integers(2**31)))
        self._critic_step = self.gradient_step(self.critic, self._critic_loss)
        self._policy_step = self.gradient_step(self.agent.model, self.policy_loss)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self._parts = {
            "critic": self.critic,
            "target_critic": self.target_critic,
            "critic_gradient": self._critic_step,
            "policy_gradient": self._policy_step,
            **self.prepare(),
        }
        self._updates = 0

    def _checked(self, agent: Agent) -> QpgAgent:
        name = type(self).__name__
        if not isinstance(agent, QpgAgent) or agent.policy != self.policy:
            kind = agent.policy if isinstance(agent, QpgAgent) else type(agent).__name__
            hint = f"use QpgAgent(policy={self.policy!r})"
            raise RlpytError("config", f"{name} does not learn agent {kind!r}", hint=hint)
        if self.replay.sequence_length is not None:
            hint = "algo.replay.sequence_length must be None"
            raise RlpytError("config", f"{name} learns from transitions", hint=hint)
        return agent

    def _build_critic(self, seed: int) -> CriticModel:
        build, spaces = CriticModel.from_spaces, self.agent.env_spaces
        kwargs = checked_arguments(build, self.critic_kwargs, "algo.critic_kwargs", positional=2)
        with seeded_init(seed):
            critic = build(spaces.observation, spaces.action, n_critics=self.n_critics, **kwargs)
        return critic.to(self.agent.device)

    def gradient_step(self, model: torch.nn.Module, loss: Any) -> GradientStep:
        """Steps of ``model`` by ``loss``, with the algorithm's optimizer."""
        return GradientStep(
            model,
            loss,
            OptimCls=self.OptimCls,
            optim_kwargs=self.optim_kwargs,
            clip_grad_norm=self.clip_grad_norm,
            compile=self.compile,
        )

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes that the replay takes when it is full."""
        spaces = self._checked(agent).env_spaces
        return self.replay.forecast(spaces, B=batch_spec.B, prev_rnn_state=None)

    def updates_per_itr(self) -> int:
        """Gradient steps of the critics, on average."""
        return self._loop.updates_per_itr

    def samples_per_itr(self) -> int:
        """Transitions learned from."""
        return self._loop.samples_per_itr

    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Append the batch [T, B]; then the gradient steps that are due."""
        critic: tuple[list[NamedTuple], list[Tensor]] = ([], [])
        policy: tuple[list[NamedTuple], list[Tensor]] = ([], [])
        for batch in self._loop.batches(itr, samples):
            (info, priority), norm = self._critic_step.step(
                self.learning_rate, batch, self._draw(batch)
            )
            _record(critic, info, norm)
            if self.replay.prioritized is not None:
                self.replay.update_priorities(batch.indices, priority)
            self._updates += 1
            if self._updates % self.policy_delay == 0:
                _record(policy, *self._improve(batch))
        for model in (self.agent.model, self.critic):
            model.update_normalizer(samples.observation, samples.valid)
        return {**opt_info(*critic, "qGradNorm"), **opt_info(*policy, "piGradNorm")}

    def _improve(self, batch: ReplaySamples) -> tuple[NamedTuple, Tensor]:
        """One step of the policy, through critics that stay as they are; then the targets."""
        self.critic.requires_grad_(False)
        report, norm = self._policy_step.step(self.learning_rate, batch, self._draw(batch))
        self.critic.requires_grad_(True)
        update_target(self.target_critic, self.critic, self.target_update_tau)
        self.follow(report)
        return report, norm

    def _draw(self, batch: ReplaySamples) -> Tensor:
        """Standard normal noise, [N, action_size]."""
        shape = (len(batch.return_), self.agent.action_size)
        drawn = self._rng.standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(drawn).to(self.agent.device)

    def _critic_loss(
        self, batch: ReplaySamples, noise: Tensor
    ) -> tuple[Tensor, tuple[CriticInfo, Tensor]]:
        with torch.no_grad():
            target = batch.return_ + batch.next_discount * self.target_value(batch, noise)
        q = self.q(batch, batch.action)
        losses, priority = critic_losses(q, target)
        loss = weighted_mean(losses, batch.is_weight)
        return loss, (CriticInfo(loss.detach(), priority.mean(), q.detach().mean()), priority)

    def q(self, batch: ReplaySamples, action: Tensor) -> Tensor:
        """Q_i(s, a) of the critics, [n, N]."""
        found: Tensor = self.critic(batch.observation, action).squeeze(-1)
        return found

    def target_q(self, inputs: AgentInputs, action: Tensor) -> Tensor:
        """Q⁻_i(s', a') of the target critics, [n, N]."""
        found: Tensor = self.target_critic(inputs.observation, action).squeeze(-1)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Critics, target networks, optimizers, replay, generator and counters."""
        return {
            **{name: part.state_dict() for name, part in self._parts.items()},
            "rng": generator_state(self._rng),
            "updates": self._updates,
            **self._loop.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        load_generator_state(self._rng, state["rng"])
        self._updates = state["updates"]
        self._loop.load_state_dict(state)


def _record(rows: tuple[list[NamedTuple], list[Tensor]], info: NamedTuple, norm: Tensor) -> None:
    rows[0].append(info)
    rows[1].append(norm)
