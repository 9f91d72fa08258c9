"""Distributions of returns as quantiles: QR-DQN (Dabney et al. 2018, arXiv:1710.10044) and IQN
(Dabney et al. 2018, arXiv:1806.06923).

A network's outputs are [N, A, M]: the quantiles are the last axis, and
:func:`rlpyt.ops.q_learning.at_action` picks an action.
"""

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

__all__ = ["quantile_huber_loss", "quantile_midpoints", "quantile_target"]


def quantile_midpoints(
    n_quantiles: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """τ̂_i = (2i + 1) / 2M for i = 0 ... M - 1, [M]: the fractions of QR-DQN's quantiles (Lemma 2).
    Of all M fractions their quantiles are the nearest to the distribution (1-Wasserstein).

    Args:
        n_quantiles: M.
        dtype: of the fractions.
        device: where the fractions are.
    """
    return (torch.arange(n_quantiles, dtype=dtype, device=device) + 0.5) / n_quantiles


def quantile_target(return_: Tensor, next_discount: Tensor, next_quantiles: Tensor) -> Tensor:
    """T θ_j = R + γᵏ θ_j(s', a*), [..., M'] (QR-DQN, Algorithm 1; IQN, eq. 2).

    Args:
        return_: R, the discounted sum of the k rewards up to s', [...].
        next_discount: γᵏ, 0 where the episode terminated, [...].
        next_quantiles: θ(s', a*) of the target network, [..., M'].
    """
    return return_.unsqueeze(-1) + next_discount.unsqueeze(-1) * next_quantiles


def quantile_huber_loss(
    quantiles: Tensor, fractions: Tensor, target: Tensor, kappa: float = 1.0
) -> Tensor:
    """Quantile regression of the estimates on the targets, a loss for each sample, [...].

        L = Σ_i 1/M' Σ_j |τ_i - 1{u_ij < 0}| L_κ(u_ij) / κ,   u_ij = target_j - quantiles_i

    The *sum* is over the estimates i (last axis of ``quantiles``), the *mean* over the targets j
    (last axis of ``target``): IQN, eq. 3; QR-DQN, eq. 10 and Algorithm 1, which at its κ = 1 is the
    same. L_κ is :func:`rlpyt.ops.q_learning.huber`; κ = 0 stands for the limit, plain quantile
    regression with |u| (QR-DQN, eq. 8). The target is a constant.

    Args:
        quantiles: θ(s, a), the estimates, [..., M].
        fractions: τ, the fraction each estimate stands for, [..., M] or [M].
        target: T θ, samples or quantiles of the target distribution, [..., M'].
        kappa: κ >= 0.
    """
    # Views [..., M, M'], not copies: one fused kernel makes the loss of every pair.
    pairs = (*quantiles.shape, target.shape[-1])
    estimate = quantiles.unsqueeze(-1).expand(pairs)
    sample = target.detach().unsqueeze(-2).expand(pairs)
    fraction = fractions.unsqueeze(-1)
    weight = torch.where(sample < estimate.detach(), 1.0 - fraction, fraction)
    if kappa == 0.0:
        return (weight * (sample - estimate).abs()).mean(-1).sum(-1)
    size = huber_loss(estimate, sample, reduction="none", delta=kappa)
    return (weight * size).mean(-1).sum(-1) / kappa
