"""Parameters of another library's network, each of which is taken once, under the name it has there
and to the name it gets here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.utils.errors import RlpytError

__all__ = ["Linear", "Parameter", "Plan", "Source", "convert_error", "critic_layers", "mlp_layers"]

_HINT: Final = "give the environment and the --nonlinearity that it was trained with"


def convert_error(what: str, where: Path | str, hint: str = "") -> RlpytError:
    """The error for a file whose parameters have no place here."""
    return RlpytError("convert", what, where=str(where), hint=hint or _HINT)


class Parameter(NamedTuple):
    """A tensor, and what it is called in the file."""

    origin: str
    tensor: Tensor


class Linear(NamedTuple):
    """A layer with weight [out, in] (a convolution's: [out, in, height, width]) and bias [out]."""

    weight: Parameter
    bias: Parameter

    @property
    def size(self) -> int:
        """Numbers that come out."""
        return self.bias.tensor.numel()

    def from_channels_last(self, channels: int) -> "Linear":
        """The same behind an image whose flattened form has channels last: here, not there."""
        origin, weight = self.weight
        if weight.dim() != 2 or weight.shape[1] % channels:
            return self  # fits nowhere; its shape is told later
        by_place = weight.reshape(len(weight), channels, -1).transpose(1, 2).flatten(1)
        return self._replace(weight=Parameter(origin, by_place))


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is that has these parameters: names are those of our models."""

    algorithm: str  # as `rlpyt train` calls it
    model_kwargs: dict[str, Any]
    parameters: dict[str, Parameter]  # of the agent's model
    critic_kwargs: dict[str, Any] = field(default_factory=dict)
    critic: dict[str, Parameter] = field(
        default_factory=dict
    )  # of a CriticModel; {}: there is none
    unit_actions: bool = False  # the policy is for actions within ±1, whatever the bounds


@final
class Source:
    """The tensors of a file; what nobody has taken at the end is an error."""

    def __init__(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        self._left = dict(tensors)
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str) -> Parameter:
        """The parameter called ``name``.

        Raises:
            RlpytError: ``convert``, where there is none.
        """
        if name not in self._left:
            there = [f"{each} {tuple(tensor.shape)}" for each, tensor in self._left.items()]
            what = f"there is no parameter {name}; the first there is {(there or ['none'])[0]}"
            raise convert_error(what, self.path, "is it of the kind of library that you named?")
        tensor = self._left.pop(name)
        return Parameter(name, tensor.float() if tensor.is_floating_point() else tensor)

    def linear(self, name: str) -> Linear:
        """The layer called ``name``."""
        return Linear(self.take(f"{name}.weight"), self.take(f"{name}.bias"))

    def linears(self, prefix: str) -> list[Linear]:
        """The layers of a ``torch.nn.Sequential``, between which there are functions."""
        start = f"{prefix}." if prefix else ""
        names = {
            name.removeprefix(start).split(".")[0] for name in self._left if name.startswith(start)
        }
        return [self.linear(f"{start}{n}") for n in sorted(int(n) for n in names if n.isdecimal())]

    def drop(self, prefix: str) -> None:
        """Leave out what begins so: target networks, say."""
        self._left = {
            name: value for name, value in self._left.items() if not name.startswith(prefix)
        }

    def finish(self) -> None:
        """Raise unless all has been taken.

        Raises:
            RlpytError: ``convert``, with the first that is left, and its shape.
        """
        for name, tensor in self._left.items():
            what = f"parameter {name} {tuple(tensor.shape)} has no place in our models"
            hint = "networks of other layouts cannot be converted"
            raise convert_error(what, self.path, hint)


def mlp_layers(prefix: str, layers: Sequence[Linear]) -> dict[str, Parameter]:
    """``layers`` as the parameters of an ``Mlp`` with an output."""
    found = {}
    for place, layer in enumerate(layers):
        name = "output" if place == len(layers) - 1 else f"hidden.{place}"
        found[f"{prefix}{name}.weight"] = layer.weight
        found[f"{prefix}{name}.bias"] = layer.bias
    return found


def critic_layers(critics: Sequence[Sequence[Linear]], path: Path) -> dict[str, Parameter]:
    """The layers of each critic as the parameters of a ``CriticModel``.

    Raises:
        RlpytError: ``convert``, where the critics are not of one shape.
    """
    found = {}
    for place, layers in enumerate(zip(*critics, strict=False)):
        first = layers[0]
        for layer, critic in zip(layers, critics, strict=True):
            if layer.weight.tensor.shape != first.weight.tensor.shape or len(critic) != len(
                critics[0]
            ):
                what = f"{layer.weight.origin} {tuple(layer.weight.tensor.shape)} is not as"
                what += f" {first.weight.origin} {tuple(first.weight.tensor.shape)}"
                raise convert_error(what, path, "critics must be of one shape")
        name = "output" if place == len(critics[0]) - 1 else f"hidden.{place}"
        weights = torch.stack([layer.weight.tensor.t() for layer in layers])
        biases = torch.stack([layer.bias.tensor for layer in layers]).unsqueeze(1)
        found[f"networks.{name}.weight"] = Parameter(first.weight.origin, weights)
        found[f"networks.{name}.bias"] = Parameter(first.bias.origin, biases)
    return found
