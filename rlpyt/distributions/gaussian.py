"""Diagonal Gaussian: a Box action, clipped to its bounds at the environment's edge only."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.tensors import flatten_action, shape_action
from rlpyt.utils.collections import NamedArrayTuple

__all__ = [
    "DistInfo",
    "Gaussian",
    "gaussian_entropy",
    "gaussian_info",
    "gaussian_kl",
    "gaussian_log_prob",
    "gaussian_noise_log_prob",
    "gaussian_sample",
]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class DistInfo(NamedArrayTuple):
    """Mean and logarithm of the standard deviation of every dimension, flattened."""

    mean: Tensor  # [..., dim]
    log_std: Tensor  # [..., dim]


def gaussian_info(
    params: Tensor, dim: int, min_log_std: float | None, max_log_std: float | None
) -> DistInfo:
    """Mean and log_std of ``params`` [..., 2 dim]; log_std is clamped where a bound is given."""
    mean, log_std = torch.split(params, [dim, dim], -1)
    if min_log_std is not None or max_log_std is not None:
        log_std = log_std.clamp(min_log_std, max_log_std)
    return DistInfo(mean, log_std)


def gaussian_sample(dist_info: DistInfo, noise: Tensor) -> Tensor:
    """μ + σ noise, [..., dim]: reparameterised, differentiable in both."""
    return torch.addcmul(dist_info.mean, dist_info.log_std.exp(), noise)


def gaussian_log_prob(dist_info: DistInfo, value: Tensor) -> Tensor:
    """Σ_i -½ ((x_i - μ_i) / σ_i)² - log σ_i - ½ log 2π, [...], at ``value`` [..., dim]."""
    return gaussian_noise_log_prob(dist_info, (value - dist_info.mean) / dist_info.log_std.exp())


def gaussian_noise_log_prob(dist_info: DistInfo, noise: Tensor) -> Tensor:
    """The log-density [...] of the sample that ``noise`` [..., dim] makes: exact for any μ and
    σ.
    """
    penalty = torch.addcmul(dist_info.log_std, noise, noise, value=0.5).sum(-1)
    return -_HALF_LOG_2PI * noise.shape[-1] - penalty


def gaussian_entropy(dist_info: DistInfo) -> Tensor:
    """Σ_i log σ_i + ½ log 2πe, [...]."""
    return dist_info.log_std.sum(-1) + (_HALF_LOG_2PI + 0.5) * dist_info.log_std.shape[-1]


def gaussian_kl(dist_info: DistInfo, other: DistInfo) -> Tensor:
    """Σ_i log(σ_q / σ_p) + ½ ((σ_p / σ_q)² + ((μ_p - μ_q) / σ_q)² - 1), [...]."""
    log_ratio = dist_info.log_std - other.log_std
    z = (dist_info.mean - other.mean) * torch.exp(-other.log_std)
    return (0.5 * (torch.expm1(2 * log_ratio) + z * z) - log_ratio).sum(-1)


@final
@dataclass(frozen=True)
class Gaussian(Distribution):
    """N(μ, diag σ²) over actions [..., *shape], dim = prod(shape).

    ``params`` is concat(μ, log σ), [..., 2 dim]. Unbounded: an action is recorded as drawn, only
    the environment's edge clips it. ``min_log_std`` and ``max_log_std`` clamp log σ, with zero
    gradient outside; ``None`` leaves that side free. Masks mean nothing here and are ignored.
    """

    shape: tuple[int, ...]
    min_log_std: float | None = None
    max_log_std: float | None = None

    @property
    def dim(self) -> int:
        """Numbers in one action: prod(shape)."""
        return math.prod(self.shape)

    @property
    def param_size(self) -> int:
        """Mean and log_std of every dimension: 2 dim."""
        return 2 * self.dim

    @property
    def noise_size(self) -> int:
        """One normal number per dimension."""
        return self.dim

    @property
    def mask_size(self) -> int:
        """0: masks mean nothing."""
        return 0

    def dist_info(self, params: Tensor, mask: Tensor | None = None) -> DistInfo:
        """Mean and log_std, [..., dim] each, from ``params`` [..., 2 dim]."""
        return gaussian_info(params, self.dim, self.min_log_std, self.max_log_std)

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Standard normal noise, [*leading, dim] float32."""
        return rng.standard_normal((*leading, self.dim), dtype=np.float32)

    def sample(self, dist_info: DistInfo, noise: Tensor) -> Tensor:
        """μ + σ noise, [..., *shape], for ``noise`` [..., dim]; differentiable in ``dist_info``."""
        return shape_action(gaussian_sample(dist_info, noise), self.shape)

    def mode(self, dist_info: DistInfo) -> Tensor:
        """The mean, [..., *shape]."""
        return shape_action(dist_info.mean, self.shape)

    def log_prob(self, dist_info: DistInfo, action: Tensor) -> Tensor:
        """The log-density of ``action`` [..., *shape], summed over dimensions, [...]."""
        return gaussian_log_prob(dist_info, flatten_action(action, self.shape))

    def entropy(self, dist_info: DistInfo) -> Tensor:
        """Differential entropy, summed over dimensions, [...]."""
        return gaussian_entropy(dist_info)

    def kl(self, dist_info: DistInfo, other: DistInfo) -> Tensor:
        """KL(p || q), summed over dimensions, [...]."""
        return gaussian_kl(dist_info, other)
