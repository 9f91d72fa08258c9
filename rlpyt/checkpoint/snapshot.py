"""A state as it was at one moment: taken apart, and copied where the run goes on meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, final

import torch
from torch import Tensor

from rlpyt.checkpoint.tree import Json, flatten

__all__ = ["Snapshot"]


def _go_on() -> None:
    """No reason to stop writing."""


@final
@dataclass(frozen=True)
class Snapshot:
    """The arrays and the skeleton that :func:`~rlpyt.checkpoint.tree.flatten` makes of a state."""

    arrays: Mapping[str, Tensor]  # share the state's memory, until they are copied
    skeleton: Json
    look: Callable[[], None] = _go_on  # called before each piece is written; raises to give up

    @classmethod
    def of(cls, state: Any) -> Self:
        """Of a state, or what it is already.

        Raises:
            RlpytError: ``checkpoint``, for a state that cannot be saved.
        """
        return state if isinstance(state, cls) else cls(*flatten(state))

    @property
    def size(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def copied(self) -> "Snapshot":
        """The same in memory of its own, which no gradient step and no new sample changes."""
        plain = torch.contiguous_format
        copies = {name: array.clone(memory_format=plain) for name, array in self.arrays.items()}
        return replace(self, arrays=copies)
