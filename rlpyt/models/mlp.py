"""Multi-layer perceptrons, and the initialisation and nonlinearities every trunk shares."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from rlpyt.models.linear import LinearFunction, linear_function
from rlpyt.models.relu_mlp import can_fuse, relu_mlps
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["HIDDEN_GAIN", "Init", "Mlp", "Nonlinearity", "nonlinearity_function", "orthogonal_"]

Nonlinearity = Literal["tanh", "relu", "elu", "silu", "gelu"]
"""The elementwise functions a network can be built with."""

Init = Literal["orthogonal", "default"]
"""How weights start: orthogonal with zero biases, or torch's own uniform scheme."""

_LARGEST_WEIGHT: Final = 2**18  # numbers; beyond, copies of gradients cost more than calls

HIDDEN_GAIN: Final = math.sqrt(2.0)
"""Gain of orthogonal hidden layers, as in published policy-gradient practice."""

_NONLINEARITIES: Final = MappingProxyType(
    {
        "tanh": torch.tanh,
        "relu": torch.relu,
        "elu": functional.elu,
        "silu": functional.silu,
        "gelu": functional.gelu,
    }
)


def nonlinearity_function(name: Nonlinearity) -> Callable[[Tensor], Tensor]:
    """The elementwise function called ``name``.

    Raises:
        RlpytError: for a name that is not known.
    """
    if name not in _NONLINEARITIES:
        raise RlpytError(
            "config",
            f"nonlinearity={name!r} is not known",
            hint=did_you_mean(name, _NONLINEARITIES),
        )
    function: Callable[[Tensor], Tensor] = _NONLINEARITIES[name]
    return function


def orthogonal_(module: nn.Module, gain: float) -> None:
    """Make every matrix of ``module`` orthogonal times ``gain``, every bias zero.

    Saxe et al. 2014, arXiv:1312.6120. A convolution's weight counts as a matrix
    [out, in * height * width], an LSTM's stacked gates as one matrix.
    """
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.orthogonal_(parameter, gain)
        else:
            nn.init.zeros_(parameter)


@final
class Mlp(nn.Module):
    """Linear layers with a nonlinearity between them: [..., input_size] to [..., output_size].

    Without ``output_size`` the last hidden layer, nonlinearity included, is the output.

    Args:
        input_size: Length of the input.
        hidden_sizes: Length of each hidden layer; may be empty.
        output_size: Length of a last linear layer without nonlinearity; ``None`` for none.
        nonlinearity: The function after each hidden layer.
        init: ``"orthogonal"`` (hidden gain sqrt 2, biases 0) or ``"default"`` (torch's).
        output_gain: Orthogonal gain of the last linear layer.
        layer_norm: Normalise before each nonlinearity (Ba et al. 2016, arXiv:1607.06450).
    """

    def __init__(
        self,
        input_size: int,
        hidden_sizes: Sequence[int],
        output_size: int | None = None,
        nonlinearity: Nonlinearity = "tanh",
        *,
        init: Init = "orthogonal",
        output_gain: float = 1.0,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.activation = nonlinearity_function(nonlinearity)
        sizes = (input_size, *hidden_sizes)
        self.hidden = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(sizes))
        self.output = None if output_size is None else nn.Linear(sizes[-1], output_size)
        # Plain attributes beside the registered ones: a module's own attribute lookup and call cost
        # more than the arithmetic of a small batch, and acting does both at every step.
        self._chain = [_with_function(layer) for layer in self.hidden]
        self.norms = nn.ModuleList(nn.LayerNorm(n) for n in (hidden_sizes if layer_norm else ()))
        self._has_norms = layer_norm
        self._tail = [] if self.output is None else [_with_function(self.output)]
        self.output_size: int = sizes[-1] if output_size is None else output_size
        layers = [layer for layer, _function in (*self._chain, *self._tail)]
        self._largest = max((layer.weight.numel() for layer in layers), default=0)
        is_plain = nonlinearity == "relu" and not layer_norm and output_size is not None
        self._is_one_function = is_plain and self._largest <= _LARGEST_WEIGHT
        if init == "orthogonal":
            orthogonal_(self.hidden, HIDDEN_GAIN)
            if self.output is not None:
                orthogonal_(self.output, output_gain)

    def forward(self, x: Tensor) -> Tensor:
        """[..., input_size] to [..., output_size]."""
        if self._is_one_function and x.dim() == 2 and can_fuse(x, self._largest):
            return self._fused(x)
        activation = self.activation
        if self._has_norms:
            return self._normalized(x)
        for layer, linear in self._chain:
            weights = layer._parameters
            x = activation(linear(x, weights["weight"], weights["bias"]))  # type: ignore[arg-type]  # never None
        for layer, linear in self._tail:
            weights = layer._parameters
            x = linear(x, weights["weight"], weights["bias"])  # type: ignore[arg-type]  # never None
        return x

    def _fused(self, x: Tensor) -> Tensor:
        layers = [layer for layer, _function in (*self._chain, *self._tail)]
        weights = [layer.weight.t().unsqueeze(0) for layer in layers]
        return relu_mlps(x, weights, [layer.bias.view(1, 1, -1) for layer in layers])[0]

    def _normalized(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = self.activation(norm(layer(x)))
        return x if self.output is None else self.output(x)


def _with_function(layer: nn.Module) -> tuple[nn.Linear, LinearFunction]:
    assert isinstance(layer, nn.Linear)
    return layer, linear_function(layer.weight)
