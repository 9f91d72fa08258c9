"""Images: their layout, uint8 until the first layer, and the trunk of the Nature DQN."""

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor, nn
from torch.nn import functional

from rlpyt.models.linear import large_linear
from rlpyt.models.mlp import HIDDEN_GAIN, Init, orthogonal_
from rlpyt.utils.errors import RlpytError

__all__ = [
    "Conv2d",
    "ImageLayout",
    "channels_first",
    "flatten_image",
    "image_layout",
    "image_size",
    "is_image",
    "scaled_conv2d",
]

ImageLayout = Literal["HW", "CHW", "HWC"]
"""Order of an image's axes: height, width, channel."""

_Layer = tuple[int, int, int, int]  # channels, kernel size, stride, padding


def is_image(space: Space[Any]) -> bool:
    """Whether ``space`` is an image.

    That is a uint8 Box of 2 or 3 dimensions, a bool Box of 3, or a float Box of 3 with bounds
    [0, 1] or [0, 255].
    """
    if not isinstance(space, spaces.Box):
        return False
    if space.dtype == np.uint8:
        return len(space.shape) in (2, 3)
    if space.dtype == np.bool_:
        return len(space.shape) == 3
    if len(space.shape) != 3 or not np.issubdtype(space.dtype, np.floating):
        return False
    return bool((space.low == 0).all() and ((space.high == 1).all() or (space.high == 255).all()))


def image_layout(shape: Sequence[int]) -> ImageLayout:
    """The order of an image's axes: where two neighbours are equal the third is the channel, else
    the smaller of first and last.

    ``(210, 160, 3)`` is HWC, as Gymnasium renders; ``(4, 84, 84)``, a stack of frames, is CHW, and
    so is ``(20, 7, 7)``, one-hot cells; two dimensions are HW.

    Raises:
        RlpytError: where first and last are equal, or the shape has not 2 or 3 dimensions.
    """
    if len(shape) == 2:
        return "HW"
    if len(shape) != 3:
        raise RlpytError(
            "space",
            f"an image of shape {tuple(shape)} has {len(shape)} dimensions, not 2 or 3",
            hint='stack grey frames (gymnasium GrayscaleObservation), or choose image="flatten"',
        )
    if shape[0] == shape[-1]:
        raise RlpytError(
            "space",
            f"image shape {tuple(shape)}: first and last are equal, the channel is ambiguous",
            hint='resize it so that the channel is the smaller one, or choose image="flatten"',
        )
    if (shape[0] == shape[1]) != (shape[1] == shape[2]):
        return "HWC" if shape[0] == shape[1] else "CHW"
    return "CHW" if shape[0] < shape[-1] else "HWC"


