"""Beliefs about a task, as Gaussians: how evidence adds up, and how far they are from the prior.

Rakelly et al. 2019, "Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic Context
Variables" (PEARL, arXiv:1903.08254).
"""

import torch
from torch import Tensor

from rlpyt.utils.collections import NamedArrayTuple

__all__ = [
    "Evidence",
    "Gaussians",
    "belief_from",
    "evidence_of",
    "sample_gaussians",
    "standard_normal_kl",
    "total_evidence",
]

_LEAST_VARIANCE = 1e-7  # of a factor


class Gaussians(NamedArrayTuple):
    """Independent normal distributions."""

    mean: Tensor
    var: Tensor  # σ², shaped as ``mean``


class Evidence(NamedArrayTuple):
    """What observations say, as sums: that of several is the sum of theirs, zeros are none."""

    weight: Tensor  # Σ 1/σ²
    weighted: Tensor  # Σ μ/σ², shaped as ``weight``


def evidence_of(factors: Gaussians) -> Evidence:
    """What each factor says; variances below 1e-7 count as that."""
    weight = 1.0 / factors.var.clamp(min=_LEAST_VARIANCE)
    return Evidence(weight, weight * factors.mean)


def belief_from(evidence: Evidence) -> Gaussians:
    """The normalised product of the Gaussian factors that the ``evidence`` sums up, section 4.2 of
    the paper; without any the prior, N(0, 1):

        N(μ, σ²) ∝ Π_n N(μ_n, σ_n²),   σ² = 1 / Σ(1/σ_n²),   μ = σ² Σ(μ_n/σ_n²)
    """
    is_prior = evidence.weight == 0
    var = 1.0 / torch.where(is_prior, torch.ones_like(evidence.weight), evidence.weight)
    return Gaussians(mean=var * evidence.weighted, var=var)


def total_evidence(evidence: Evidence, valid: Tensor | None = None) -> Evidence:
    """The sum over N of [..., N, D], where ``valid`` [..., N] bool (``None``: of all): [..., D]."""
    if valid is not None:
        evidence = Evidence(
            *(torch.where(valid.unsqueeze(-1), part, torch.zeros_like(part)) for part in evidence)
        )
    return Evidence(*(part.sum(-2) for part in evidence))


def standard_normal_kl(posterior: Gaussians) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)), summed over the last dimension, [...]:

    ½ Σ_d (μ_d² + σ_d² - 1 - log σ_d²)
    """
    mean, var = posterior.mean, posterior.var
    return 0.5 * (mean.square() + var - 1.0 - var.log()).sum(-1)


def sample_gaussians(posterior: Gaussians, noise: Tensor) -> Tensor:
    """μ + σ ε, for standard normal ``noise`` ε shaped as the mean: gradients reach both."""
    return posterior.mean + posterior.var.sqrt() * noise
