"""Several independent choices at once: the distribution of a MultiDiscrete action."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from rlpyt.distributions.base import Distribution
from rlpyt.distributions.tensors import flatten_action, mask_logits, masked_logit, shape_action
from rlpyt.utils.collections import NamedArrayTuple

__all__ = ["DistInfo", "MultiCategorical"]


class DistInfo(NamedArrayTuple):
    """Normalised log-probabilities of K choices, each padded to the largest number of options."""

    log_prob: Tensor  # [..., K, max(nvec)]; masked and padding: a large negative finite number


@final
@dataclass(frozen=True)
class MultiCategorical(Distribution):
    """p(a) = Π_k softmax(params_k)_{a_k}, choice k with ``nvec[k]`` options; int64 [..., *shape].

    ``nvec`` is flattened (length K, row-major); ``shape`` is the action's, ``(K,)`` if not given.
    Logits and masks are concatenated over k. The log-probabilities are padded to [K, max(nvec)], so
    that everything below is one operation over all choices; with equal ``nvec`` nothing is padded.
    Masks are as in ``Categorical``, per choice.
    """

    nvec: tuple[int, ...]
    shape: tuple[int, ...] | None = None

    @property
    def param_size(self) -> int:
        """One logit per option of every choice: sum(nvec)."""
        return sum(self.nvec)

    @property
    def noise_size(self) -> int:
        """One Gumbel number per padded option: K max(nvec)."""
        return len(self.nvec) * max(self.nvec)

    @property
    def mask_size(self) -> int:
        """One entry per option of every choice: sum(nvec)."""
        return sum(self.nvec)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """The shape of one action."""
        return (len(self.nvec),) if self.shape is None else self.shape

    def dist_info(self, params: Tensor, mask: Tensor | None = None) -> DistInfo:
        """Log-probabilities from ``params`` and ``mask``, [..., sum(nvec)] each (true: allowed)."""
        if mask is not None:
            params = mask_logits(params, mask)
        widest = max(self.nvec)
        if min(self.nvec) == widest:
            logits = torch.unflatten(params, -1, (len(self.nvec), widest))
        else:
            padding = masked_logit(params.dtype)
            parts = torch.split(params, list(self.nvec), -1)
            logits = torch.stack(
                [pad(part, (0, widest - part.shape[-1]), value=padding) for part in parts], -2
            )
        return DistInfo(logits.log_softmax(-1))

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Standard Gumbel noise, [*leading, K max(nvec)] float32."""
        return rng.gumbel(size=(*leading, self.noise_size)).astype(np.float32)

    def sample(self, dist_info: DistInfo, noise: Tensor) -> Tensor:
        """argmax(log p_k + noise_k) for every k, [..., *shape] int64; Gumbel noise."""
        gumbel = torch.unflatten(noise, -1, (len(self.nvec), max(self.nvec)))
        return shape_action((dist_info.log_prob + gumbel).argmax(-1), self.action_shape)

    def mode(self, dist_info: DistInfo) -> Tensor:
        """The most likely option of every choice, [..., *shape] int64."""
        return shape_action(dist_info.log_prob.argmax(-1), self.action_shape)

    def log_prob(self, dist_info: DistInfo, action: Tensor) -> Tensor:
        """Σ_k log p_k(action_k), [...], for ``action`` [..., *shape] int64."""
        flat = flatten_action(action, self.action_shape)
        return dist_info.log_prob.gather(-1, flat.unsqueeze(-1)).squeeze(-1).sum(-1)

    def entropy(self, dist_info: DistInfo) -> Tensor:
        """The sum of the choices' entropies, [...]."""
        return (dist_info.log_prob * dist_info.log_prob.exp()).sum((-2, -1)).neg()

    def kl(self, dist_info: DistInfo, other: DistInfo) -> Tensor:
        """Σ_k KL(p_k || q_k), [...]; huge but finite where q forbids what p allows."""
        return (dist_info.log_prob.exp() * (dist_info.log_prob - other.log_prob)).sum((-2, -1))
