"""Random rectangles of an image that are black or of one color."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rlpyt.augment.base import (
    Augmentation,
    check_frames,
    check_pixels,
    draw_integers,
    draw_uniform,
    flat_images,
    frames_of,
)
from rlpyt.utils.errors import RlpytError

__all__ = ["RandomCutout", "RandomCutoutColor"]


@final
@dataclass(frozen=True, kw_only=True)
class RandomCutout(Augmentation):
    """A black rectangle in each image (RAD, arXiv:2004.14990).

    Height and width are uniform in ``min_size``, ..., ``max_size``, and its place is uniform among
    those where it is whole.
    """

    min_size: int = 10
    max_size: int = 30

    def __post_init__(self) -> None:
        _check_sizes("RandomCutout", self.min_size, self.max_size)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape."""
        images = flat_images(batch, "RandomCutout")
        inside = _draw_rectangles(images, self.min_size, self.max_size, generator, "RandomCutout")
        return images.masked_fill(inside, 0).reshape(batch.shape)


@final
@dataclass(frozen=True, kw_only=True)
class RandomCutoutColor(Augmentation):
    """As :class:`RandomCutout`, in a color uniform over all, the same in each frame of an image."""

    min_size: int = 10
    max_size: int = 30
    frame_channels: int = 3  # of each frame stacked in an image; 1 for grey ones
    white: float = 1.0  # the value of white in images of floats; in uint8 it is 255

    def __post_init__(self) -> None:
        _check_sizes("RandomCutoutColor", self.min_size, self.max_size)
        check_frames("RandomCutoutColor", frame_channels=self.frame_channels, white=self.white)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape."""
        name = "RandomCutoutColor"
        images = flat_images(batch, name)
        n, n_frames, frame_channels, _h, _w = frames_of(images, self.frame_channels, name).shape
        inside = _draw_rectangles(images, self.min_size, self.max_size, generator, name)
        if images.dtype == torch.uint8:
            level = draw_integers(n * frame_channels, 0, 255, generator, images.device)
        else:
            level = draw_uniform(n * frame_channels, 0, self.white, generator, images.device)
        color = level.to(images.dtype).reshape(n, frame_channels).repeat(1, n_frames)
        return torch.where(inside, color[:, :, None, None], images).reshape(batch.shape)


def _check_sizes(name: str, min_size: int, max_size: int) -> None:
    check_pixels(f"{name}.min_size", min_size)
    check_pixels(f"{name}.max_size", max_size)
    if min_size > max_size:
        what = f"{name}.{min_size=} is above its {max_size=}"
        raise RlpytError("config", what, hint="choose 0 <= min_size <= max_size")


def _draw_rectangles(
    images: Tensor, min_size: int, max_size: int, generator: torch.Generator, name: str
) -> Tensor:
    """Whether a pixel is in its image's rectangle: bool [N, 1, H, W]."""
    n, _channels, height, width = images.shape
    if max_size > min(height, width):
        raise RlpytError(
            "augment",
            f"{name}: sizes from {min_size=} to {max_size=} in images of {height} x {width} pixels",
            hint=f"choose a max_size of {min(height, width)} or less",
        )
    is_in = []
    for length in (height, width):
        size = draw_integers(n, min_size, max_size, generator, images.device)
        first = draw_integers(n, 0, length - size, generator, images.device)[:, None]
        places = torch.arange(length, device=images.device)
        is_in.append((places >= first) & (places < first + size[:, None]))
    rows, columns = is_in
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)
