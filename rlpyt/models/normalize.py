"""Running normalisation of observations to zero mean and unit variance."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.envs.spaces import space_items
from rlpyt.models.conv2d import is_image
from rlpyt.utils.buffer import leaf_at, replace_leaf
from rlpyt.utils.world import World

__all__ = ["ObservationNormalizer", "RunningMeanStd"]

_EPSILON = 1e-8


@final
class RunningMeanStd(nn.Module):
    """Mean and variance of everything seen so far, however it was cut into batches.

    The buffers ``count`` [], ``mean`` and ``var`` [*shape] are float64: a float32 mean stops moving
    after some 10⁷ steps.

    Args:
        shape: Shape of one observation; ``()`` for a scalar.
    """

    count: Tensor
    mean: Tensor
    var: Tensor

    def __init__(self, shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(tuple(shape), dtype=torch.float64))
        self.register_buffer("var", torch.ones(tuple(shape), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor, valid: Tensor | None = None, world: World | None = None) -> None:
        """Take in ``x`` [..., *shape], where ``valid`` [...] bool (``None``: everywhere), of all
        processes in ``world``; from whatever device.
        """
        n_dim = self.mean.dim()
        batch = x.reshape(-1, *x.shape[x.dim() - n_dim :]).to(self.mean)
        if valid is None:
            var, mean = torch.var_mean(batch, dim=0, correction=0)
            count = torch.full_like(self.count, batch.shape[0])
        else:
            keep = valid.reshape(-1, *(1,) * n_dim).to(self.mean.device)
            count = keep.sum(dtype=torch.float64)
            mean = batch.masked_fill(~keep, 0.0).sum(0) / count.clamp(min=1)
            var = (batch - mean).masked_fill(~keep, 0.0).square().sum(0) / count.clamp(min=1)
        if world is not None:
            count, mean, var = world.combine(count, mean, var)
        self.merge(count, mean, var)

    @torch.no_grad()
    def merge(self, count: Tensor, mean: Tensor, var: Tensor) -> None:
        """Take in ``count`` [] observations of this ``mean`` and ``var`` [*shape].

        Chan, Golub & LeVeque 1979:

            δ = μ_b - μ_a,   n = n_a + n_b,   μ = μ_a + δ n_b / n
            σ² = (n_a σ_a² + n_b σ_b²) / n + δ² n_a n_b / n²
        """
        total = self.count + count
        share = count / total.clamp(min=1)  # n_b / n; 0, not NaN, while nothing has been seen
        delta = mean - self.mean
        self.mean.add_(delta * share)
        self.var.mul_(1 - share).add_(var * share + delta.square() * share * (1 - share))
        self.count.copy_(total)

    def normalize(self, x: Tensor, clip: float = 10.0) -> Tensor:
        """(x - mean) / std clipped to ±``clip``, in the dtype of ``x`` [..., *shape].

        Before any update mean is 0 and std 1.
        """
        scale = (self.var + _EPSILON).rsqrt().to(x.dtype)
        return ((x - self.mean.to(x.dtype)) * scale).clamp(-clip, clip)


@final
class ObservationNormalizer(nn.Module):
    """Normalises the float vectors of an observation tree.

    Integers, images and a top-level ``action_mask`` pass through.

    Args:
        observation_space: The space whose trees [..., *shape] come in.
        clip: Bound on the normalised numbers.
    """

    def __init__(self, observation_space: Space[Any], *, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        found = [
            (path, leaf.shape)
            for path, leaf in space_items(observation_space)
            if _is_normalized(path, leaf)
        ]
        self.paths = [tuple(path.split(".")) if path else () for path, _shape in found]
        self.statistics = nn.ModuleList(RunningMeanStd(shape or ()) for _path, shape in found)

    def forward(self, observation: Any) -> Any:
        """The observation tree with its float vectors normalised."""
        for path, statistics in zip(self.paths, self.statistics, strict=True):
            assert isinstance(statistics, RunningMeanStd)
            normalized = statistics.normalize(leaf_at(observation, path), self.clip)
            observation = replace_leaf(observation, path, normalized)
        return observation

    def update(
        self, observation: Any, valid: Tensor | None = None, world: World | None = None
    ) -> None:
        """Take in an observation tree [T, B, ...] where ``valid`` [T, B]; ``None``: everywhere, of
        all processes in ``world``.
        """
        for path, statistics in zip(self.paths, self.statistics, strict=True):
            assert isinstance(statistics, RunningMeanStd)
            statistics.update(leaf_at(observation, path), valid, world)


def _is_normalized(path: str, space: Space[Any]) -> bool:
    floating = isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)
    return floating and not is_image(space) and path != "action_mask"
