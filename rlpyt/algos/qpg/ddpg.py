"""Deep Deterministic Policy Gradient (Lillicrap et al. 2016, arXiv:1509.02971).

Differs from the paper: Gaussian instead of Ornstein-Uhlenbeck noise explores, and there is no
weight decay.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.qpg.actor_critic import TargetNetwork
from rlpyt.algos.qpg.base import QpgAlgorithm, StepOf
from rlpyt.algos.qpg.batch import QpgBatch
from rlpyt.algos.qpg.losses import PolicyLosses, td_losses
from rlpyt.models.policy import PolicyKind

__all__ = ["DDPG", "deterministic_policy_losses"]


def deterministic_policy_losses(q: Tensor) -> PolicyLosses:
    """L = -Q_1(s, μ(s)) of each step, whose gradient is that of eq. 6; ``q`` [n, ...]."""
    return PolicyLosses(-q[0], None)


@final
@dataclass(kw_only=True)
class DDPG(QpgAlgorithm):
    """One critic, and a deterministic policy that climbs it."""

    policy: ClassVar[PolicyKind] = "deterministic"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("policy", "critic")

    n_critics: int = 1

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> None:
        """Nothing is left to chance."""

    def critic_losses(self, batch: QpgBatch, noise: None) -> QLosses:
        """Towards y = R + γᵏ Q⁻(s', μ⁻(s')): below eq. 4."""
        with torch.no_grad():
            action = self.target.mean_action(batch.following)
            value = self.target.q(batch.following, action).amin(0)
        return td_losses(self.online.q(batch.now, batch.action), batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: None) -> PolicyLosses:
        """As :func:`deterministic_policy_losses`."""
        return deterministic_policy_losses(
            self.online.q(batch.now, self.online.mean_action(batch.now))
        )
