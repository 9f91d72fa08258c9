"""Gymnasium's batched observations and actions, as trees of arrays and back."""

from typing import Any

import numpy as np
from gymnasium import spaces

from rlpyt.envs.spaces import space_children
from rlpyt.utils.errors import RlpytError

__all__ = ["copy_final", "copy_observation", "set_rows", "to_native"]


def set_rows(destination: Any, mask: Any, source: Any) -> None:
    """Copy the rows where ``mask`` is set."""
    destination[mask] = source[mask]


def copy_observation(space: Any, destination: Any, value: Any, rows: Any = slice(None)) -> None:
    """Copy ``rows`` of a batched Gymnasium observation into a tree."""
    for leaf_space, leaf, part in _leaf_parts(space, destination, value):
        if np.shape(part) != leaf.shape:
            raise RlpytError(
                "env",
                f"the vector environment returned an observation of shape {np.shape(part)}, "
                f"its space says {leaf.shape}",
                hint="make the two agree",
            )
        leaf[rows] = _from_zero(leaf_space, part[rows])


def copy_final(space: Any, destination: Any, value: Any, mask: Any) -> None:
    """Copy final observations, batched or as an object array with ``None`` where none ended."""
    if not isinstance(value, np.ndarray) or value.dtype != object:
        copy_observation(space, destination, value, mask)
        return
    for i in np.flatnonzero(mask).tolist():
        for leaf_space, leaf, part in _leaf_parts(space, destination, value[i]):
            leaf[i] = _from_zero(leaf_space, part)


def _leaf_parts(space: Any, tree: Any, value: Any) -> list[tuple[Any, Any, Any]]:
    """(space, leaf of ``tree``, part of the Gymnasium ``value``) of every leaf."""
    children = space_children(space)
    if children is None:
        return [(space, tree, value)]
    parts = [value[name] for name in children] if isinstance(space, spaces.Dict) else list(value)
    triples = zip(children.values(), tree, parts, strict=True)
    return [found for child, node, part in triples for found in _leaf_parts(child, node, part)]


def _from_zero(space: Any, value: Any) -> Any:
    """``value`` counted from 0, as in every tree, whatever the space's ``start``."""
    is_counted = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    return value - space.start if is_counted else value


def to_native(space: Any, action: Any) -> Any:
    """A batched action tree as the vector environment takes it; Box actions clipped to their
    bounds.
    """
    if isinstance(space, spaces.Dict):
        return {
            name: to_native(child, getattr(action, name)) for name, child in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(
            to_native(child, part) for child, part in zip(space.spaces, action, strict=True)
        )
    if isinstance(space, spaces.Box):
        return np.clip(action, space.low, space.high).astype(space.dtype, copy=False)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return action + space.start
    return action.copy()
