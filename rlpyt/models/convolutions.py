"""Image trunks without their linear layer, for models whose linear layers are their own: noisy, or
one for each stream.
"""

from typing import Any, final

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.models.conv2d import Conv2d, channels_first, flatten_image, scaled_conv2d
from rlpyt.models.encoder import Encoder, ImageTrunk, encoder_for
from rlpyt.models.resnet import ImpalaResNet

__all__ = ["Convolutions", "convolution_encoder"]


@final
class Convolutions(nn.Module):
    """The convolutions of ``trunk``, flattened: [..., *shape] to [..., feature_size].

    3136 features for the network of Mnih et al. 2015 on images of 84x84. The layers are taken over,
    with their memory layout; the linear layer is left out. ``layer_norm``: normalise each plain
    convolution's output before its nonlinearity, over channels and places, with a scale and a shift
    for each channel.
    """

    def __init__(self, trunk: Conv2d | ImpalaResNet, *, layer_norm: bool = False) -> None:
        super().__init__()
        self.layout = trunk.layout
        self.scale = trunk.scale
        self.shift = trunk.shift if isinstance(trunk, Conv2d) else 0.0
        self.feature_size = trunk.linear.in_features
        self.layers = trunk.convs if isinstance(trunk, Conv2d) else trunk.stages
        self.norms = nn.ModuleList(
            nn.GroupNorm(1, layer.out_channels)
            for layer in self.layers
            if layer_norm and isinstance(layer, nn.Conv2d)
        )

    def forward(self, image: Tensor) -> Tensor:
        """[..., *shape] to [..., feature_size]."""
        leading, x = channels_first(image, self.layout)
        for index, layer in enumerate(self.layers):
            scale, shift = (self.scale, self.shift) if index == 0 else (1.0, 0.0)
            if isinstance(layer, nn.Conv2d):
                x = scaled_conv2d(x, layer, scale, shift)
                if self.norms:
                    x = self.norms[index](x)
                x = torch.relu_(x)
            else:
                x = layer(x, scale)
        if not isinstance(layer, nn.Conv2d):  # a residual stage ends without nonlinearity
            x = torch.relu_(x)
        return flatten_image(x).reshape(*leading, self.feature_size)


def convolution_encoder(
    observation_space: Space[Any], image: ImageTrunk, *, layer_norm: bool = False
) -> Encoder:
    """As :func:`rlpyt.models.encoder.encoder_for`, each image by its trunk's convolutions alone."""
    encoder = encoder_for(observation_space, image=image)
    if encoder.is_identity:
        return encoder
    networks: list[nn.Module] = []
    input_size = encoder.feature_size
    for network in encoder.networks:
        if isinstance(network, Conv2d | ImpalaResNet):
            convolutions = Convolutions(network, layer_norm=layer_norm)
            input_size += convolutions.feature_size - network.feature_size
            networks.append(convolutions)
        else:
            networks.append(network)
    leaves: Any = list(zip(encoder.paths, networks, strict=True))  # an Encoder calls any network
    return Encoder(leaves, input_size=input_size, body=None)
