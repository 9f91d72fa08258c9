"""Truncated Quantile Critics (Kuznetsov et al. 2020, arXiv:2005.04269)."""

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
from rlpyt.algos.qpg.losses import PolicyLosses
from rlpyt.algos.qpg.sac import soft_policy_losses, soft_value
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.models.policy import PolicyKind
from rlpyt.ops.quantile import quantile_huber_loss, quantile_midpoints
from rlpyt.utils.errors import RlpytError

__all__ = ["TQC", "truncated", "truncated_losses"]


def truncated(quantiles: Tensor, n_dropped: int) -> Tensor:
    """All critics' quantiles but the largest, eq. 9: [n, ..., M] to [..., n (M - dropped)].

    Args:
        quantiles: θ_i(s, a), [n, ..., M].
        n_dropped: How many for each critic.
    """
    pooled = quantiles.movedim(0, -2).flatten(-2)
    kept: Tensor = pooled.sort(-1).values
    return kept[..., : pooled.shape[-1] - n_dropped * quantiles.shape[0]]


def truncated_losses(quantiles: Tensor, target: Tensor) -> QLosses:
    """L = Σ_i 1/M Σ_m E_j[ρ_τm(y_j - θ_im(s, a))] of each step, eqs. 10 and 11.

    Args:
        quantiles: θ_i(s, a), [n, ..., M].
        target: y, [..., K], without gradient.
    """
    M = quantiles.shape[-1]
    fractions = quantile_midpoints(M, quantiles.dtype, quantiles.device)
    loss = quantile_huber_loss(quantiles, fractions, target.expand(len(quantiles), *target.shape))
    q = quantiles.detach().mean(-1)
    return QLosses(loss.sum(0) / M, (target.mean(-1) - q).abs().mean(0), q.mean(0))


@final
@dataclass(kw_only=True)
class TQC(QpgAlgorithm):
    """SAC with critics that give the return's distribution, whose upper end the target leaves out.

    ``critic_kwargs.n_outputs`` is M, the quantiles of each critic.
    """

    policy: ClassVar[PolicyKind] = "gaussian"
    target_networks: ClassVar[tuple[TargetNetwork, ...]] = ("critic",)
    critic_defaults: ClassVar[Mapping[str, Any]] = {
        "n_outputs": 25,
        "hidden_sizes": (512, 512, 512),
    }

    n_critics: int = 5
    n_dropped: int = 2  # quantiles of each critic; 0 for HalfCheetah, 5 for Hopper in the paper
    temperature: Temperature = field(default_factory=Temperature)  # α

    def __post_init__(self) -> None:
        M = {**self.critic_defaults, **self.critic_kwargs}["n_outputs"]
        if not 0 <= self.n_dropped < M:
            what = f"algo.n_dropped={self.n_dropped} of {M} quantiles"
            hint = f"use 0 to {M - 1}; algo.critic_kwargs.n_outputs are the quantiles"
            raise RlpytError("config", what, hint=hint)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], step: StepOf) -> Tensor:
        """Noise of the actions."""
        return self.normal(rng, shape)

    def critic_losses(self, batch: QpgBatch, noise: Tensor) -> QLosses:
        """Towards y_j = R + γᵏ (z_j(s', a') - α log π(a'|s')), z the quantiles that are left:
        eq. 9.
        """
        with torch.no_grad():
            action, log_prob = self.online.sample(batch.following, noise)
            quantiles = truncated(self.target.quantiles(batch.following, action), self.n_dropped)
            value = soft_value(quantiles, log_prob.unsqueeze(-1), self.temperature.alpha)
        return truncated_losses(self.online.quantiles(batch.now, batch.action), batch.target(value))

    def policy_losses(self, batch: QpgBatch, noise: Tensor) -> PolicyLosses:
        """As :func:`rlpyt.algos.qpg.sac.soft_policy_losses`, of the mean of all quantiles."""
        action, log_prob = self.online.sample(batch.now, noise)
        q = self.online.quantiles(batch.now, action).mean((0, -1))
        return soft_policy_losses(q, log_prob, self.temperature.alpha)
