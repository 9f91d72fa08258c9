"""The sum tree of prioritised replay: values found by prefix sum.

It has 32 children to a node and a wide root, which suits vector instructions better than pairs.
"""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.utils.errors import RlpytError

__all__ = ["SumTree"]

_FANOUT = 32
_WIDEST_ROOT = 1024  # nodes at the top: one cumulative sum of them is cheaper than another level


@final
class SumTree:
    """Nonnegative values, found by prefix sum; everything in float64 and on whole vectors.

    A node is always the sum of its children, computed anew when one changes, never by adding a
    difference: rounding does not accumulate, however many updates there are.
    """

    def __init__(self, capacity: int, arrays: Mapping[str, Array] | None = None) -> None:
        """A tree of zeros; ``arrays`` is memory for ``layout(capacity)``, by default its own.

        Raises:
            RlpytError: ``config``, for a capacity below 1.
        """
        specs = self.layout(capacity)
        if arrays is None:
            arrays = {name: np.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}
        self.capacity = capacity
        self._levels = [arrays[name] for name in specs if name != "recorded"]
        self._recorded = arrays["recorded"]  # highest, lowest value ever set; 0: none
        self._leaves = self._levels[0].reshape(-1)
        self._root = self._levels[-1].reshape(-1)

    @staticmethod
    def layout(capacity: int) -> dict[str, ArraySpec]:
        """The arrays of a tree of ``capacity`` leaves."""
        if capacity < 1:
            raise RlpytError("config", f"capacity={capacity} must be at least 1", where="SumTree")
        specs: dict[str, ArraySpec] = {}
        nodes = capacity
        while True:
            nodes = -(-nodes // _FANOUT)
            specs[f"level_{len(specs)}"] = ArraySpec((nodes, _FANOUT), np.dtype("f8"), filled="")
            if nodes * _FANOUT <= _WIDEST_ROOT:
                break
        return {**specs, "recorded": ArraySpec((2,), np.dtype("f8"), filled="")}

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float(self._root.cumsum()[-1])

    @property
    def max_recorded(self) -> float:
        """The highest value ever set; 0 before the first above 0."""
        return float(self._recorded[0])

    @property
    def min_recorded(self) -> float:
        """The lowest value above 0 ever set; 0 before the first."""
        return float(self._recorded[1])

    def set(self, indices: Array, values: Array | float) -> None:
        """Set leaves; of several values for one leaf the last counts.

        Raises:
            RlpytError: ``replay``, for a value that is negative or not finite, or an index out of
                range; nothing is changed then.
        """
        indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        leaves: Array = np.asarray(values, dtype=np.float64)
        if leaves.shape != indices.shape:
            leaves = np.broadcast_to(leaves, indices.shape)
        if len(indices) == 0:
            return
        low, high = self._check_values(indices, leaves)
        if len(indices) > 1 and not (indices[1:] > indices[:-1]).all():
            # Assigning twice to one element is in no defined order.
            order = np.argsort(indices, kind="stable")
            indices, leaves = indices[order], leaves[order]
            last = np.ones(len(indices), dtype=bool)
            np.not_equal(indices[1:], indices[:-1], out=last[:-1])
            if not last.all():
                indices, leaves = indices[last], leaves[last]
                low, high = leaves.min(), leaves.max()
        if indices[0] < 0 or indices[-1] >= self.capacity:
            what = f"indices from {indices[0]} to {indices[-1]}; capacity={self.capacity}"
            raise RlpytError("replay", what, where="SumTree")
        self._leaves[indices] = leaves
        self._record(leaves, low, high)
        self._update_parents(indices)

    def _check_values(self, indices: Array, values: Array) -> tuple[float, float]:
        """The lowest and the highest of ``values``, if they are all right."""
        low, high = values.min(), values.max()
        if not (low >= 0.0 and high < np.inf):  # also where one is NaN
            bad = int(np.flatnonzero(~((values >= 0.0) & (values < np.inf)))[0])
            what = f"value {values[bad]} for leaf {indices[bad]} is not a nonnegative number"
            raise RlpytError("replay", what, where="SumTree", hint="has the loss become NaN?")
        return low, high

    def _record(self, values: Array, low: float, high: float) -> None:
        if high > 0.0:
            if low == 0.0:
                low = values[values > 0.0].min()
            recorded = self._recorded
            recorded[0] = max(recorded[0], high)
            recorded[1] = low if recorded[1] == 0.0 else min(recorded[1], low)

    def _update_parents(self, children: Array) -> None:
        """Sum anew above ``children``, leaves in ascending order."""
        for level, parents in zip(self._levels, self._levels[1:], strict=False):
            nodes = children // _FANOUT
            first = np.ones(len(nodes), dtype=bool)
            np.not_equal(nodes[1:], nodes[:-1], out=first[1:])
            nodes = nodes[first]
            parents.reshape(-1)[nodes] = level.take(nodes, axis=0).sum(axis=1)
            children = nodes

    def get(self, indices: Array) -> Array:
        """The values of leaves, [n] float64."""
        values: Array = self._leaves[np.asarray(indices, dtype=np.int64)]
        return values

    def find(self, prefix_sums: Array) -> Array:
        """For each x the leaf i with Σ_{j<i} v_j <= x < Σ_{j<=i} v_j, [n] int64.

        Whatever the rounding, a leaf with value 0 is never found; an x at or above the total finds
        the last leaf above 0.

        Raises:
            RlpytError: ``replay``, for a negative x, or if all values are 0.
        """
        prefix_sums = np.asarray(prefix_sums, dtype=np.float64)
        if prefix_sums.size and not prefix_sums.min() >= 0.0:
            raise RlpytError("replay", "a prefix sum is negative or NaN", where="SumTree")
        return self._descend(prefix_sums, self._root.cumsum())

    def _descend(self, rest: Array, root: Array) -> Array:
        top = root[-1]
        if not top > 0.0:
            raise RlpytError("replay", "all values are 0: there is nothing to find")
        rest = np.minimum(rest, np.nextafter(top, 0.0))
        node = np.searchsorted(root, rest, side="right")
        rest = rest - np.where(node > 0, root[node - 1], 0.0)
        rows = np.arange(len(rest))
        sums = np.zeros((len(rest), _FANOUT + 1))
        for level in self._levels[-2::-1]:
            np.cumsum(level.take(node, axis=0), axis=1, out=sums[:, 1:])
            if np.count_nonzero(sums[:, -1] <= rest):
                # By rounding the node above is larger than its children.
                rest = np.minimum(rest, np.nextafter(sums[:, -1], 0.0))
            child = (sums[:, 1:] > rest[:, None]).argmax(axis=1)  # the first above
            rest = rest - sums[rows, child]
            node = node * _FANOUT + child
        return node

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw ``n`` leaves by their values, one from each of ``n`` equal strata of the total.

        Returns:
            The leaves, [n] int64, and their probabilities, [n] float64.

        Raises:
            RlpytError: ``replay``, if all values are 0.
        """
        root = self._root.cumsum()
        total = root[-1]
        leaves = self._descend((np.arange(n) + rng.random(n)) * (total / n), root)
        return leaves, self._leaves[leaves] / total

    def state_dict(self) -> dict[str, Any]:
        """The leaves and the recorded bounds; all else follows. Shares the tree's memory."""
        return {"leaves": self._leaves[: self.capacity], "recorded": self._recorded}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``; the tree is then bit for bit the one that was saved.

        Raises:
            RlpytError: ``checkpoint``, for another capacity.
        """
        found = len(state["leaves"])
        if found != self.capacity:
            what = f"the saved tree has {found} leaves, this one {self.capacity}"
            raise RlpytError("checkpoint", what, where="SumTree")
        self._leaves[: self.capacity] = state["leaves"]
        self._recorded[:] = state["recorded"]
        self._update_parents(np.arange(len(self._leaves)))

    def clear(self) -> None:
        """Zeros everywhere, and nothing recorded."""
        for level in (*self._levels, self._recorded):
            level[:] = 0.0
