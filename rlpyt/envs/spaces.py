"""Gymnasium spaces and trees: a Dict or Tuple space is a NamedArrayTuple of arrays, everything else
one array.

=============  ============================  ==========================
space          array                         dtype
=============  ============================  ==========================
Box            [*shape]                      the space's; float64 becomes float32
Discrete       []                            int64
MultiDiscrete  [*shape]                      int64
MultiBinary    [*shape]                      int8
Dict, Tuple    a NamedArrayTuple of the above
=============  ============================  ==========================
"""

from typing import Any

import numpy as np
from gymnasium import Space, spaces

from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError

__all__ = [
    "action_from_tree",
    "example_of",
    "random_action",
    "space_children",
    "space_items",
    "tree_class",
]

_SUPPORTED = "Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple"


def space_children(space: Space[Any]) -> dict[str, Space[Any]] | None:
    """Field name to space for a Dict (its keys) or Tuple (``item_0``, ...); ``None`` for a leaf."""
    if isinstance(space, spaces.Dict):
        return dict(space.spaces)
    if isinstance(space, spaces.Tuple):
        return {f"item_{index}": child for index, child in enumerate(space.spaces)}
    return None


def tree_class(space: Space[Any]) -> Any:
    """The NamedArrayTuple class that holds a Dict or Tuple space's values.

    Raises:
        RlpytError: where a key cannot be a field name.
    """
    children = space_children(space)
    assert children is not None
    typename = "DictTree" if isinstance(space, spaces.Dict) else "TupleTree"
    try:
        return namedarraytuple(typename, tuple(children))
    except ValueError as error:
        raise RlpytError(
            "space",
            f"the keys {list(children)} of a Dict space cannot all be field names: {error}",
            hint="rename the keys to Python identifiers with a gymnasium wrapper",
        ) from error


def example_of(space: Space[Any]) -> Any:
    """A tree of zeros shaped and typed as one element of ``space``.

    Raises:
        RlpytError: for a space this library has no array for.
    """
    children = space_children(space)
    if children is not None:
        return tree_class(space)._make(example_of(child) for child in children.values())
    if isinstance(space, spaces.Box):
        return np.zeros(space.shape, dtype=np.float32 if space.dtype == np.float64 else space.dtype)
    if isinstance(space, spaces.Discrete):
        return np.zeros((), dtype=np.int64)
    if isinstance(space, spaces.MultiDiscrete):
        return np.zeros(space.shape, dtype=np.int64)
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, dtype=np.int8)
    raise RlpytError(
        "space",
        f"space {space} is not supported",
        hint=f"wrap the environment so that it has {_SUPPORTED} spaces",
    )


def space_items(space: Space[Any], path: str = "") -> list[tuple[str, Space[Any]]]:
    """(dotted path, space) of every leaf, in the order of the tree's leaves; a lone leaf has the
    path ``""``.
    """
    children = space_children(space)
    if children is None:
        return [(path, space)]
    prefix = f"{path}." if path else ""
    return [item for name, child in children.items() for item in space_items(child, prefix + name)]


def action_from_tree(space: Space[Any], tree: Any, index: int) -> Any:
    """Row ``index`` of a batched action tree [B, ...] as the Gymnasium action the environment
    takes.

    A bounded Box action is clipped to its bounds here, at the edge, and nowhere else.
    """
    if isinstance(space, spaces.Dict):
        return {
            name: action_from_tree(child, getattr(tree, name), index)
            for name, child in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(
            action_from_tree(child, part, index)
            for child, part in zip(space.spaces, tree, strict=True)
        )
    row = tree[index]
    if isinstance(space, spaces.Discrete):
        return int(row) + int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        return row + space.start
    if isinstance(space, spaces.Box):
        return np.asarray(np.clip(row, space.low, space.high), dtype=space.dtype)
    return row.astype(space.dtype, copy=True)


def random_action(space: Space[Any], observation: Any, index: int) -> Any:
    """A uniformly drawn Gymnasium action, allowed by row ``index`` of an ``action_mask`` in the
    observation tree [B, ...], if there is one.

    Raises:
        RlpytError: for a mask over an action that is neither Discrete nor MultiDiscrete.
    """
    if "action_mask" not in getattr(observation, "_fields", ()):
        return space.sample()
    mask = np.asarray(observation.action_mask[index], dtype=np.int8).reshape(-1)
    if isinstance(space, spaces.Discrete):
        return space.sample(mask=mask)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return space.sample(mask=tuple(np.split(mask, np.cumsum(space.nvec)[:-1])))
    raise RlpytError(
        "config",
        f"random actions under an action_mask are not available for {space}",
        hint="use max_decorrelation_steps=0",
    )
