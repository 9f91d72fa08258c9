"""Soft Actor-Critic for Discrete actions (Christodoulou 2019, arXiv:1910.07207)."""

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
from rlpyt.ops.q_learning import at_action

__all__ = ["DiscreteSAC", "discrete_policy_losses", "discrete_soft_value"]


def discrete_soft_value(q: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """V(s) = Σ_a π(a|s) (Q(s, a) - α log π(a|s)), eq. 10, [...].

    Args:
        q: Q(s, ·), [..., A].
        log_prob: log π(·|s), [..., A]; finite where an action is not allowed.
        alpha: α, a scalar.
    """
    return (log_prob.exp() * (q - alpha * log_prob)).sum(-1)


def discrete_policy_losses(q: Tensor, log_prob: Tensor, alpha: Tensor) -> PolicyLosses:
    """L = Σ_a π(a|s) (α log π(a|s) - Q(s, a)) of each step, eq. 12, and the entropy; arguments as
    of :func:`discrete_soft_value`.
    """
    entropy = -(log_prob.exp() * log_prob).sum(-1)
    return PolicyLosses(-discrete_soft_value(q, log_prob, alpha), entropy.detach())


@final
@dataclass(kw_only=True)
class DiscreteSAC(QpgAlgorithm):
    """Twin critics of every action, and probabilities that climb the smaller one."""

    policy: ClassVar[PolicyKind] = "categorical"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("critic",)

    temperature: Temperature = field(default_factory=Temperature)  # α

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> None:
        """Nothing is left to chance: sums over the actions take the place of samples."""

    def critic_losses(self, batch: QpgBatch, noise: None) -> QLosses:
        """Towards y = R + γᵏ V(s') by the smaller target critic, as :func:`discrete_soft_value`."""
        with torch.no_grad():
            log_prob = self.online.log_probabilities(batch.following)
            q = self.target.q(batch.following).amin(0)
            value = discrete_soft_value(q, log_prob, self.temperature.alpha)
        q = self.online.q(batch.now)
        chosen = at_action(q, batch.action.expand(q.shape[:-1]))
        return td_losses(chosen, batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: None) -> PolicyLosses:
        """As :func:`discrete_policy_losses`, of the smaller critic."""
        log_prob = self.online.log_probabilities(batch.now)
        with torch.no_grad():
            q = self.online.q(batch.now).amin(0)
        return discrete_policy_losses(q, log_prob, self.temperature.alpha)
