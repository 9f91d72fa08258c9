"""DrQ-v2: continuous control from pixels (Yarats et al. 2021, arXiv:2107.09645).

DDPG with n-step returns, the smaller of two critics and augmented images. Differs from the paper:
noise begins to fade when the first, uniform actions are over; the policy's step sees features of
the encoder after the critics' step; the encoder is the only one, as in the authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.qpg.actor_critic import TargetNetwork
from rlpyt.algos.qpg.base import QpgAlgorithm, StepOf
from rlpyt.algos.qpg.batch import QpgBatch
from rlpyt.algos.qpg.losses import PolicyLosses, td_losses
from rlpyt.augment.base import Augmentation
from rlpyt.augment.geometry import RandomShift
from rlpyt.models.policy import PolicyKind
from rlpyt.replays.replay import ReplayBuffer

__all__ = ["DrQV2", "clipped_noise"]


def clipped_noise(normal: Tensor, std: float, clip: float) -> Tensor:
    """ε ~ clip(N(0, σ²), -c, c), eq. 2, of standard ``normal`` noise [..., dim]."""
    return (std * normal).clamp(-clip, clip)


@final
@dataclass(kw_only=True)
class DrQV2(QpgAlgorithm):
    """Twin critics over an encoder of randomly shifted images that they alone teach, and a
    deterministic policy on top of it, explored and smoothed by noise of one schedule: that of
    ``agent.exploration``.
    """

    policy: ClassVar[PolicyKind] = "deterministic"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("critic",)
    critic_defaults: ClassVar[Mapping[str, Any]] = {
        "image": "drq",
        "feature_size": 50,
        "hidden_sizes": (1024, 1024),
        "init": "orthogonal",
    }
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"noise_clip": (0.0, float("inf"))}

    replay: ReplayBuffer = field(default_factory=lambda: ReplayBuffer(n_step_return=3))  # n
    augmentation: Augmentation | None = field(default_factory=RandomShift)
    shared_encoder: bool = True  # f_ξ
    min_steps_learn: int = 2_000
    replay_ratio: float = 128.0  # a batch of 256 for every second step
    learning_rate: float = 1e-4
    target_update_tau: float = 0.01  # τ
    noise_clip: float = 0.3  # c, in half-widths of the action's bounds

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Tensor:
        """Noise of the target's and of the policy's actions, as wide as exploration is now."""
        return clipped_noise(self.normal(rng, shape), self.exploration_std(), self.noise_clip)

    def critic_losses(self, batch: QpgBatch, noise: Tensor) -> QLosses:
        """Towards y = Σ_{i<n} γ^i r_{t+i} + γ^n min_k Q⁻_k(h', μ(h') + ε), h' = f(aug(s_{t+n})):
        eqs. 1 and 2.
        """
        with torch.no_grad():
            action = self.online.mean_action(batch.following, noise)
            value = self.target.q(batch.following, action).amin(0)
        return td_losses(self.online.q(batch.now, batch.action), batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: Tensor) -> PolicyLosses:
        """L = -min_k Q_k(h, μ(h) + ε), h = f(aug(s)) without gradient: eq. 3."""
        action = self.online.mean_action(batch.now, noise)
        return PolicyLosses(-self.online.q(batch.now, action).amin(0), None)
