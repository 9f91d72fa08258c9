"""Twin Delayed Deep Deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.qpg.actor_critic import TargetNetwork
from rlpyt.algos.qpg.base import QpgAlgorithm, StepOf
from rlpyt.algos.qpg.batch import QpgBatch
from rlpyt.algos.qpg.ddpg import deterministic_policy_losses
from rlpyt.algos.qpg.losses import PolicyLosses, td_losses
from rlpyt.models.policy import PolicyKind

__all__ = ["TD3"]


@final
@dataclass(kw_only=True)
class TD3(QpgAlgorithm):
    """DDPG with the smaller of two critics, smoothed target actions, and a policy that waits."""

    policy: ClassVar[PolicyKind] = "deterministic"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("policy", "critic")
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "target_noise_std": (0.0, float("inf")),
        "target_noise_clip": (0.0, float("inf")),
    }

    policy_delay: int = 2  # d
    target_update_interval: int = 2  # d
    target_noise_std: float = 0.2  # σ, in half-widths of the action's bounds
    target_noise_clip: float = 0.5  # c

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Any:
        """Noise of the target actions."""
        return self.normal(rng, shape) if step == "critic" else None

    def critic_losses(self, batch: QpgBatch, noise: Tensor) -> QLosses:
        """Towards y = R + γᵏ min_i Q⁻_i(s', μ⁻(s') + ε), ε = clip(σ noise, -c, c): algorithm 1."""
        clip = self.target_noise_clip
        with torch.no_grad():
            epsilon = (self.target_noise_std * noise).clamp(-clip, clip)
            action = self.target.mean_action(batch.following, epsilon)
            value = self.target.q(batch.following, action).amin(0)
        return td_losses(self.online.q(batch.now, batch.action), batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: None) -> PolicyLosses:
        """As :func:`deterministic_policy_losses`."""
        return deterministic_policy_losses(
            self.online.q(batch.now, self.online.mean_action(batch.now))
        )
