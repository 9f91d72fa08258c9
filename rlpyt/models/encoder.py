"""From an observation tree to one feature vector: leaves are encoded, then concatenated.

=============  =====================================================================================
space          features
=============  =====================================================================================
Box            the numbers, flattened; uint8 divided by its upper bound
image          a convolutional trunk (:func:`rlpyt.models.conv2d.is_image` says what an image is)
Discrete       one-hot
MultiDiscrete  one one-hot per entry
MultiBinary    0.0 and 1.0
=============  =====================================================================================
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, final, get_args

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.envs.spaces import space_items
from rlpyt.models.conv2d import Conv2d, image_size, is_image
from rlpyt.models.mlp import Mlp, Nonlinearity
from rlpyt.models.resnet import ImpalaResNet
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["Encoder", "ImageTrunk", "encoded_items", "encoder_for"]

ImageTrunk = Literal["auto", "nature", "small", "impala", "drq", "rlpyt_pg", "rlpyt_dqn", "flatten"]
"""How images are encoded: Mnih et al. 2015, two small convolutions for images of a few cells
(MiniGrid, MinAtar), Espeholt et al. 2018, Yarats et al. 2021 (four convolutions that keep where
things are), as rlpyt 0.1 did for policy gradients and for DQN, or as plain vectors. ``"auto"``:
small where rows or columns are fewer than the Nature network needs, else that."""

_NATURE_LEAST = 36  # rows and columns


@final
class _Vector(nn.Module):
    """Numbers of any dtype [..., *shape] as floats [..., product of shape], times ``scale``."""

    one: Tensor

    def __init__(self, shape: tuple[int, ...], scale: float) -> None:
        super().__init__()
        self.n_dim = len(shape)
        self.scale = scale
        self.feature_size = math.prod(shape)
        self.register_buffer("one", torch.ones(()), persistent=False)  # knows the module's dtype

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1) if self.n_dim == 0 else x.flatten(-self.n_dim)
        x = x.to(self.one.dtype)
        return x if self.scale == 1.0 else x * self.scale


@final
class _OneHot(nn.Module):
    """Indices from 0 [..., *shape] as one-hots, side by side [..., sum of ``sizes``].

    An index out of range gives zeros.
    """

    one: Tensor
    entry: Tensor
    category: Tensor

    def __init__(self, shape: tuple[int, ...], sizes: Sequence[int]) -> None:
        super().__init__()
        self.n_dim = len(shape)
        self.feature_size = sum(sizes)
        entry = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        self.register_buffer("one", torch.ones(()), persistent=False)  # knows the module's dtype
        self.register_buffer("entry", entry, persistent=False)
        self.register_buffer(
            "category", torch.cat([torch.arange(size) for size in sizes]), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        x = (
            x.unsqueeze(-1)
            if self.n_dim == 0
            else x.flatten(-self.n_dim).index_select(-1, self.entry)
        )
        return (x == self.category).to(self.one.dtype)


_LeafNetwork = _Vector | _OneHot | Conv2d | ImpalaResNet


@final
class Encoder(nn.Module):
    """Observation trees [..., *shape] to features [..., feature_size]; see :func:`encoder_for`.

    Args:
        leaves: For each encoded leaf, the field names on the way to it and its network; empty where
            the observation, one float vector [..., input_size], is the features already.
        input_size: Length of the concatenated features.
        body: A network over the concatenated features, or ``None``.
    """

    def __init__(
        self,
        leaves: Sequence[tuple[tuple[str, ...], _LeafNetwork]],
        *,
        input_size: int,
        body: Mlp | None,
    ) -> None:
        super().__init__()
        self.paths = [path for path, _network in leaves]
        self.networks = nn.ModuleList(network for _path, network in leaves)
        self.body = body
        self.feature_size = input_size if body is None else body.output_size

    @property
    def is_identity(self) -> bool:
        """Whether the features are the observation itself, so that the call can be left out."""
        return not self.paths and self.body is None

    def forward(self, observation: Any) -> Tensor:
        """[..., *shape] to [..., feature_size]."""
        features: Tensor = self._encode(observation) if self.paths else observation
        if self.body is not None:
            features = self.body(features)
        return features

    def _encode(self, observation: Any) -> Tensor:
        encoded = []
        for path, network in zip(self.paths, self.networks, strict=True):
            leaf = observation
            for name in path:
                leaf = getattr(leaf, name)
            encoded.append(network(leaf))
        return encoded[0] if len(encoded) == 1 else torch.cat(encoded, dim=-1)


def encoded_items(observation_space: Space[Any]) -> list[tuple[str, Space[Any]]]:
    """(dotted path, space) of every leaf that is encoded: all but a top-level ``action_mask``.

    Raises:
        RlpytError: where nothing is left.
    """
    items = [item for item in space_items(observation_space) if item[0] != "action_mask"]
    if not items:
        raise RlpytError(
            "space",
            f"{observation_space} has nothing to encode",
            hint="give the observation a field besides an action_mask",
        )
    return items


def encoder_for(
    observation_space: Space[Any],
    *,
    hidden_sizes: Sequence[int] = (),
    nonlinearity: Nonlinearity = "tanh",
    image: ImageTrunk = "auto",
) -> Encoder:
    """An encoder for the trees of ``observation_space``, without a top-level ``action_mask``.

    Args:
        observation_space: Any space :mod:`rlpyt.envs.spaces` has arrays for; indices from 0.
        hidden_sizes: Hidden layers over the concatenated features; empty for none.
        nonlinearity: Their nonlinearity.
        image: How images are encoded.

    Raises:
        RlpytError: for a space that cannot be encoded, an ambiguous image, or an unknown option.
    """
    if image not in get_args(ImageTrunk):
        raise RlpytError(
            "config",
            f"image={image!r} is not known",
            hint=did_you_mean(image, get_args(ImageTrunk)),
        )
    leaves = [
        (tuple(path.split(".")) if path else (), _leaf_network(leaf, image))
        for path, leaf in encoded_items(observation_space)
    ]
    input_size = sum(network.feature_size for _path, network in leaves)
    if len(leaves) == 1 and leaves[0][0] == () and _is_float_vector(observation_space):
        leaves = []
    body = Mlp(input_size, hidden_sizes, nonlinearity=nonlinearity) if hidden_sizes else None
    return Encoder(leaves, input_size=input_size, body=body)


def _leaf_network(space: Space[Any], image: ImageTrunk) -> _LeafNetwork:
    if isinstance(space, spaces.Box):
        return _box_network(space, image)
    if isinstance(space, spaces.Discrete):
        return _OneHot((), [int(space.n)])
    if isinstance(space, spaces.MultiDiscrete):
        return _OneHot(space.shape, space.nvec.flatten().tolist())
    if isinstance(space, spaces.MultiBinary):
        return _Vector(space.shape, 1.0)
    raise RlpytError(
        "space",
        f"space {space} cannot be encoded",
        hint="turn it into a Box with a gymnasium wrapper",
    )


def _box_network(space: spaces.Box, image: ImageTrunk) -> _LeafNetwork:
    bytes_ = space.dtype == np.uint8
    scale = 1 / max(float(space.high.max()), 1.0) if bytes_ or is_image(space) else 1.0
    if image == "flatten" or not (is_image(space) or (bytes_ and len(space.shape) > 1)):
        return _Vector(space.shape, scale)
    if image == "impala":
        return ImpalaResNet(space.shape, scale=scale)
    if image == "drq":  # arXiv:2107.09645, of images within ±½
        four: dict[str, Any] = {"channels": (32,) * 4, "kernel_sizes": (3,) * 4}
        four |= {"strides": (2, 1, 1, 1), "paddings": (0,) * 4, "feature_size": 50}
        return Conv2d(space.shape, scale=scale, shift=-0.5, **four)
    if image == "rlpyt_pg":  # arXiv:1909.01500
        two: dict[str, Any] = {"channels": (16, 32), "kernel_sizes": (8, 4), "strides": (4, 2)}
        return Conv2d(space.shape, scale=scale, paddings=(0, 1), **two)
    if image == "rlpyt_dqn":
        return Conv2d(space.shape, scale=scale, paddings=(0, 1, 1))
    if image == "nature" or (image == "auto" and min(image_size(space.shape)[1:]) >= _NATURE_LEAST):
        return Conv2d(space.shape, scale=scale)
    return Conv2d(
        space.shape,
        channels=(16, 32),
        kernel_sizes=(3, 3),
        strides=(1, 1),
        paddings=(0, 0),
        feature_size=128,
        scale=scale,
    )


def _is_float_vector(space: Space[Any]) -> bool:
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) == 1
        and space.dtype in (np.float32, np.float64)
    )
