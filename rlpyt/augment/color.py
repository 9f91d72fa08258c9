"""What things look like in an image: random convolution, color jitter, grayscale."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from rlpyt.augment.base import (
    Augmentation,
    check_frames,
    check_probability,
    draw_chance,
    draw_uniform,
    flat_images,
    frames_of,
    from_unit,
    to_unit,
)
from rlpyt.utils.ranges import check_number

__all__ = ["Grayscale", "RandomColorJitter", "RandomConvolution"]

_LUMA = (0.2989, 0.587, 0.114)  # of red, green and blue in grey (ITU-R BT.601)


@final
@dataclass(frozen=True, kw_only=True)
class RandomConvolution(Augmentation):
    """Each image through a random 3 x 3 convolution of its own (Lee et al. 2020, arXiv:1910.05396).

        x ← sigmoid(W * x),  W ~ N(0, 2 / (fan_in + fan_out)),  x in [0, 1]

    where fan_in = fan_out = 9 ``frame_channels``. One W for all frames of an image; the edges are
    padded by copies. The sigmoid, which keeps the range, is that of RAD (arXiv:2004.14990).
    """

    frame_channels: int = 3  # of each frame stacked in an image; 1 for grey ones
    white: float = 1.0  # the value of white in images of floats; in uint8 it is 255

    def __post_init__(self) -> None:
        check_frames("RandomConvolution", frame_channels=self.frame_channels, white=self.white)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W] to the same shape."""
        images = flat_images(batch, "RandomConvolution")
        frames = frames_of(to_unit(images, self.white), self.frame_channels, "RandomConvolution")
        if not len(images):
            return batch.clone()  # conv2d would not take it
        n, n_frames, c, height, width = frames.shape
        weight = torch.randn(n * c, c, 3, 3, generator=generator, device=generator.device)
        weight = weight.to(images.device, frames.dtype) / (3 * c**0.5)
        # One group for each image: all of them are convolved in one call.
        grouped = frames.transpose(0, 1).reshape(n_frames, n * c, height, width)
        padded = functional.pad(grouped, (1, 1, 1, 1), mode="replicate")
        convolved = functional.conv2d(padded, weight, groups=n).sigmoid_()
        convolved = convolved.reshape(n_frames, n, c, height, width).transpose(0, 1)
        return from_unit(convolved, batch, self.white)


@final
@dataclass(frozen=True, kw_only=True)
class RandomColorJitter(Augmentation):
    """Another brightness, contrast, saturation and hue for each image, all of its frames alike.

    In this order, with factors b, c, s ~ U[1 - amount, 1 + amount], a turn h ~ U[-hue, hue] of the
    color circle, and all values kept in [0, 1]:

        x ← b x,   x ← c x + (1 - c) mean(grey(x)),   x ← s x + (1 - s) grey(x),   H(x) ← H(x) + h

    The mean is over a frame; H is the hue of HSV. Images have frames of red, green and blue.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.5  # 0.5 is half of the circle, to each side
    white: float = 1.0  # the value of white in images of floats; in uint8 it is 255

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            check_number(f"RandomColorJitter.{name}", getattr(self, name), low=0.0)
        check_number("RandomColorJitter.hue", self.hue, low=0.0, high=0.5)
        check_frames("RandomColorJitter", white=self.white)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W], C a multiple of 3, to the same shape."""
        images = flat_images(batch, "RandomColorJitter")
        frames = frames_of(to_unit(images, self.white), 3, "RandomColorJitter")
        amounts = (self.brightness, self.contrast, self.saturation)
        low_high = [(max(0.0, 1 - amount), 1 + amount) for amount in amounts]
        brightness, contrast, saturation, turn = (
            draw_uniform(len(images), low, high, generator, images.device)
            .to(frames.dtype)
            .reshape(-1, 1, 1, 1, 1)
            for low, high in [*low_high, (-self.hue, self.hue)]
        )
        frames = (frames * brightness).clamp_(0, 1)
        frames = frames.lerp(_grey(frames).mean((-2, -1), keepdim=True), 1 - contrast).clamp_(0, 1)
        frames = frames.lerp(_grey(frames), 1 - saturation).clamp_(0, 1)
        return from_unit(_turn_hue(frames, turn), batch, self.white)


@final
@dataclass(frozen=True, kw_only=True)
class Grayscale(Augmentation):
    """Each image without color, with a probability, all of its frames alike.

    Red, green and blue become 0.2989 R + 0.587 G + 0.114 B, in three equal channels.
    """

    probability: float = 1.0

    def __post_init__(self) -> None:
        check_probability("Grayscale.probability", self.probability)

    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """Images [..., C, H, W], C a multiple of 3, to the same shape."""
        images = flat_images(batch, "Grayscale")
        frames = frames_of(to_unit(images, 1.0), 3, "Grayscale")
        is_grey = draw_chance(len(images), self.probability, generator, images.device)
        grey = from_unit(_grey(frames).expand_as(frames), images, 1.0)
        return torch.where(is_grey[:, None, None, None], grey, images).reshape(batch.shape)


def _grey(frames: Tensor) -> Tensor:
    """Brightness [..., 1, H, W] of frames [..., 3, H, W]."""
    red, green, blue = frames.unbind(-3)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(-3)


def _turn_hue(frames: Tensor, turn: Tensor) -> Tensor:
    """Frames [..., 3, H, W] in [0, 1] with their hue moved on by ``turn`` of the circle.

    With V the largest channel, D its distance to the smallest and H the hue in [0, 6), channel i of
    (red, green, blue) is V - D clip(min(k, 4 - k), 0, 1), k = (n_i + H) mod 6, n = (5, 3, 1).
    """
    red, green, blue = frames.unbind(-3)
    value, largest = frames.max(-3)
    distance = value - frames.amin(-3)
    safe = torch.where(distance == 0, 1, distance)
    hue = torch.where(
        largest == 0,
        (green - blue) / safe,
        torch.where(largest == 1, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = hue + 6 * turn.squeeze(-3)
    channels = []
    for offset in (5, 3, 1):
        k = (hue + offset).remainder(6)
        channels.append(value - distance * torch.minimum(k, 4 - k).clamp_(0, 1))
    return torch.stack(channels, dim=-3)
