"""The actions of an episode as data for JSON, and back to the very objects that an environment got.

Columns, so that a long episode of one kind of action stays small::

    {"dtype": "float32", "shape": [2], "scalar": false, "values": [[0.5, "nan"], ...]}
    {"dict": {"arm": {...}, "leg": {...}}}
    {"tuple": [{...}, {...}]}
    {"plain": [0, 2, 1]}            Python's own numbers
    {"mixed": [{...}, ...]}         where kinds or shapes differ: one column for each action
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlpyt.utils.config import config_value

__all__ = ["decode_actions", "encode_actions"]

_KINDS = "biuf"  # bool, signed and unsigned integers, floats: what action spaces are made of


def encode_actions(actions: Sequence[Any]) -> dict[str, Any]:
    """``actions``, Gymnasium actions of one space, as data for JSON; NaN and infinities as text."""
    if not actions:
        return {"plain": []}
    first = actions[0]
    if isinstance(first, dict) and all(
        isinstance(action, dict) and action.keys() == first.keys() for action in actions
    ):
        return {"dict": {k: encode_actions([action[k] for action in actions]) for k in first}}
    if isinstance(first, tuple) and all(
        isinstance(action, tuple) and len(action) == len(first) for action in actions
    ):
        return {"tuple": [encode_actions(column) for column in zip(*actions, strict=True)]}
    if isinstance(first, np.ndarray | np.generic) and all(
        type(action) is type(first) and (action.dtype, action.shape) == (first.dtype, first.shape)
        for action in actions
    ):
        return _encode_arrays(actions, first)
    nested = any(isinstance(action, dict | tuple | np.ndarray | np.generic) for action in actions)
    if nested and len(actions) > 1:
        return {"mixed": [encode_actions([action]) for action in actions]}
    return {"plain": config_value(list(actions))}


def _encode_arrays(actions: Sequence[Any], first: Any) -> dict[str, Any]:
    array = np.stack(actions)
    values = array.tolist()
    if array.dtype.kind not in _KINDS or not np.isfinite(array).all():
        values = config_value(values)
    return {
        "dtype": str(array.dtype),
        "shape": list(first.shape),
        "scalar": isinstance(first, np.generic),
        "values": values,
    }


def decode_actions(data: Any) -> list[Any]:
    """What :func:`encode_actions` was given: same classes, dtypes, shapes and bits.

    Raises:
        ValueError: for anything that it does not write.
    """
    if not isinstance(data, dict):
        raise ValueError(f"a column of actions is an object, not {type(data).__name__}")
    if data.keys() == {"plain"}:
        return _listed(data["plain"])
    if data.keys() == {"mixed"}:
        return [action for column in _listed(data["mixed"]) for action in decode_actions(column)]
    if data.keys() == {"tuple"}:
        columns = [decode_actions(column) for column in _listed(data["tuple"])]
        return list(zip(*columns, strict=True))
    if data.keys() == {"dict"} and isinstance(data["dict"], dict):
        names = list(data["dict"])
        columns = [decode_actions(column) for column in data["dict"].values()]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if data.keys() == {"dtype", "shape", "scalar", "values"}:
        return _decode_arrays(data)
    raise ValueError(f"a column of actions with the keys {sorted(data)}")


def _listed(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError(f"expected a list, found {type(data).__name__}")
    return data


def _decode_arrays(data: dict[str, Any]) -> list[Any]:
    try:
        dtype = np.dtype(data["dtype"])
        if dtype.kind not in _KINDS:
            raise ValueError(f"actions of dtype {dtype}")
        values = _listed(data["values"])
        array = np.array(values, dtype=dtype).reshape(len(values), *data["shape"])
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return list(array) if data["scalar"] else [np.array(row) for row in array]
