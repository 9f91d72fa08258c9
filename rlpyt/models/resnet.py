"""The residual network of IMPALA (Espeholt et al. 2018, arXiv:1802.01561, figure 3, right).

Differs from the paper: no language input; torch's own initialisation.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlpyt.models.conv2d import (
    channels_first,
    flatten_image,
    image_layout,
    image_size,
    scaled_conv2d,
)

__all__ = ["ImpalaResNet"]


@final
class _ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.conv_2(torch.relu_(self.conv_1(torch.relu(x))))
        return x + inner


@final
class _Stage(nn.Module):
    """Convolution, max-pooling that halves height and width, residual blocks."""

    def __init__(self, n_in: int, n_out: int, n_blocks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.blocks = nn.ModuleList(_ResidualBlock(n_out) for _ in range(n_blocks))

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        x = functional.max_pool2d(
            scaled_conv2d(x, self.conv, scale), kernel_size=3, stride=2, padding=1
        )
        for block in self.blocks:
            x = block(x)
        return x


@final
class ImpalaResNet(nn.Module):
    """Convolution, pooling and residual blocks, then a linear layer.

    Images [..., *shape], of any size, to [..., feature_size]. Weights are kept in channels_last
    memory.

    Args:
        shape: Shape of one image, channel first or last
            (:func:`rlpyt.models.conv2d.image_layout`), uint8 or float.
        channels: Output channels of each stage.
        n_blocks: Residual blocks in each stage.
        feature_size: Length of the output.
        scale: What images are multiplied by: 1/255 for uint8.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        channels: Sequence[int] = (16, 32, 32),
        n_blocks: int = 2,
        feature_size: int = 256,
        scale: float = 1 / 255,
    ) -> None:
        super().__init__()
        self.layout = image_layout(shape)
        self.scale = scale
        self.feature_size = feature_size
        n_channels, height, width = image_size(shape)
        stages = []
        for n_out in channels:
            stages.append(_Stage(n_channels, n_out, n_blocks))
            n_channels, height, width = n_out, (height + 1) // 2, (width + 1) // 2
        self.stages = nn.ModuleList(stages)
        self.linear = nn.Linear(n_channels * height * width, feature_size)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs

    def forward(self, image: Tensor) -> Tensor:
        """[..., *shape] to [..., feature_size]."""
        leading, x = channels_first(image, self.layout)
        for index, stage in enumerate(self.stages):
            x = stage(x, self.scale if index == 0 else 1.0)
        x = torch.relu(self.linear(torch.relu_(flatten_image(x))))
        return x.reshape(*leading, self.feature_size)
