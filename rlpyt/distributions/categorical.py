"""One choice out of ``n``: the distribution of a Discrete action."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from torch import Tensor

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.tensors import mask_logits
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["Categorical", "DistInfo"]


class DistInfo(NamedArrayTuple):
    """Normalised log-probabilities."""

    # [..., n]; masked: a large negative finite number, whose exponential is exactly 0
    log_prob: Tensor


@final
@dataclass(frozen=True)
class Categorical(Distribution):
    """p(a) = softmax(params)_a over the actions 0 ... n - 1, int64 [...].

    A sample is ``argmax(log p + g)`` with standard Gumbel noise g (the Gumbel-max trick; Maddison
    et al. 2014, arXiv:1411.0030). A masked action has probability 0 and is never sampled. A mask
    must allow at least one action: one that allows none leaves all of them equally likely.
    """

    n: int

    @property
    def param_size(self) -> int:
        """One logit per action: n."""
        return self.n

    @property
    def noise_size(self) -> int:
        """One Gumbel number per action: n."""
        return self.n

    @property
    def mask_size(self) -> int:
        """One entry per action: n."""
        return self.n

    def dist_info(self, params: Tensor, mask: Tensor | None = None) -> DistInfo:
        """Log-probabilities from logits ``params`` and ``mask``, [..., n] each (true: allowed)."""
        if mask is not None:
            params = mask_logits(params, mask)
        return DistInfo(params.log_softmax(-1))

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Standard Gumbel noise, [*leading, n] float32."""
        return rng.gumbel(size=(*leading, self.n)).astype(np.float32)

    def sample(self, dist_info: DistInfo, noise: Tensor) -> Tensor:
        """argmax(log p + noise), [...] int64, for Gumbel ``noise`` [..., n]."""
        return (dist_info.log_prob + noise).argmax(-1)

    def mode(self, dist_info: DistInfo) -> Tensor:
        """The most likely action, [...] int64; the first among equals."""
        return dist_info.log_prob.argmax(-1)

    def log_prob(self, dist_info: DistInfo, action: Tensor) -> Tensor:
        """The log-probability of ``action`` [...] int64, [...]."""
        return dist_info.log_prob.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self, dist_info: DistInfo) -> Tensor:
        """-Σ p log p, [...]."""
        return (dist_info.log_prob * dist_info.log_prob.exp()).sum(-1).neg()

    def kl(self, dist_info: DistInfo, other: DistInfo) -> Tensor:
        """Σ p (log p - log q), [...]; huge but finite where q forbids what p allows."""
        return (dist_info.log_prob.exp() * (dist_info.log_prob - other.log_prob)).sum(-1)
