"""Augmentations of vectors: noise, and a random scale."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rlpyt.augment.base import Augmentation, draw_uniform, vector_dtype

__all__ = ["GaussianNoise", "RandomAmplitudeScaling"]


@final
@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Augmentation):
    """x ← x + ε, ε ~ N(mean, std²) for each entry (RAD, arXiv:2004.14990).

    The default suits observations of about unit scale.
    """

    mean: float = 0.0
    std: float = 0.1

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Vectors [..., D] to the same shape."""
        dtype = vector_dtype(batch, "GaussianNoise")
        noise = torch.randn(batch.shape, generator=generator, device=generator.device)
        return batch + (self.mean + self.std * noise).to(batch.device, dtype, non_blocking=True)


@final
@dataclass(frozen=True, kw_only=True)
class RandomAmplitudeScaling(Augmentation):
    """x ← z x, z ~ U[low, high]: one z for each vector, so that the relations between its entries
    stay (RAD, arXiv:2004.14990).
    """

    low: float = 0.6
    high: float = 1.2

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Vectors [..., D] to the same shape."""
        dtype = vector_dtype(batch, "RandomAmplitudeScaling")
        leading = batch.shape[:-1]
        scale = draw_uniform(leading.numel(), self.low, self.high, generator, batch.device)
        return batch * scale.to(dtype).reshape(*leading, 1)
