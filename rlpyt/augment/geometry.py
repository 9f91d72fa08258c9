"""Where things are in an image: shift, crop, translate, flip, rotate."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rlpyt.augment.base import (
    Augmentation,
    check_pixels,
    check_probability,
    draw_chance,
    draw_integers,
    flat_images,
    window,
)
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.ranges import check_flag

__all__ = [
    "RandomCrop",
    "RandomFlip",
    "RandomRotate",
    "RandomShift",
    "RandomTranslate",
    "center_crop",
    "center_translate",
]


@final
@dataclass(frozen=True, kw_only=True)
class RandomShift(Augmentation):
    """Shift each image by up to ``pad`` pixels in both directions (DrQ-v2, arXiv:2107.09645).

    Each side is padded by ``pad`` copies of its last pixels, and a window of the image's own size
    is taken from there, uniformly among the (2 pad + 1)² of them. The paper samples that window
    bilinearly; at whole pixels this is the copy made here, which also keeps uint8.
    """

    pad: int = 4

    def __post_init__(self) -> None:
        check_pixels("RandomShift.pad", self.pad)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape."""
        images = flat_images(batch, "RandomShift")
        n, _channels, height, width = images.shape
        top = draw_integers(n, -self.pad, self.pad, generator, images.device)
        left = draw_integers(n, -self.pad, self.pad, generator, images.device)
        return window(images, top, left, (height, width)).reshape(batch.shape)


@final
@dataclass(frozen=True, kw_only=True)
class RandomCrop(Augmentation):
    """A random window of ``size`` x ``size`` pixels (RAD, arXiv:2004.14990), of the image padded.

    With ``pad`` 0, images are to be rendered larger than the model takes them, and evaluation
    uses :func:`center_crop`.
    """

    size: int = 84
    pad: int = 0  # copies of the last pixels that each side gets before

    def __post_init__(self) -> None:
        check_pixels("RandomCrop.size", self.size, low=1)
        check_pixels("RandomCrop.pad", self.pad)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to [..., C, size, size]."""
        images = flat_images(batch, "RandomCrop")
        n, _channels, height, width = images.shape
        _check_crop(batch, self.size, self.pad, "RandomCrop")
        bottom = height + self.pad - self.size
        right = width + self.pad - self.size
        top = draw_integers(n, -self.pad, bottom, generator, images.device)
        left = draw_integers(n, -self.pad, right, generator, images.device)
        cropped = window(images, top, left, (self.size, self.size))
        return cropped.reshape(*batch.shape[:-2], self.size, self.size)


def center_crop(images: Tensor, size: int) -> Tensor:
    """The middle ``size`` x ``size`` pixels of images [..., C, H, W]: :class:`RandomCrop` without
    chance, for acting and evaluation. A view.
    """
    check_pixels("center_crop.size", size, low=1)
    flat_images(images, "center_crop")
    _check_crop(images, size, 0, "center_crop")
    height, width = images.shape[-2:]
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size]


def _check_crop(images: Tensor, size: int, pad: int, name: str) -> None:
    if size > min(images.shape[-2:]) + 2 * pad:
        raise RlpytError(
            "augment",
            f"{name}: images of shape {list(images.shape)} have no window of {size} x {size} with "
            f"{pad} pixels of padding",
            hint="render them larger, or choose a smaller size",
        )


@final
@dataclass(frozen=True, kw_only=True)
class RandomTranslate(Augmentation):
    """Move each image by up to ``pad`` pixels in both directions; what gets free is black.

    With ``grow`` the image is placed at random in a black canvas that is ``2 pad`` pixels larger,
    so that nothing is lost (RAD, arXiv:2004.14990, where 100 pixels are placed in 108), and
    evaluation uses :func:`center_translate`. The resolution stays as it is.
    """

    pad: int = 4
    grow: bool = False

    def __post_init__(self) -> None:
        check_pixels("RandomTranslate.pad", self.pad)
        check_flag("RandomTranslate.grow", self.grow)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape, or with ``grow`` to H + 2 pad, W + 2 pad."""
        images = flat_images(batch, "RandomTranslate")
        n, _channels, height, width = images.shape
        top = draw_integers(n, -self.pad, self.pad, generator, images.device)
        left = draw_integers(n, -self.pad, self.pad, generator, images.device)
        if self.grow:
            top, left = top - self.pad, left - self.pad
            height, width = height + 2 * self.pad, width + 2 * self.pad
        moved = window(images, top, left, (height, width), fill=0)
        return moved.reshape(*batch.shape[:-2], height, width)


def center_translate(images: Tensor, pad: int) -> Tensor:
    """Images [..., C, H, W] in the middle of a black canvas [..., C, H + 2 pad, W + 2 pad]:
    :class:`RandomTranslate` with ``grow`` but without chance, for acting and evaluation.
    """
    check_pixels("center_translate.pad", pad)
    flat_images(images, "center_translate")
    return torch.nn.functional.pad(images, (pad, pad, pad, pad))


@final
@dataclass(frozen=True, kw_only=True)
class RandomFlip(Augmentation):
    """Mirror each image left to right, with a probability (RAD, arXiv:2004.14990)."""

    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability("RandomFlip.probability", self.probability)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape."""
        images = flat_images(batch, "RandomFlip")
        flips = draw_chance(images.shape[0], self.probability, generator, images.device)
        flipped = torch.where(flips[:, None, None, None], images.flip(-1), images)
        return flipped.reshape(batch.shape)


@final
@dataclass(frozen=True, kw_only=True)
class RandomRotate(Augmentation):
    """Turn each square image by 90, 180 or 270 degrees, with a probability (RAD,
    arXiv:2004.14990); each angle is as likely as the others.
    """

    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability("RandomRotate.probability", self.probability)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape."""
        images = flat_images(batch, "RandomRotate")
        n, _channels, height, width = images.shape
        if height != width:
            raise RlpytError(
                "augment",
                f"RandomRotate: images are to be square; these are {list(batch.shape)}",
                hint="crop or resize them before",
            )
        turns = draw_integers(n, 1, 3, generator, images.device)
        turns = turns * draw_chance(n, self.probability, generator, images.device)
        rotated = images
        for quarter in (1, 2, 3):
            is_turned = (turns == quarter)[:, None, None, None]
            rotated = torch.where(is_turned, images.rot90(quarter, (-2, -1)), rotated)
        return rotated.reshape(batch.shape)
