"""One state for all samplers: joined from the workers' parts, and divided among them again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.collections import is_namedarraytuple

__all__ = ["join_states", "part_of_state"]

_VECTORS = "vectors"  # the key of states that belong to whole vector environments


def join_states(parts: Sequence[Any]) -> Any:
    """The state of all columns from those of consecutive parts: lists and leading dimensions are
    put one behind the other.
    """
    first = parts[0]
    if isinstance(first, dict):
        return {key: join_states([part[key] for part in parts]) for key in first}
    if isinstance(first, list):
        return [item for part in parts for item in part]
    if is_namedarraytuple(first):
        return buffer_map(lambda *leaves: torch.cat(leaves), *parts)
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    return torch.cat(parts)  # type: ignore[arg-type]  # nothing else is in a state


def part_of_state(state: Any, start: int, stop: int) -> Any:
    """The state of the columns from ``start`` to ``stop``.

    A vector environment that steps as a whole finds its own among the ``vectors``.
    """
    if isinstance(state, dict):
        if _VECTORS in state:
            return state
        return {key: part_of_state(value, start, stop) for key, value in state.items()}
    return state[start:stop]
