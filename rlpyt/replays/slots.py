"""Room for what only few rows have: numbered slots, the lowest taken first."""

from collections.abc import Mapping
from typing import final

import numpy as np

from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.utils.errors import RlpytError

__all__ = ["Slots"]


@final
class Slots:
    """Which of ``capacity`` slots are in use; those given back are used again before new ones, so
    that the highest one used stays low.
    """

    def __init__(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Work on the arrays of ``layout(name, ...)``."""
        self._free = arrays[f"{name}/free"]
        self._counts = arrays[f"{name}/counts"]  # slots on the free list; slots ever used

    @staticmethod
    def layout(name: str, capacity: int) -> dict[str, ArraySpec]:
        """The arrays of ``capacity`` slots."""
        return {
            f"{name}/free": ArraySpec((capacity,), np.dtype("i4"), f"{name}/free", sparse=True),
            f"{name}/counts": ArraySpec((2,), np.dtype("i8"), filled=""),
        }

    @property
    def n_free(self) -> int:
        """Slots that were used and given back."""
        return int(self._counts[0])

    @property
    def n_touched(self) -> int:
        """Slots that were ever used: all above are untouched memory."""
        return int(self._counts[1])

    def take(self, n: int) -> Array:
        """``n`` slots, [n] int64.

        Raises:
            RlpytError: ``replay``, if there are not as many.
        """
        reused = min(n, self.n_free)
        left, first = self.n_free - reused, self.n_touched
        if first + n - reused > len(self._free):
            raise RlpytError("replay", f"{n} slots more than the {len(self._free)} there are")
        taken = np.arange(first - reused, first - reused + n)
        taken[:reused] = self._free[left : left + reused]
        self._counts[:] = left, first + n - reused
        return taken

    def give_back(self, slots: Array) -> None:
        """The slots [n] hold nothing any more."""
        count = self.n_free
        self._free[count : count + len(slots)] = slots
        self._counts[0] = count + len(slots)