def image_size(shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, height, width) of an image of this shape."""
    layout = image_layout(shape)
    if layout == "HW":
        return 1, shape[0], shape[1]
    if layout == "HWC":
        return shape[2], shape[0], shape[1]
    return shape[0], shape[1], shape[2]


def channels_first(image: Tensor, layout: ImageLayout) -> tuple[tuple[int, ...], Tensor]:
    """Split [*leading, *image] into ``leading`` and a view [N, C, H, W], dtype unchanged."""
    n_dim = len(layout)
    leading = tuple(image.shape[:-n_dim])
    batch = image.reshape(-1, *image.shape[-n_dim:])
    if layout == "HW":
        return leading, batch.unsqueeze(1)
    return leading, batch if layout == "CHW" else batch.permute(0, 3, 1, 2)


def scaled_conv2d(image: Tensor, conv: nn.Conv2d, scale: float, shift: float = 0.0) -> Tensor:
    """``conv(scale * image + shift)`` for an image [N, C, H, W] of any dtype; with a shift ``conv``
    has no padding.

    The scale multiplies the weight, which is small, the shift goes into the bias, and the cast is
    also the change to channels_last memory: the image is passed over once.
    """
    image = image.to(conv.weight.dtype, memory_format=torch.channels_last)
    weight = conv.weight if scale == 1.0 else conv.weight * scale
    bias = conv.bias
    if shift and bias is not None:
        bias = bias + shift * conv.weight.sum((1, 2, 3))
    return functional.conv2d(image, weight, bias, conv.stride, conv.padding)


def flatten_image(x: Tensor) -> Tensor:
    """[N, C, H, W] to [N, H * W * C]: in this order a view of channels_last memory."""
    return x.permute(0, 2, 3, 1).flatten(1)


@final
class Conv2d(nn.Module):
    """Convolutions and a linear layer, ReLU after each: [..., *shape] to [..., feature_size].

    The defaults are the network of Mnih et al. 2015 (Nature 518). Weights are kept in
    channels_last memory.

    Args:
        shape: Shape of one image, channel first or last (:func:`image_layout`), uint8 or float.
        channels: Output channels of each convolution.
        kernel_sizes: Height and width of each kernel.
        strides: Stride of each convolution.
        paddings: Zero padding of each convolution.
        feature_size: Length of the output.
        scale: What images are multiplied by: 1/255 for uint8.
        shift: What is added then; the first convolution has no padding.
        init: ``"orthogonal"`` (gain sqrt 2, biases 0) or ``"default"`` (torch's).

    Raises:
        RlpytError: where the lists differ in length, or the image is too small for the kernels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channels: Sequence[int] = (32, 64, 64),
        kernel_sizes: Sequence[int] = (8, 4, 3),
        strides: Sequence[int] = (4, 2, 1),
        paddings: Sequence[int] = (0, 0, 0),
        feature_size: int = 512,
        scale: float = 1 / 255,
        shift: float = 0.0,
        init: Init = "orthogonal",
    ) -> None:
        super().__init__()
        layers = _zip_layers(channels, kernel_sizes, strides, paddings)
        self.layout = image_layout(shape)
        self.scale, self.shift = scale, shift
        self.feature_size = feature_size
        height, width = _output_size(shape, layers)
        convs, n_in = [], image_size(shape)[0]
        for n_out, kernel, stride, padding in layers:
            convs.append(nn.Conv2d(n_in, n_out, kernel, stride, padding))
            n_in = n_out
        self.convs = nn.ModuleList(convs)
        self.linear = nn.Linear(n_in * height * width, feature_size)
        if init == "orthogonal":
            orthogonal_(self, HIDDEN_GAIN)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs

    def forward(self, image: Tensor) -> Tensor:
        """[..., *shape] to [..., feature_size]."""
        leading, x = channels_first(image, self.layout)
        for index, conv in enumerate(self.convs):
            assert isinstance(conv, nn.Conv2d)
            first = index == 0
            x = torch.relu_(scaled_conv2d(x, conv, self.scale, self.shift) if first else conv(x))
        x = torch.relu_(large_linear(flatten_image(x), self.linear.weight, self.linear.bias))
        return x.reshape(*leading, self.feature_size)


def _zip_layers(*lists: Sequence[int]) -> list[_Layer]:
    if len({len(entries) for entries in lists}) != 1 or not lists[0]:
        channels, kernel_sizes, strides, paddings = map(tuple, lists)
        raise RlpytError(
            "config",
            f"{channels=}, {kernel_sizes=}, {strides=}, {paddings=}: one entry per layer each",
            hint="give all four the same length, at least 1",
        )
    return list(zip(*lists, strict=True))


def _output_size(shape: Sequence[int], layers: Sequence[_Layer]) -> tuple[int, int]:
    """Height and width after the convolutions."""
    _channels, height, width = image_size(shape)
    for _n_out, kernel, stride, padding in layers:
        height = (height + 2 * padding - kernel) // stride + 1
        width = (width + 2 * padding - kernel) // stride + 1
        if min(height, width) < 1:
            raise RlpytError(
                "space",
                f"an image of shape {tuple(shape)} is too small for convolutions with kernel sizes "
                f"{[layer[1] for layer in layers]} and strides {[layer[2] for layer in layers]}",
                hint='choose image="small" or image="flatten", or a gymnasium ResizeObservation',
            )
    return height, width
