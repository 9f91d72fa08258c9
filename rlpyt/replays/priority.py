"""Prioritised experience replay (Schaul et al. 2016, arXiv:1511.05952).

Differs from the paper: the annealing of β counts environment steps, and the largest weight is that
of the batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from rlpyt.ops.q_learning import sequence_priority
from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.ring import Ring
from rlpyt.replays.sequences import SequenceShape, learnt_rows
from rlpyt.replays.storage import Chunk
from rlpyt.replays.sum_tree import SumTree
from rlpyt.utils.errors import RlpytError

__all__ = ["Priorities", "Prioritized"]


@final
@dataclass(kw_only=True)
class Prioritized:
    """Sample transitions by priority: P(i) = p_i^α / Σ p^α, weighted by (N P(i))^-β / max."""

    alpha: float = 0.6  # α: 0 is uniform
    beta: float = 0.4  # β at the start
    beta_final: float = 1.0  # β after beta_steps
    beta_steps: int = 50_000_000  # environment steps over which β moves, linearly
    # η: a sequence's priority is η max |δ| + (1 - η) mean |δ| (Kapturowski et al. 2019, R2D2).
    eta: float = 0.9
    # New data comes with its priorities. Otherwise it gets the highest one so far.
    initial_priorities: bool = False

    def beta_at(self, step: int) -> float:
        """β after ``step`` environment steps."""
        share = min(1.0, step / self.beta_steps) if self.beta_steps > 0 else 1.0
        return self.beta + (self.beta_final - self.beta) * share

    def check(self) -> None:
        """Refuse settings out of range.

        Raises:
            RlpytError: ``config``.
        """
        for name in ("alpha", "beta", "beta_final", "eta"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                what = f"{name}={value} is not between 0 and 1"
                raise RlpytError("config", what, where="Prioritized")


@final
class Priorities:
    """The priorities of a ring's starts, raised to α, in a sum tree: 0 for what is no start."""

    def __init__(self, ring: Ring, settings: Prioritized, sequence: SequenceShape | None) -> None:
        """``sequence`` is None where starts are single transitions; :meth:`bind` is next."""
        self._ring, self._settings, self._sequence = ring, settings, sequence

    def layout(self) -> dict[str, ArraySpec]:
        """The arrays it works on, by name; the tree's, of which it saves what is needed itself,
        start with ``tree/``.
        """
        tree = SumTree.layout(self._ring.n_indices)
        specs = {f"tree/{name}": spec for name, spec in tree.items()}
        if self._settings.initial_priorities:
            shape = (self._ring.shape.rows, self._ring.shape.B)
            specs["priority"] = ArraySpec(shape, np.dtype("f4"))
        return specs

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""
        names = SumTree.layout(self._ring.n_indices)
        self.tree = SumTree(self._ring.n_indices, {name: arrays[f"tree/{name}"] for name in names})
        self._given = arrays["priority"] if self._settings.initial_priorities else None

    def check_given(self, priorities: Array | None) -> None:
        """Refuse priorities [T, B] that are not asked for, missing, or not finite.

        Raises:
            RlpytError: ``replay``.
        """
        wanted = self._settings.initial_priorities
        if (priorities is not None) != wanted:
            what = f"priorities of new steps are {'missing' if wanted else 'not used'}"
            raise RlpytError("replay", what, hint=f"initial_priorities={not wanted}")
        if priorities is not None and not np.isfinite(priorities).all():
            raise RlpytError("replay", "a priority of a new step is not finite")

    def append(self, given: Array | None, chunk: Chunk) -> None:
        """Keep the priorities [T, B] that new rows came with."""
        if self._given is not None and given is not None:
            for into, rows in chunk.parts:
                self._given[into] = given[rows]

    def follow(self, expired: Array, new: Array) -> None:
        """Follow the ring: starts that went and that came, absolute indices."""
        if len(expired):
            self.tree.set(expired % self._ring.n_indices, 0.0)
        if len(new):
            self.tree.set(new % self._ring.n_indices, self._first_values(new))

    def _first_values(self, index: Array) -> Array | float:
        """What starts at absolute indices [K] have in the tree before they were ever sampled."""
        if self._given is None:
            return self.tree.max_recorded or 1.0
        given = self._given.reshape(-1)
        if self._sequence is None:
            return self._raised(given[index % self._ring.n_indices])
        rows, valid = learnt_rows(self._ring, index, self._sequence)
        error, valid_steps = torch.from_numpy(given[rows]), torch.from_numpy(valid)
        return self._raised(sequence_priority(error, self._settings.eta, valid_steps).numpy())

    def _raised(self, priority: Array) -> Array:
        values: Array = np.abs(priority.astype(np.float64)) ** self._settings.alpha
        return values

    def draw(self, n: int, rng: np.random.Generator, n_ranks: int = 1) -> tuple[Array, Array]:
        """``n`` starts by priority, as absolute indices, and their importance weights.

            w_i = (N P(i))^-β / max_j w_j,   N starts, j in the batch

        β is that of the steps that ``n_ranks`` replays like this one have taken in.

        Returns:
            [n] int64, [n] float32.
        """
        ring = self._ring
        ring.check_any()
        at, probability = self.tree.sample(n, rng)
        beta = self._settings.beta_at(ring.n_written * ring.shape.B * n_ranks)
        weight = (ring.n_starts * probability) ** -beta
        return ring.absolute(at), (weight / weight.max()).astype(np.float32)

    def update(self, index: Array, priority: Array) -> None:
        """New priorities [n] for absolute indices [n]; what is not held any more is left out."""
        held = self._ring.is_start(index)
        if np.count_nonzero(held) < len(held):
            index, priority = index[held], priority[held]
        self.tree.set(index % self._ring.n_indices, self._raised(priority))

    def state_dict(self) -> dict[str, Any]:
        """The tree's state."""
        return self.tree.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``."""
        self.tree.load_state_dict(state)
