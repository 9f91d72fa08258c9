"""The observations of a replay as whole trees, and which of them were an episode's last."""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from torch import Tensor

from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.slots import Slots
from rlpyt.replays.storage import Chunk, Fragment, Pairs, Storage, release_overwritten
from rlpyt.utils.buffer import buffer_map, leaves

__all__ = ["ObservationStore", "to_tree"]


@final
class ObservationStore:
    """The observations of a replay, whole trees, kept as ``storage`` chooses."""

    def __init__(self, storage: Storage, example: Any, rows: int, B: int) -> None:
        """``example`` is one observation as a tree of arrays; :meth:`bind` is next."""
        self._example, self._rows, self._B = example, rows, B
        self._leaves = storage.leaf_stores(example)

    def layout(self) -> dict[str, ArraySpec]:
        """The arrays it works on, by name."""
        shape = (self._rows, self._B)
        specs = {"final_slot": ArraySpec(shape, np.dtype("i4"))}
        specs |= Slots.layout("final", self._rows * self._B)
        for leaf in self._leaves:
            specs |= leaf.layout(self._rows, self._B)
        return specs

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""
        self._final_slot = arrays["final_slot"]  # slot + 1; 0: none
        self._slots = Slots("final", arrays)
        for leaf in self._leaves:
            leaf.bind(arrays)

    @property
    def n_final(self) -> int:
        """Final observations kept now."""
        return self._slots.n_touched - self._slots.n_free

    def append(self, observation: Any, final_observation: Any, chunk: Chunk) -> None:
        """Write a chunk: trees of arrays [T, B, ...]."""
        for leaf, values in zip(self._leaves, leaves(observation), strict=True):
            leaf.append(values, chunk)
        release_overwritten(self._final_slot, self._slots, chunk)
        if chunk.keep_final is None:
            return
        at = np.nonzero(chunk.keep_final)
        slots = self._slots.take(len(at[0]))
        numbers = np.zeros(chunk.keep_final.shape, np.int32)
        numbers[at] = slots + 1
        for into, rows in chunk.parts:
            self._final_slot[into] = numbers[rows]
        trees = zip(leaves(observation), leaves(final_observation), strict=True)
        for leaf, (values, final_values) in zip(self._leaves, trees, strict=True):
            leaf.append_final(final_values[at], values[at], slots)

    def final_slots(self, index: Array) -> Array:
        """Slots of the final observations that followed ``index`` [K]; -1 where none is kept."""
        return np.take(self._final_slot, index, mode="wrap").astype(np.int64) - 1

    def filled(self) -> dict[str, int]:
        """Leading entries in use, by the name of the count, of arrays that are no rows."""
        counts = {"final": self._slots.n_touched, "final/free": self._slots.n_free}
        for leaf in self._leaves:
            counts |= leaf.filled()
        return counts

    def allocate(self, N: int, adjacent: bool, pin_memory: bool) -> list[Tensor]:
        """Memory for ``gather``, leaf by leaf."""
        return [leaf.allocate(N, adjacent, pin_memory) for leaf in self._leaves]

    def gather(self, pairs: Pairs, out: Sequence[Array]) -> None:
        """Gather the observations of N transitions."""
        for leaf, target in zip(self._leaves, out, strict=True):
            leaf.gather(pairs, target)

    def view(self, gathered: Sequence[Tensor], adjacent: bool) -> tuple[Any, Any]:
        """What was gathered as observations and next ones, trees [N, ...]."""
        pairs = zip(self._leaves, gathered, strict=True)
        both = [leaf.view(part, adjacent) for leaf, part in pairs]
        return self.tree([one for one, _ in both]), self.tree([other for _, other in both])

    def allocate_sequences(self, L: int, N: int, pin_memory: bool) -> list[Tensor]:
        """Memory for ``gather_sequences``, leaf by leaf."""
        return [leaf.allocate_sequences(L, N, pin_memory) for leaf in self._leaves]

    def gather_sequences(self, fragment: Fragment, out: Sequence[Array]) -> None:
        """Gather L rows of N sequences."""
        for leaf, target in zip(self._leaves, out, strict=True):
            leaf.gather_sequences(fragment, target)

    def view_sequences(self, gathered: Sequence[Tensor]) -> Any:
        """What was gathered as observations, a tree [L, N, ...]."""
        pairs = zip(self._leaves, gathered, strict=True)
        return self.tree([leaf.view_sequences(part) for leaf, part in pairs])

    def tree(self, values: Sequence[Tensor]) -> Any:
        """Leaves as the observation's tree."""
        return to_tree(self._example, values)


def to_tree(example: Any, values: Sequence[Any]) -> Any:
    """``values`` in place of the leaves of ``example``."""
    if not isinstance(example, tuple):  # a lone leaf
        return values[0]
    following = iter(values)
    return buffer_map(lambda _leaf: next(following), example)
