"""How a replay keeps observations: every leaf of their tree in a ring of rows [rows, B, ...].

The observation that follows a step is the next row's. Where an episode was truncated the next row
is another episode's, so its true final observation is kept aside: there alone, in numbered slots.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.slots import Slots
from rlpyt.utils.buffer import leaves

__all__ = [
    "ArrayLeaf",
    "ArrayStorage",
    "Chunk",
    "Fragment",
    "LeafStore",
    "Pairs",
    "Storage",
    "release_overwritten",
]


class Chunk(NamedTuple):
    """Where the rows of one append go: ``ring[into] = chunk[rows]`` for each part, since the ring
    may wrap.
    """

    parts: tuple[tuple[slice, slice], ...]  # (into, rows)
    valid: Array  # [T, B] bool: a transition
    linked: Array  # [T, B] bool: this row and the one before are transitions
    all_linked: bool
    starts: Array  # [T, B] bool: an episode starts, or nothing is known of the row before
    keep_final: Array | None  # [T, B] bool: the final observation is kept; None: nowhere


class Fragment(NamedTuple):
    """N stretches of one episode each, in a batch of L rows.

    Row p of column n shows the observation of row ``start + p``, for p from ``first`` to ``last``;
    rows before and after are filler. Where a final observation was kept it is shown in row
    ``last + 1``.
    """

    start: Array  # [N] int64, index in the ring
    first: Array  # [N]
    last: Array  # [N]
    final_column: Array  # [K]: columns with a final observation
    final_slot: Array  # [K]


class Pairs(NamedTuple):
    """Which observations N transitions have, as indices."""

    at: Array  # [N] int64
    next_at: Array  # [N]: where the next observation is; ``at + B`` or ``at`` if adjacent
    stays: Array  # [K]: those for which it is ``at``, though adjacent
    final_at: Array  # [K]: the next observation of these is the final one
    final_slot: Array  # [K]: kept in these slots
    adjacent: bool  # every next observation is one step on


class LeafStore(ABC):
    """Keeps one leaf of the observation.

    An *index* is a place in the ring with rows and environments in one, row * B + b; ``index - B``
    is the row before. Every gather takes indices outside [0, rows * B) as they wrap around.
    """

    @abstractmethod
    def layout(self, rows: int, B: int) -> dict[str, ArraySpec]:
        """The arrays it works on, by name."""

    @abstractmethod
    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""

    @abstractmethod
    def append(self, values: Array, chunk: Chunk) -> None:
        """Write ``values`` [T, B, ...]."""

    @abstractmethod
    def append_final(self, values: Array, before: Array, slots: Array) -> None:
        """Keep final observations [K, ...], which followed ``before`` [K, ...], in ``slots``."""

    @abstractmethod
    def filled(self) -> dict[str, int]:
        """Leading entries in use, by the name of the count, of arrays that are no rows."""

    @abstractmethod
    def allocate(self, N: int, adjacent: bool, pin_memory: bool) -> Tensor:
        """Memory for ``gather``."""

    @abstractmethod
    def gather(self, pairs: Pairs, out: Array) -> None:
        """Gather the observations of N transitions."""

    @abstractmethod
    def view(self, gathered: Tensor, adjacent: bool) -> tuple[Tensor, Tensor]:
        """What was gathered as observations and next ones, [N, ...] each; no copy."""

    @abstractmethod
    def allocate_sequences(self, L: int, N: int, pin_memory: bool) -> Tensor:
        """Memory for ``gather_sequences``."""

    @abstractmethod
    def gather_sequences(self, fragment: Fragment, out: Array) -> None:
        """Gather L rows of N sequences."""

    @abstractmethod
    def view_sequences(self, gathered: Tensor) -> Tensor:
        """What was gathered as observations, [L, N, ...]; no copy."""


@final
class ArrayLeaf(LeafStore):
    """Keeps every value whole."""

    def __init__(self, example: Array, name: str) -> None:
        """``example`` is one value; ``name`` starts the names of its arrays."""
        self._shape, self._dtype, self._name = example.shape, example.dtype, name

    def layout(self, rows: int, B: int) -> dict[str, ArraySpec]:
        """A ring, and room for final values."""
        final_shape = (rows * B, *self._shape)
        return {
            self._name: ArraySpec((rows, B, *self._shape), self._dtype),
            f"{self._name}/final": ArraySpec(final_shape, self._dtype, "final", sparse=True),
        }

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""
        self._ring = arrays[self._name]
        self._flat = self._ring.reshape(-1, *self._shape)
        self._final = arrays[f"{self._name}/final"]
        self._B = self._ring.shape[1]

    def append(self, values: Array, chunk: Chunk) -> None:
        """Write ``values`` [T, B, ...]."""
        for into, rows in chunk.parts:
            self._ring[into] = values[rows]

    def append_final(self, values: Array, before: Array, slots: Array) -> None:
        """Keep final observations [K, ...]."""
        self._final[slots] = values

    def filled(self) -> dict[str, int]:
        """Nothing but rows."""
        return {}

    def allocate(self, N: int, adjacent: bool, pin_memory: bool) -> Tensor:
        """[2, N, ...]."""
        return _empty((2, N, *self._shape), self._dtype, pin_memory)

    def gather(self, pairs: Pairs, out: Array) -> None:
        """As :class:`LeafStore`."""
        # "wrap" also because with the default mode numpy copies twice
        np.take(self._flat, pairs.at, axis=0, out=out[0], mode="wrap")
        np.take(self._flat, pairs.next_at, axis=0, out=out[1], mode="wrap")
        if len(pairs.final_at):
            out[1, pairs.final_at] = self._final[pairs.final_slot]

    def view(self, gathered: Tensor, adjacent: bool) -> tuple[Tensor, Tensor]:
        """The two halves."""
        return gathered[0], gathered[1]

    def allocate_sequences(self, L: int, N: int, pin_memory: bool) -> Tensor:
        """[L, N, ...]."""
        return _empty((L, N, *self._shape), self._dtype, pin_memory)

    def gather_sequences(self, fragment: Fragment, out: Array) -> None:
        """As :class:`LeafStore`."""
        rows = np.arange(len(out))[:, None]
        index = fragment.start + rows.clip(fragment.first, fragment.last) * self._B
        np.take(self._flat, index, axis=0, out=out, mode="wrap")
        column = fragment.final_column
        out[fragment.last[column] + 1, column] = self._final[fragment.final_slot]

    def view_sequences(self, gathered: Tensor) -> Tensor:
        """As it is."""
        return gathered


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], pin_memory: bool) -> Tensor:
    torch_dtype = torch.from_numpy(np.empty(0, dtype)).dtype
    return torch.empty(shape, dtype=torch_dtype, pin_memory=pin_memory)


@dataclass(kw_only=True)
class Storage(ABC):
    """Chooses how each leaf of the observation is kept."""

    @property
    @abstractmethod
    def history(self) -> int:
        """Rows before an observation that it is put together from."""

    @abstractmethod
    def leaf_stores(self, example: Any) -> list[LeafStore]:
        """A store for each leaf of ``example``, one observation as a tree of arrays.

        Raises:
            RlpytError: ``config``, for observations that it cannot keep.
        """


@final
@dataclass(kw_only=True)
class ArrayStorage(Storage):
    """Keeps every observation whole."""

    @property
    def history(self) -> int:
        """None."""
        return 0

    def leaf_stores(self, example: Any) -> list[LeafStore]:
        """Arrays for all."""
        return [ArrayLeaf(leaf, f"observation/{i}") for i, leaf in enumerate(leaves(example))]


def release_overwritten(numbers: Array, slots: Slots, chunk: Chunk) -> None:
    """Give back the slots, ``numbers`` [rows, B] less 1, of the rows that ``chunk`` overwrites."""
    for into, _rows in chunk.parts:
        old = numbers[into]
        if old.any():
            slots.give_back(old[old > 0] - 1)
            old[:] = 0
