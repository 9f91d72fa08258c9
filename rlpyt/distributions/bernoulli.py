"""Independent bits: the distribution of a MultiBinary action."""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.tensors import flatten_action, mask_logits, shape_action
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["Bernoulli", "DistInfo"]


class DistInfo(NamedArrayTuple):
    """Log-odds of every bit."""

    # [..., size], log(p / (1 - p)); masked: a large negative finite number, p exactly 0
    logit: Tensor


@final
@dataclass(frozen=True)
class Bernoulli(Distribution):
    """P(a_i = 1) = σ(params_i), bits independent; actions are int8 [..., *shape].

    A sample is ``params + l > 0`` with standard logistic noise l. A masked bit is always 0.
    """

    shape: tuple[int, ...]

    @property
    def param_size(self) -> int:
        """One logit per bit: prod(shape)."""
        return math.prod(self.shape)

    @property
    def noise_size(self) -> int:
        """One logistic number per bit: prod(shape)."""
        return math.prod(self.shape)

    @property
    def mask_size(self) -> int:
        """One entry per bit: prod(shape)."""
        return math.prod(self.shape)

    def dist_info(self, params: Tensor, mask: Tensor | None = None) -> DistInfo:
        """Log-odds from ``params`` [..., size] and ``mask`` [..., size] (true: may be 1)."""
        return DistInfo(params if mask is None else mask_logits(params, mask))

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Standard logistic noise, [*leading, size] float32."""
        return rng.logistic(size=(*leading, self.noise_size)).astype(np.float32)

    def sample(self, dist_info: DistInfo, noise: Tensor) -> Tensor:
        """Bits, [..., *shape] int8, for logistic ``noise`` [..., size]."""
        return shape_action((dist_info.logit + noise > 0).to(torch.int8), self.shape)

    def mode(self, dist_info: DistInfo) -> Tensor:
        """1 where p > ½, [..., *shape] int8."""
        return shape_action((dist_info.logit > 0).to(torch.int8), self.shape)

    def log_prob(self, dist_info: DistInfo, action: Tensor) -> Tensor:
        """Σ_i log p(action_i), [...], for ``action`` [..., *shape] of 0 and 1: log σ(±logit)."""
        sign = 2 * flatten_action(action, self.shape) - 1
        return logsigmoid(dist_info.logit * sign).sum(-1)

    def entropy(self, dist_info: DistInfo) -> Tensor:
        """Σ_i -log σ(-x_i) - x_i σ(x_i) with x the log-odds, [...]."""
        logit = dist_info.logit
        return (logsigmoid(-logit) + logit * logit.sigmoid()).sum(-1).neg()

    def kl(self, dist_info: DistInfo, other: DistInfo) -> Tensor:
        """Σ_i KL(p_i || q_i), [...]; huge but finite where q forbids what p allows."""
        logit, other_logit = dist_info.logit, other.logit
        difference = logit.sigmoid() * (logit - other_logit)
        return (difference + logsigmoid(-logit) - logsigmoid(-other_logit)).sum(-1)
