"""Recurrent Replay Distributed DQN (R2D2; Kapturowski et al. 2019, "Recurrent Experience Replay in
Distributed Reinforcement Learning"), here with any sampler: R2D1.

Sequences start from the recurrent state that was recorded, a burn-in brings it up to date, values
are rescaled by h, targets take n steps, and sequences are sampled by priority.

Differs from the paper: a sequence is of one episode; where that was truncated it bootstraps from
the true final observation; learning is synchronous, so that recorded states are fresh.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.dqn.base import QAlgorithm, behind_burn_in
from rlpyt.algos.q_losses import QLosses, sequence_losses
from rlpyt.models.dqn import DqnModel, QHead
from rlpyt.ops.q_learning import at_action
from rlpyt.ops.value_scaling import transformed_target
from rlpyt.replays.batches import ReplaySequences
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer

__all__ = ["R2D1", "r2d1_losses"]


def r2d1_losses(
    q: Tensor, action: Tensor, target: Tensor, valid: Tensor, *, priority_eta: float
) -> QLosses:
    """The loss of each sequence, [N]: the mean over its valid steps.

        L = E_t[½ (y_t - Q(s_t, a_t))²],   y_t = h(R_t + γᵏ h⁻¹(Q⁻(s_{t+k}, a*)))
        p = η max_t |δ_t| + (1 - η) mean_t |δ_t|      (section 2.3)

    Args:
        q: Q(s_t, ·), [length, N, A], on the scale of h.
        action: a_t, [length, N] int64.
        target: y_t, [length, N], without gradient.
        valid: bool [length, N]; other steps may hold anything finite.
        priority_eta: η.
    """
    value = at_action(q, action)
    error = target - value
    steps = QLosses(0.5 * error.square(), error.detach().abs(), value.detach())
    return sequence_losses(steps, valid, priority_eta)


@final
@dataclass(kw_only=True)
class R2D1(QAlgorithm):
    """R2D2's learner for a recurrent :class:`DqnModel`."""

    sequences: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"value_scale_eps": (0.0, float("inf"))}

    discount: float = 0.997  # γ
    replay: ReplayBuffer = field(
        default_factory=lambda: ReplayBuffer(
            sequence_length=80,
            burn_in=40,
            rnn_state_interval=40,
            n_step_return=5,
            # α and β as the authors of rlpyt corrected them.
            prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6, eta=0.9),
        )
    )
    batch_size: int = 64  # sequences
    min_steps_learn: int = 100_000
    replay_ratio: float = 1.0
    learning_rate: float = 1e-4
    target_update_interval: int = 2_500
    clip_grad_norm: float | None = 80.0
    optim_kwargs: dict[str, Any] = field(default_factory=lambda: {"eps": 1e-3})
    double: bool = True  # the online network chooses the next action
    value_scale_eps: float = 1e-3  # ε of h

    @property
    def head(self) -> Sequence[QHead]:
        """Action values."""
        return ("q",)

    def draw(self, rng: np.random.Generator) -> None:
        """Nothing is left to chance."""

    def losses(self, batch: ReplaySequences, noise: None) -> QLosses:
        """As :func:`r2d1_losses`."""
        q = self._unrolled(self.agent.model, batch)
        with torch.no_grad():
            target_q = self._unrolled(self.target, batch)
            next_value = self._next_value(q.detach(), target_q, batch)
            target = transformed_target(
                batch.return_, batch.next_discount, next_value, self.value_scale_eps
            )
        length = batch.action.shape[0]
        eta = self.replay.priority_eta
        return r2d1_losses(q[:length], batch.action, target, batch.valid, priority_eta=eta)

    def _unrolled(self, model: DqnModel, batch: ReplaySequences) -> Tensor:
        """Q at the observations behind the burn-in, [L - burn_in, N, A]."""
        inputs, state = batch.agent_inputs, batch.init_rnn_state
        found: Tensor = behind_burn_in(model, inputs, state, self.replay.burn_in).values
        return found

    def _next_value(self, q: Tensor, target_q: Tensor, batch: ReplaySequences) -> Tensor:
        """Q⁻(s_{t+k}, a*), [length, N]."""
        observation = batch.agent_inputs[self.replay.burn_in :].observation
        action = self.agent.greedy(q if self.double else target_q, observation)
        value = at_action(target_q, action)
        return value.gather(0, batch.next_step - self.replay.burn_in)
