"""What an augmentation is, and what several of them share: checks, draws, windows."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.utils.errors import RlpytError
from rlpyt.utils.ranges import check_integer, check_number

__all__ = [
    "Augmentation",
    "Compose",
    "check_frames",
    "check_pixels",
    "check_probability",
    "draw_chance",
    "draw_integers",
    "draw_uniform",
    "flat_images",
    "frames_of",
    "from_unit",
    "has_channels_last",
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

    def __post_init__(self) -> None:
        given: Any = self.augmentations
        for found in given if isinstance(given, tuple | list) else [given]:
            if found is given or not isinstance(found, Augmentation):
                what = f"Compose.augmentations: {found!r:.80}"
                hint = "give a tuple of augmentations: (RandomShift(), RandomFlip())"
                raise RlpytError("config", what, hint=hint)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """``batch`` through all of them, in order."""
        for augmentation in self.augmentations:
            batch = augmentation(batch, generator)
        return batch


# --- settings ----------------------------------------------------------------------------------

_MOST_PIXELS = 1_000_000


def check_pixels(place: str, value: Any, *, low: int = 0) -> None:
    """Refuse a setting that is no number of pixels, ``low`` or more.

    Raises:
        RlpytError: ``config``.
    """
    check_integer(place, value, low=low, high=_MOST_PIXELS)


def check_probability(place: str, value: Any) -> None:
    """Refuse a setting that is no probability.

    Raises:
        RlpytError: ``config``.
    """
    check_number(place, value, low=0.0, high=1.0)


def check_frames(name: str, *, frame_channels: Any = 1, white: Any = 1.0) -> None:
    """Refuse what frames cannot be, for the augmentation ``name``: no channels, no white.

    Raises:
        RlpytError: ``config``.
    """
    check_integer(f"{name}.frame_channels", frame_channels, low=1)
    check_number(f"{name}.white", white, low=0.0, is_low_allowed=False)


# --- batches -----------------------------------------------------------------------------------


def flat_images(images: Tensor, name: str) -> Tensor:
    """``images`` [..., C, H, W] as [N, C, H, W], for the augmentation ``name``.

    Raises:
        RlpytError: for what is no tensor, for another dtype than uint8 and floats, for less than
            three dimensions, for images without a pixel, and for what looks like images with their
            channels last: [64, 64, 9] or [210, 160, 3].
    """
    _check_tensor(images, name)
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise RlpytError(
            "augment", f"{name}: images are uint8 or floats; these are {_type_name(images)}"
        )
    shape = list(images.shape)
    what = f"{name}: images are [..., channel, height, width]; these are {shape}"
    if images.dim() < 3:
        raise RlpytError("augment", what)
    if 0 in shape[-3:]:
        raise RlpytError("augment", f"{what}, without a pixel")
    if has_channels_last(images):
        raise RlpytError(
            "augment",
            f"{what}: {shape[-3]} channels of only {shape[-1]} columns",
            hint="where the channel is last, move it to the front: images.movedim(-1, -3); where "
            "it is not, give images with as many columns as channels, or more",
        )
    return images.reshape(-1, *shape[-3:])


def _check_tensor(batch: object, name: str) -> None:
    if not isinstance(batch, Tensor):
        found = f"{type(batch).__module__}.{type(batch).__qualname__}".removeprefix("builtins.")
        what = f"{name}: a batch is a torch.Tensor, not {found}"
        raise RlpytError("augment", what, hint="convert it: torch.as_tensor(batch)")


def has_channels_last(images: Tensor) -> bool:
    """Whether images [..., C, H, W] seem to be [..., H, W, C], by their shape."""
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
        RlpytError: where they are no tensor, no floats, or a single number.
    """
    _check_tensor(vectors, name)
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
    index = index.reshape(n, 1, size[0] * size[1]).expand(n, channels, -1)
    seen = images.flatten(2).gather(2, index).reshape(n, channels, *size)
    if fill is None:
        return seen
    is_row = (rows >= 0) & (rows < height)
    is_column = (columns >= 0) & (columns < width)
    outside = ~(is_row[:, None, :, None] & is_column[:, None, None, :])
    return seen.masked_fill_(outside, fill)
