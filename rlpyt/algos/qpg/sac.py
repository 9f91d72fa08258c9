"""Soft Actor-Critic with a learned temperature (Haarnoja et al. 2018, arXiv:1812.05905).

Differs from the paper: the temperature's logarithm is learned, with the loss that is linear in it,
as all implementations do; probabilities are those of actions in units of their bounds.
"""

from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.algos.q_losses import QLosses
from rlpyt.algos.qpg.actor_critic import TargetNetwork
from rlpyt.algos.qpg.base import QpgAlgorithm, StepOf
from rlpyt.algos.qpg.batch import QpgBatch
from rlpyt.algos.qpg.losses import PolicyLosses, td_losses
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.models.policy import PolicyKind

__all__ = ["SAC", "soft_policy_losses", "soft_value"]


def soft_value(q: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """V(s) = Q(s, a) - α log π(a|s) for an action of the policy, eq. 3, [...].

    Args:
        q: Q(s, a), [...].
        log_prob: log π(a|s), [...].
        alpha: α, a scalar.
    """
    return q - alpha * log_prob


def soft_policy_losses(q: Tensor, log_prob: Tensor, alpha: Tensor) -> PolicyLosses:
    """L = α log π(a|s) - Q(s, a) of each step, eq. 7, and -log π(a|s); arguments as of
    :func:`soft_value`, with gradient through the action.
    """
    return PolicyLosses(-soft_value(q, log_prob, alpha), -log_prob.detach())


@final
@dataclass(kw_only=True)
class SAC(QpgAlgorithm):
    """Twin critics, and a Gaussian policy that climbs the smaller one and stays random."""

    policy: ClassVar[PolicyKind] = "gaussian"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("critic",)

    temperature: Temperature = field(default_factory=Temperature)  # α

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Tensor:
        """Noise of the actions."""
        return self.normal(rng, shape)

    def critic_losses(self, batch: QpgBatch, noise: Tensor) -> QLosses:
        """Towards y = R + γᵏ (min_i Q⁻_i(s', a') - α log π(a'|s')), a' ~ π(·|s'): eqs. 5 and 6."""
        with torch.no_grad():
            action, log_prob = self.online.sample(batch.following, noise)
            q = self.target.q(batch.following, action).amin(0)
            value = soft_value(q, log_prob, self.temperature.alpha)
        return td_losses(self.online.q(batch.now, batch.action), batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: Tensor) -> PolicyLosses:
        """As :func:`soft_policy_losses`, of the smaller critic."""
        action, log_prob = self.online.sample(batch.now, noise)
        q = self.online.q(batch.now, action).amin(0)
        return soft_policy_losses(q, log_prob, self.temperature.alpha)
