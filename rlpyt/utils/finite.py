"""Numbers that are not finite, found and named."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["NamedTensors", "blame", "first_bad", "is_known_bad", "named_tensors"]

NamedTensors = Mapping[str, Tensor]
"""Tensors by name: parameters, or their gradients."""


def blame(parameters: NamedTensors, gradients: NamedTensors, args: Any, report: Any) -> str:
    """What of an update is not finite, the first of each kind in the order in which they are
    computed: a parameter, an input of the loss, a term of it, a gradient.
    """
    inputs = dict(named_tensors(args))
    kinds = {
        "parameter {} was {} before it": parameters,
        "input {} is {}": inputs,
        "loss term {} is {}": dict(named_tensors(report)),
        "the gradient of {} is {}": gradients,
    }
    found = []
    for text, tensors in kinds.items():
        bad = first_bad(tensors)
        found += [] if bad is None else [text.format(*bad)]
    return "; ".join(found) or "all its numbers are finite, their squares' sum is not"


def is_known_bad(number: Tensor) -> bool:
    """Whether the scalar is seen not to be finite; on an accelerator a look would wait for the
    device, and there the answer is no.
    """
    return number.device.type == "cpu" and not math.isfinite(number.item())


def first_bad(tensors: NamedTensors) -> tuple[str, float] | None:
    """Name with index, and value, of the first number that is not finite."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            bad = (~torch.isfinite(tensor.detach())).reshape(-1)
            if bool(bad.any()):
                first = int(bad.int().argmax())
                index = torch.unravel_index(torch.tensor(first), tensor.shape)
                place = f"[{', '.join(str(int(each)) for each in index)}]" if tensor.dim() else ""
                return name + place, float(tensor.detach().reshape(-1)[first])
    return None


def named_tensors(tree: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tree of named and other tuples, lists and dicts, by their paths."""
    if isinstance(tree, Tensor):
        yield path or "loss", tree
        return
    pairs: Any = ()
    if isinstance(tree, tuple | list):
        names = getattr(tree, "_fields", range(len(tree)))
        pairs = zip(names, tree, strict=True)
    elif isinstance(tree, Mapping):
        pairs = tree.items()
    for name, part in pairs:
        yield from named_tensors(part, f"{path}.{name}" if path else str(name))
