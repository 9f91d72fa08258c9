"""Networks from an observation to features, trained or random."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, final

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.models.convolutions import convolution_encoder
from rlpyt.models.encoder import Encoder, ImageTrunk
from rlpyt.models.mlp import HIDDEN_GAIN, Mlp
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.errors import RlpytError

__all__ = ["FeatureNetwork", "FeatureOptions", "frozen", "in_chunks"]

Network = TypeVar("Network", bound=nn.Module)

_CHUNK = 128  # observations encoded at once


class FeatureOptions(NamedTuple):
    """How observations are encoded."""

    feature_size: int = 128  # length of the features
    hidden_sizes: Sequence[int] = (256,)  # hidden layers behind convolutions or numbers
    image: ImageTrunk = "auto"  # the convolutions of an image


@final
class FeatureNetwork(nn.Module):
    """Convolutions of images, hidden layers with ReLU, and a linear layer: [..., *shape] to
    [..., feature_size].

    The features are linear outputs: behind a ReLU a random network's would lose half of what they
    tell.

    Args:
        encoder: Observation to numbers.
        body: The layers behind it.
    """

    def __init__(self, *, encoder: Encoder, body: Mlp) -> None:
        super().__init__()
        self.encoder = encoder
        self.body = body
        self.feature_size = body.output_size

    @classmethod
    def from_space(
        cls, observation_space: Space[Any], options: FeatureOptions, *, extra_layers: int = 0
    ) -> "FeatureNetwork":
        """Build for ``observation_space``, with ``extra_layers`` more hidden layers of
        ``feature_size``.

        Raises:
            RlpytError: for a space that cannot be encoded, an unknown option, or a size below 1.
        """
        size, hidden, image = options
        if min(size, *hidden, size) < 1:
            what = f"feature_size={size}, hidden_sizes={tuple(hidden)}"
            raise RlpytError("config", what, hint="use 1 or more for each")
        encoder = convolution_encoder(observation_space, image)
        sizes = (*hidden, *(size,) * extra_layers)
        body = Mlp(encoder.feature_size, sizes, size, "relu", output_gain=HIDDEN_GAIN)
        return cls(encoder=encoder, body=body)

    def forward(self, observation: Any) -> Tensor:
        """Features [..., feature_size] of an observation tree [..., *shape]."""
        features: Tensor = self.body(self.encoder(observation))
        return features


def frozen(network: Network) -> Network:
    """``network`` itself, never to be trained."""
    network.requires_grad_(False)
    return network


def in_chunks(function: Callable[..., Tensor], *trees: Any) -> Tensor:
    """``function`` of trees [N, ...], applied to trees [T, B, ...], a few hundred transitions at a
    time, so that images fit into caches and memory: [T, B, ...].
    """
    T, B = leaves(trees[0])[0].shape[:2]
    flat = [buffer_map(lambda leaf: leaf.flatten(0, 1), tree) for tree in trees]
    found = [
        function(*(buffer_map(lambda leaf, at=at: leaf[at : at + _CHUNK], tree) for tree in flat))
        for at in range(0, T * B, _CHUNK)
    ]
    whole = found[0] if len(found) == 1 else torch.cat(found)
    return whole.reshape(T, B, *whole.shape[1:])
