"""Augmentations of vectors: noise, and a random scale."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rlpyt.augment.base import Augmentation, draw_uniform, vector_dtype
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.ranges import check_number

__all__ = ["GaussianNoise", "RandomAmplitudeScaling"]


@final
@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Augmentation):
    """x ← x + ε, ε ~ N(mean, std²) for each entry (RAD, arXiv:2004.14990).

    The default suits observations of about unit scale.
    """

    mean: float = 0.0
    std: float = 0.1

    def __post_init__(self) -> None:
        check_number("GaussianNoise.mean", self.mean)
        check_number("GaussianNoise.std", self.std, low=0.0)

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

    def __post_init__(self) -> None:
        check_number("RandomAmplitudeScaling.low", self.low)
        check_number("RandomAmplitudeScaling.high", self.high)
        if self.low > self.high:
            what = f"RandomAmplitudeScaling.low={self.low} is above its high={self.high}"
            raise RlpytError("config", what, hint="choose low <= high")

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Vectors [..., D] to the same shape."""
        dtype = vector_dtype(batch, "RandomAmplitudeScaling")
        leading = batch.shape[:-1]
        scale = draw_uniform(leading.numel(), self.low, self.high, generator, batch.device)
        return batch * scale.to(dtype).reshape(*leading, 1)
