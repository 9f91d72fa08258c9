"""Gymnasium's batched observations and actions, as trees of arrays and back.

What can be known of a space is found out once, since the rest happens at every step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from rlpyt.envs.spaces import space_children
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

__all__ = ["action_converter", "copy_final", "observation_copier", "set_rows", "zero_row"]


def set_rows(destination: Any, mask: Any, source: Any) -> None:
    """Copy the rows where ``mask`` is set."""
    destination[mask] = source[mask]


def observation_copier(space: spaces.Space[Any]) -> Callable[[Any, Any], None]:
    """A function that copies a batched Gymnasium observation of ``space`` into a tree.

    It raises RlpytError where the shapes differ.
    """
    children = space_children(space)
    if children is not None:
        keys = children if isinstance(space, spaces.Dict) else range(len(children))
        parts = list(zip(keys, map(observation_copier, children.values()), strict=True))

        def copy_tree(destination: Any, value: Any) -> None:
            for (key, copy_part), node in zip(parts, destination, strict=True):
                copy_part(node, value[key])

        return copy_tree
    start = _start_of(space)

    def copy(destination: Any, value: Any) -> None:
        if np.shape(value) != destination.shape:
            raise RlpytError(
                "env",
                f"the vector environment returned an observation of shape {np.shape(value)}, "
                f"its space says {destination.shape}",
                hint="make the two agree",
            )
        destination[...] = value if start is None else value - start

    return copy


def copy_final(space: spaces.Space[Any], destination: Any, value: Any, mask: Any) -> None:
    """Copy final observations, batched or as an object array with ``None`` where none ended."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        for i in np.flatnonzero(mask).tolist():
            _copy_rows(space, destination, value[i], i)
    else:
        _copy_rows(space, destination, value, mask, mask)


def _copy_rows(
    space: spaces.Space[Any], tree: Any, value: Any, rows: Any, of_value: Any = ()
) -> None:
    children = space_children(space)
    if children is None:
        start = _start_of(space)
        part = np.asarray(value)[of_value]
        tree[rows] = part if start is None else part - start
        return
    keys = children if isinstance(space, spaces.Dict) else range(len(children))
    for key, child, node in zip(keys, children.values(), tree, strict=True):
        _copy_rows(child, node, value[key], rows, of_value)


def _start_of(space: spaces.Space[Any]) -> Any:
    """What a tree, where everything counts from 0, is less than ``space``; None for nothing."""
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete) or not np.any(space.start):
        return None
    return space.start


def action_converter(space: spaces.Space[Any]) -> Callable[[Any], Any]:
    """A function from a batched action tree to what the vector environment takes, in memory of its
    own; Box actions are clipped to their bounds.
    """
    children = space_children(space)
    if children is not None:
        converters = {name: action_converter(child) for name, child in children.items()}
        if isinstance(space, spaces.Dict):
            return lambda action: {
                name: convert(getattr(action, name)) for name, convert in converters.items()
            }
        return lambda action: tuple(
            convert(part) for convert, part in zip(converters.values(), action, strict=True)
        )
    if isinstance(space, spaces.Box):
        low, high, dtype = space.low, space.high, space.dtype
        return lambda action: np.clip(action, low, high).astype(dtype, copy=False)
    start = _start_of(space)
    return np.copy if start is None else lambda action: action + start


def zero_row(tree: Any, i: int) -> None:
    """Zero row ``i`` of every array of ``tree``."""
    for leaf in leaves(tree):
        leaf[i] = 0
