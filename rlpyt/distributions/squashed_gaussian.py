"""Tanh-squashed diagonal Gaussian: a bounded Box action in maximum-entropy algorithms.

With u ~ N(μ, diag σ²), y = tanh(u) and a = c + s y, where c and s are the centre and half-width of
the bounds (Haarnoja et al. 2018, arXiv:1801.01290, appendix C):

    log p(a) = log N(u; μ, σ) - Σ_i log |da_i/du_i|
    log |da/du| = log s + 2 (log 2 - u - softplus(-2u))

The last term is log(1 - tanh(u)²) in a form that neither overflows nor cancels for any u.
"""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermegauss
from torch import Tensor
from torch.nn.functional import logsigmoid

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.gaussian import (
    DistInfo,
    gaussian_entropy,
    gaussian_info,
    gaussian_kl,
    gaussian_log_prob,
    gaussian_noise_log_prob,
    gaussian_sample,
)
from rlpyt.distributions.tensors import flatten_action, shape_action

__all__ = ["SquashedGaussian"]

_QUADRATURE_ORDER = 32


def _quadrature() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes z and weights w of the Gauss-Hermite rule: E[f(z)] ≈ Σ w f(z) for z ~ N(0, 1)."""
    nodes, weights = hermegauss(_QUADRATURE_ORDER)
    return tuple(nodes.tolist()), tuple((weights / weights.sum()).tolist())


_NODES, _WEIGHTS = _quadrature()


def _log_tanh_slope(u: Tensor) -> Tensor:
    """log(1 - tanh(u)²) = 2 (log 2 - u - softplus(-2u)), with softplus(-x) = -log σ(x)."""
    return 2 * (math.log(2) - u + logsigmoid(2 * u))


@final
@dataclass(frozen=True)
class SquashedGaussian(Distribution):
    """a = c + s tanh(u), u ~ N(μ, diag σ²): actions [..., *shape] between ``low`` and ``high``.

    ``low`` and ``high`` are finite, ``low < high``, flattened: one number per dimension, row-major.
    ``params`` is concat(μ, log σ), [..., 2 dim]; ``dist_info`` describes u. ``min_log_std`` and
    ``max_log_std`` clamp log σ, with zero gradient outside (-20 and 2 in soft actor-critic);
    ``None`` leaves that side free. Masks mean nothing here and are ignored.

    An action may pass a bound by one rounding error of its dtype; the environment's edge clips it.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
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
        """Mean and log_std of u, [..., dim] each, from ``params`` [..., 2 dim]."""
        return gaussian_info(params, self.dim, self.min_log_std, self.max_log_std)

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Standard normal noise, [*leading, dim] float32."""
        return rng.standard_normal((*leading, self.dim), dtype=np.float32)

    def sample(self, dist_info: DistInfo, noise: Tensor) -> Tensor:
        """The action c + s tanh(μ + σ noise), [..., *shape]; differentiable in ``dist_info``."""
        return self._squash(gaussian_sample(dist_info, noise))

    def sample_with_log_prob(self, dist_info: DistInfo, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A sample [..., *shape] and its log-density [...], both differentiable; exact at any u."""
        u = gaussian_sample(dist_info, noise)
        return self._squash(u), gaussian_noise_log_prob(dist_info, noise) - self._log_slope(u)

    def mode(self, dist_info: DistInfo) -> Tensor:
        """The action c + s tanh(μ), [..., *shape]: the image of the mode of u, the median of a.

        The density of a itself may peak elsewhere: at the bounds where σ is large.
        """
        return self._squash(dist_info.mean)

    def log_prob(self, dist_info: DistInfo, action: Tensor) -> Tensor:
        """The log-density of ``action`` [..., *shape], [...], by u = atanh((action - c) / s).

        The quotient is clipped to ±(1 - machine epsilon of its dtype), which is |u| <= 8.3 in
        float32, with zero gradient to ``action`` beyond. Near the bounds an action no longer holds
        all of u: where its noise is at hand, ``sample_with_log_prob`` is the exact way.
        """
        flat = flatten_action(action, self.shape)
        center, scale = self._center_and_scale(flat)
        limit = 1 - torch.finfo(flat.dtype).eps
        u = torch.atanh(((flat - center) / scale).clamp(-limit, limit))
        return gaussian_log_prob(dist_info, u) - self._log_slope(u)

    def entropy(self, dist_info: DistInfo) -> Tensor:
        """H(a) = H(u) + E[Σ_i log |da_i/du_i|], [...]; differentiable and deterministic.

        H(u) is the Gaussian's closed form. The expectation has none: it is a 32-point Gauss-Hermite
        quadrature per dimension, whose absolute error (in exact arithmetic, |μ| <= 3) is below 1e-7
        at σ <= 1, 2e-4 at σ = 2, 3e-3 at σ = 3 and 0.09 at σ = e².
        """
        mean, log_std = dist_info.mean, dist_info.log_std
        nodes, weights = mean.new_tensor(_NODES), mean.new_tensor(_WEIGHTS)
        u = torch.addcmul(mean.unsqueeze(-1), log_std.exp().unsqueeze(-1), nodes)
        slope = (_log_tanh_slope(u) * weights).sum((-2, -1)) + self._log_scale
        return gaussian_entropy(dist_info) + slope

    def kl(self, dist_info: DistInfo, other: DistInfo) -> Tensor:
        """KL(p || q), [...]: that of the Gaussians, since a bijection leaves it unchanged."""
        return gaussian_kl(dist_info, other)

    @property
    def _log_scale(self) -> float:
        """Σ_i log s_i."""
        return sum(
            math.log((high - low) / 2) for low, high in zip(self.low, self.high, strict=True)
        )

    def _log_slope(self, u: Tensor) -> Tensor:
        """Σ_i log |da_i/du_i|, [...], at ``u`` [..., dim]."""
        return _log_tanh_slope(u).sum(-1) + self._log_scale

    def _center_and_scale(self, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Centre and half-width of the bounds: numbers where all dimensions agree, else [dim]."""
        bounds = [
            ((high + low) / 2, (high - low) / 2)
            for low, high in zip(self.low, self.high, strict=True)
        ]
        if bounds.count(bounds[0]) == len(bounds):
            return bounds[0]
        table = like.new_tensor(bounds)
        return table[:, 0], table[:, 1]

    def _squash(self, u: Tensor) -> Tensor:
        """The action c + s tanh(u), [..., *shape]."""
        center, scale = self._center_and_scale(u)
        return shape_action(center + scale * torch.tanh(u), self.shape)
