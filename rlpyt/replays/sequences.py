"""Sequences out of the ring: fragments of episodes with the recurrent state recorded before them
(Kapturowski et al. 2019, R2D2).

Differs from the paper: a sequence whose burn-in reaches into the episode before starts from zero
state at its own episode's start, so that the first steps of episodes are learnt from, too.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np

from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.n_step import NStep
from rlpyt.replays.observations import ObservationStore
from rlpyt.replays.placement import RESET, TERMINATED, TRUNCATED
from rlpyt.replays.ring import Ring
from rlpyt.replays.storage import Fragment
from rlpyt.utils.buffer import leaves

__all__ = ["RnnStateStore", "SequenceParts", "SequenceShape", "learnt_rows", "sequence_parts"]


class SequenceShape(NamedTuple):
    """How long a sequence is."""

    burn_in: int  # steps that only warm up the recurrent state
    length: int  # steps to learn from
    n_step: int  # observations more, to bootstrap from

    @property
    def total(self) -> int:
        """L, its observations."""
        return self.burn_in + self.length + self.n_step


class SequenceParts(NamedTuple):
    """A batch of N sequences but for the observations; as in ReplaySequences."""

    fragment: Fragment  # which observations
    prev_action: list[Array]  # leaves [L, N, ...]
    prev_reward: Array  # [L, N]
    reset: Array  # [L, N]
    action: list[Array]  # leaves [length, N, ...]
    return_: Array  # [length, N]
    next_step: Array  # [length, N]
    next_discount: Array  # [length, N]
    valid: Array  # [length, N]


def sequence_parts(
    ring: Ring, store: ObservationStore, index: Array, shape: SequenceShape, discount: float
) -> SequenceParts:
    """The sequences that start at absolute indices ``index`` [N], all of them starts."""
    B, L, learnt = ring.shape.B, shape.total, slice(shape.burn_in, shape.burn_in + shape.length)
    at, columns, step = index % ring.n_indices, np.arange(len(index)), np.arange(L)[:, None]
    flags = ring.flat_flags.take(at + step * B, mode="wrap")
    is_start = (flags & RESET) != 0
    window = slice(shape.burn_in, L - 1)
    terminated = (flags[window] & TERMINATED) != 0
    done = (flags[window] & (TERMINATED | TRUNCATED)) != 0
    first = _last_start(is_start[: shape.burn_in + 1])
    starts_inside = is_start[first, columns]
    ends = done.any(axis=0)
    last = np.where(ends, shape.burn_in + done.argmax(axis=0), L - 1)
    rows = at + np.minimum(step, last) * B
    reward = ring.flat_learned_reward.take(rows[window], mode="wrap")
    targets = NStep.of(reward, terminated, done, n_step=shape.n_step, discount=discount)
    reset = (step <= first) & starts_inside
    before = at + (step - 1).clip(first - 1, last) * B
    prev_action, prev_reward = ring.take_previous(before, reset)
    return SequenceParts(
        fragment=_fragment(store, at, first, last, ends, B),
        prev_action=prev_action,
        prev_reward=prev_reward,
        reset=reset,
        action=ring.take_actions(rows[learnt]),
        return_=targets.return_,
        next_step=step[learnt] + targets.steps,
        next_discount=targets.discount,
        valid=step[learnt] <= last,
    )


def _last_start(is_start: Array) -> Array:
    """The last of rows [burn_in + 1, N] where an episode starts, [N]; 0 where none does."""
    from_end = is_start[::-1].argmax(axis=0)
    return np.where(is_start.any(axis=0), len(is_start) - 1 - from_end, 0)


def _fragment(
    store: ObservationStore, at: Array, first: Array, last: Array, ends: Array, B: int
) -> Fragment:
    column = np.flatnonzero(ends)
    slot = store.final_slots(at[column] + last[column] * B)
    kept = slot >= 0  # not where it terminated
    return Fragment(at, first, last, column[kept], slot[kept])


def learnt_rows(ring: Ring, index: Array, shape: SequenceShape) -> tuple[Array, Array]:
    """Where in memory the learnt steps of sequences at ``index`` [N] are, and which are valid,
    [length, N] each.
    """
    step = np.arange(shape.burn_in, shape.burn_in + shape.length)[:, None]
    rows = (index + step * ring.shape.B) % ring.n_indices
    done = (ring.flat_flags.take(rows) & (TERMINATED | TRUNCATED)) != 0
    ended = np.logical_or.accumulate(done, axis=0)
    valid = np.ones(rows.shape, dtype=bool)
    np.logical_not(ended[:-1], out=valid[1:])
    return rows, valid


@final
class RnnStateStore:
    """Recurrent states recorded before the rows where sequences start."""

    def __init__(self, ring: Ring, example: Any) -> None:
        """``example`` is one environment's state, a tree of arrays; :meth:`bind` is next."""
        self._ring, self._example = ring, example
        shape = ring.shape
        self._n = shape.rows // shape.interval + 2

    def layout(self) -> dict[str, ArraySpec]:
        """The arrays it works on, by name."""
        return {
            f"rnn_state/{i}": ArraySpec(
                (self._n, self._ring.shape.B, *leaf.shape), leaf.dtype, filled="rnn_state"
            )
            for i, leaf in enumerate(leaves(self._example))
        }

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""
        self._leaves = [arrays[name] for name in self.layout()]

    def filled(self) -> dict[str, int]:
        """Rows of states in use."""
        count = -(-self._ring.n_written // self._ring.shape.interval)
        return {"rnn_state": min(self._n, count)}

    def append(self, rows: Array, states: Any) -> None:
        """Keep those of ``states`` [T, B, ...], recorded before ``rows`` [T], where sequences
        start.
        """
        number, rest = np.divmod(rows - self._ring.shape.history, self._ring.shape.interval)
        kept = rest == 0
        for leaf, values in zip(self._leaves, leaves(states), strict=True):
            leaf[number[kept] % self._n] = values[kept]

    def gather(self, index: Array) -> list[Array]:
        """The states before the steps at ``index`` [N], leaves [N, ...]."""
        row, b = np.divmod(index, self._ring.shape.B)
        number = (row - self._ring.shape.history) // self._ring.shape.interval
        return [leaf[number % self._n, b] for leaf in self._leaves]
