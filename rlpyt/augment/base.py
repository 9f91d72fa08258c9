"""What an augmentation is, and what several of them share: checks, draws, windows."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rlpyt.utils.errors import RlpytError

__all__ = [
    "Augmentation",
    "Compose",
    "draw_chance",
    "draw_integers",
    "draw_uniform",
    "flat_images",
    "frames_of",
    "from_unit",
    "to_unit",
    "vector_dtype",
    "window",
]


class Augmentation(ABC):
    """A random change of observations that does not change what they mean.

    An object is its settings, compares by them, and keeps nothing between calls. Every image (or
    vector) of a batch is changed by a draw of its own, and all of its channels, that is all the
    frames stacked in it, by the same one. The draws are those of the generator alone, which may be
    on the CPU or on the device of the batch; nothing waits for the device.
    """

    @abstractmethod
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """A new tensor, on the same device and of the same dtype as ``batch``.

        Args:
            batch: images [..., C, H, W] as uint8 or floats, or vectors [..., D] of floats: the
                class says which. Any leading dimensions, such as [T, B] or none.
            generator: where the draws come from.

        Raises:
            RlpytError: naming the shape or dtype found, for what this augmentation cannot change.
        """


@final
@dataclass(frozen=True, kw_only=True)
class Compose(Augmentation):
    """Augmentations one after the other, each with draws of its own."""

    augmentations: tuple[Augmentation, ...]

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """``batch`` through all of them, in order."""
        for augmentation in self.augmentations:
            batch = augmentation(batch, generator)
        return batch


# --- batches -----------------------------------------------------------------------------------


def flat_images(images: Tensor, name: str) -> Tensor:
    """``images`` [..., C, H, W] as [N, C, H, W], for the augmentation ``name``.

    Raises:
        RlpytError: for another dtype than uint8 and floats, for less than three dimensions, and for
            what looks like images with their channels last: [64, 64, 9] or [210, 160, 3].
    """
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise RlpytError(
            "augment", f"{name}: images are uint8 or floats; these are {_type_name(images)}"
        )
    if images.dim() < 3 or _is_channels_last(images):
        raise RlpytError(
            "augment",
            f"{name}: images are [..., channel, height, width]; these are {list(images.shape)}",
            hint="move the channel to the front: images.movedim(-1, -3)",
        )
    return images.reshape(-1, *images.shape[-3:])


def _is_channels_last(images: Tensor) -> bool:
    channels, height, width = images.shape[-3:]
    return width < channels and (width <= 4 or channels == height)


def frames_of(images: Tensor, frame_channels: int, name: str) -> Tensor:
    """Flat images [N, F * c, H, W] as their frames [N, F, c, H, W], c = ``frame_channels``."""
    n, channels, height, width = images.shape
    if channels % frame_channels:
        raise RlpytError(
            "augment",
            f"{name}: {channels} channels are no frames of {frame_channels}, in images of shape "
            f"{[channels, height, width]}",
            hint="frames of one color have frame_channels=1, where the augmentation takes it",
        )
    return images.reshape(n, channels // frame_channels, frame_channels, height, width)


def to_unit(images: Tensor, white: float) -> Tensor:
    """Images as floats from 0 to 1: uint8 divided by 255, floats by ``white``."""
    return images.float() / 255 if images.dtype == torch.uint8 else images / white


def from_unit(unit: Tensor, like: Tensor, white: float) -> Tensor:
    """The inverse of :func:`to_unit` for images as ``like``: its dtype and shape, rounded."""
    is_whole = like.dtype == torch.uint8
    values = (unit * 255).round_().clamp_(0, 255) if is_whole else unit * white
    return values.to(like.dtype).reshape(like.shape)


def vector_dtype(vectors: Tensor, name: str) -> torch.dtype:
    """The dtype of ``vectors`` [..., D], for the augmentation ``name``.

    Raises:
        RlpytError: where they are no floats, or a single number.
    """
    if not vectors.is_floating_point() or vectors.dim() == 0:
        raise RlpytError(
            "augment",
            f"{name}: vectors are floats of shape [..., D]; these are {_type_name(vectors)} of "
            f"shape {list(vectors.shape)}",
        )
    return vectors.dtype


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


# --- draws: made on the generator's device, then moved to that of the batch --------------------


def draw_uniform(
    n: int, low: float, high: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """``n`` numbers, uniform in [low, high), float32."""
    drawn = torch.rand(n, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(device, non_blocking=True)


def draw_chance(
    n: int, probability: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """``n`` booleans, true with ``probability``."""
    return draw_uniform(n, 0.0, 1.0, generator, device) < probability


def draw_integers(
    n: int, low: int, high: int | Tensor, generator: torch.Generator, device: torch.device
) -> Tensor:
    """``n`` integers, uniform in ``low``, ..., ``high``; ``high`` may be a tensor [n]."""
    drawn = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
    return low + (drawn.to(device, non_blocking=True) * (high - low + 1)).long()


# --- windows -----------------------------------------------------------------------------------


def window(
    images: Tensor, top: Tensor, left: Tensor, size: tuple[int, int], *, fill: int | None = None
) -> Tensor:
    """From each image [N, C, H, W] the window of ``size`` whose corner is at (``top``, ``left``).

    Corners [N] may lie outside, below zero too. What is outside the image is its nearest pixel, or
    ``fill``. Values are copied, not computed, in whatever dtype they are.
    """
    n, channels, height, width = images.shape
    rows = top[:, None] + torch.arange(size[0], device=images.device)
    columns = left[:, None] + torch.arange(size[1], device=images.device)
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    index = index.reshape(n, 1, -1).expand(n, channels, -1)
    seen = images.flatten(2).gather(2, index).reshape(n, channels, *size)
    if fill is None:
        return seen
    is_row = (rows >= 0) & (rows < height)
    is_column = (columns >= 0) & (columns < width)
    outside = ~(is_row[:, None, :, None] & is_column[:, None, None, :])
    return seen.masked_fill_(outside, fill)
