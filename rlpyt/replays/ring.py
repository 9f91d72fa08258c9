"""The rows of a replay: what happened in each step, which steps can be learnt from, and where in
memory they are.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np

from rlpyt.data import Samples
from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.n_step import complete_rows
from rlpyt.replays.placement import RESET, TERMINATED, TRUNCATED, VALID, Placement
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

__all__ = ["Ring", "RingShape"]

_NOTHING = np.zeros(0, np.int64)


class RingShape(NamedTuple):
    """The sizes of a ring.

    A *start* is a row from which a transition or a sequence is sampled. It can be once the row
    ``lead`` on, the first to be learnt from, has ``span`` known steps after it.
    """

    capacity: int  # rows from which is sampled
    B: int
    history: int  # rows more, of which only what came before the oldest is read
    span: int  # steps known after the first row to be learnt from: n, and the sequence's others
    lead: int = 0  # steps from a start to the first row to be learnt from: the burn-in
    interval: int = 1  # starts are this many rows apart

    @property
    def rows(self) -> int:
        """Rows in memory."""
        return self.capacity + self.history


@final
class Ring:
    """Steps in a ring of rows [rows, B].

    Rows are numbered on and on: absolute row ``t`` is in memory at ``t % rows``, and the absolute
    *index* of a step is ``t * B + b``. The first row ever is number ``history``; those before it
    are blank.
    """

    def __init__(self, shape: RingShape, action: Any, *, learned_reward: bool = False) -> None:
        """``action`` is one action, as a tree of arrays; :meth:`bind` is next. With
        ``learned_reward`` returns are of other rewards than the networks are told.
        """
        self.shape, self._action, self._learned_reward = shape, action, learned_reward
        self.n_indices = shape.rows * shape.B

    def layout(self) -> dict[str, ArraySpec]:
        """The arrays it works on, by name."""
        rows = (self.shape.rows, self.shape.B)
        specs = {
            "reward": ArraySpec(rows, np.dtype("f4")),
            "flags": ArraySpec(rows, np.dtype("u1")),
            "can_start": ArraySpec(rows, np.dtype("?")),
            "ring_counts": ArraySpec((3,), np.dtype("i8"), filled=""),
        }
        if self._learned_reward:
            specs["learned_reward"] = ArraySpec(rows, np.dtype("f4"))
        for i, leaf in enumerate(leaves(self._action)):
            specs[f"action/{i}"] = ArraySpec((*rows, *leaf.shape), leaf.dtype)
        return specs

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""
        n_leaves = len(leaves(self._action))
        self.reward, self.flags = arrays["reward"], arrays["flags"]
        self.flat_reward, self.flat_flags = self.reward.reshape(-1), self.flags.reshape(-1)
        self._learned = arrays["learned_reward"] if self._learned_reward else self.reward
        self.flat_learned_reward = self._learned.reshape(-1)  # what returns are of
        self.can_start = arrays["can_start"]
        self._flat_can_start = self.can_start.reshape(-1)
        self.actions = [arrays[f"action/{i}"] for i in range(n_leaves)]
        self._flat_actions = [leaf.reshape(-1, *leaf.shape[2:]) for leaf in self.actions]
        self._counts = arrays["ring_counts"]  # rows written, starts, rows settled

    @property
    def end(self) -> int:
        """Absolute number of the next row to be written."""
        return int(self._counts[0]) + self.shape.history

    @property
    def oldest(self) -> int:
        """Absolute number of the oldest row that is sampled."""
        return max(self.shape.history, self.end - self.shape.capacity)

    @property
    def n_rows(self) -> int:
        """Rows held."""
        return self.end - self.oldest

    @property
    def n_written(self) -> int:
        """Rows ever written."""
        return int(self._counts[0])

    @property
    def n_starts(self) -> int:
        """Steps that can be sampled."""
        return int(self._counts[1])

    @property
    def n_filled(self) -> int:
        """Rows of memory in use."""
        return min(self.end, self.shape.rows)

    def place(self, samples: Any) -> Placement:
        """Where the rows of ``samples`` are to go, Samples of arrays; :meth:`write` is next.

        Raises:
            RlpytError: ``replay``, for another B, or more rows than the ring has.
        """
        T, B = samples.reward.shape
        if B != self.shape.B or not 0 < T <= self.shape.capacity:
            what = f"samples [{T}, {B}] do not fit into [{self.shape.capacity}, {self.shape.B}]"
            raise RlpytError("replay", what, hint="use batch_T and batch_B of the sampler")
        first = self.n_written == 0
        if first:
            self._write_before(samples)
        last = self.flags[(self.end - 1) % self.shape.rows]
        rows = np.arange(self.end, self.end + T)
        return Placement.of(samples, last, first=first, parts=self._parts(T), rows=rows)

    def _parts(self, T: int) -> tuple[tuple[slice, slice], ...]:
        begin, rows = self.end % self.shape.rows, self.shape.rows
        if begin + T <= rows:
            return ((slice(begin, begin + T), slice(0, T)),)
        fits = rows - begin
        return ((slice(begin, rows), slice(0, fits)), (slice(0, T - fits), slice(fits, T)))

    def check_given(self, learned_reward: Array | None) -> None:
        """Refuse rewards to learn from where there is no place for them, and none where there is.

        Raises:
            RlpytError: ``replay``.
        """
        if (learned_reward is not None) != self._learned_reward:
            hint = "initialize(learned_reward=True) and append(learned_reward=...), or neither"
            raise RlpytError("replay", "learned_reward in only one of both", hint=hint)

    def write(
        self, samples: Samples, placement: Placement, learned_reward: Array | None = None
    ) -> None:
        """Write ``samples``, but for observations. Its starts come with :meth:`settle`."""
        chunk, rows, flags = placement
        for into, part in chunk.parts:
            self.reward[into] = samples.reward[part]
            if learned_reward is not None:
                self._learned[into] = learned_reward[part]
            self.flags[into] = flags[part]
            for leaf, values in zip(self.actions, leaves(samples.action), strict=True):
                leaf[into] = values[part]
        self._counts[0] += len(rows)

    def _write_before(self, samples: Samples) -> None:
        """What came before the very first row, where that is in the middle of an episode."""
        row = self.shape.history - 1
        self.flags[row] = VALID
        self.reward[row] = samples.prev_reward[0]
        for leaf, values in zip(self.actions, leaves(samples.prev_action), strict=True):
            leaf[row] = values[0]

    def settle(self) -> tuple[Array, Array]:
        """Find the starts that went and that came since the last call.

        To be called before anything is sampled, and not with each append: over many rows at once
        it takes hardly longer.

        Returns:
            Absolute indices of those that went, and of those that came.
        """
        settled, end = int(self._counts[2]) + self.shape.history, self.end
        if settled == end:
            return _NOTHING, _NOTHING
        self._counts[2] = self._counts[0]
        return self._expire(settled), self._find_starts(settled)

    def _expire(self, settled: int) -> Array:
        """Let the starts go that the rows from ``settled`` on push out; their absolute indices."""
        oldest = max(self.shape.history, settled - self.shape.capacity)
        if oldest == self.oldest:
            return _NOTHING
        rows = np.arange(oldest, min(self.oldest, settled))
        row, b = np.nonzero(self.can_start[rows % self.shape.rows])
        self.can_start[rows % self.shape.rows] = False
        self._counts[1] -= len(row)
        return rows[row] * self.shape.B + b

    def _find_starts(self, settled: int) -> Array:
        """Mark what became a start by the rows from ``settled`` on; the absolute indices."""
        shape = self.shape
        learnt = np.arange(max(self.oldest, settled - shape.span), self.end)
        flags = self.flags[learnt % shape.rows]
        valid = (flags & VALID) != 0
        done = (flags & (TERMINATED | TRUNCATED)) != 0
        complete = complete_rows(valid, done, (flags & RESET) != 0, shape.span)
        starts = learnt - shape.lead
        complete &= ((starts >= self.oldest) & (starts % shape.interval == self._phase))[:, None]
        complete &= ~self.can_start[starts % shape.rows]
        row, b = np.nonzero(complete)
        self.can_start[starts[row] % shape.rows, b] = True
        self._counts[1] += len(row)
        return starts[row] * shape.B + b

    @property
    def _phase(self) -> int:
        return self.shape.history % self.shape.interval

    def check_any(self) -> None:
        """Refuse to sample where nothing can be.

        Raises:
            RlpytError: ``replay``.
        """
        if self.n_starts == 0:
            what = f"nothing can be sampled yet: {self.n_rows} rows of {self.shape.B} are stored"
            raise RlpytError("replay", what, hint="sample later (algo.min_steps_learn)")

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Absolute indices of ``n`` starts, drawn uniformly with replacement, [n] int64.

        Raises:
            RlpytError: ``replay``, if there are none yet.
        """
        shape = self.shape
        first = -(-(self.oldest - shape.history) // shape.interval)
        count = (-(-self.n_written // shape.interval) - first) * shape.B
        self.check_any()
        if self.n_starts * 16 < count:  # too few to find by trying
            found = np.flatnonzero(self.can_start.reshape(-1))
            return self.absolute(found[rng.integers(len(found), size=n)])
        drawn = self._candidates(rng.integers(count, size=n), first)
        can_start = self._take_can_start(drawn)
        if np.count_nonzero(can_start) == n:  # sooner than can_start.all()
            return drawn
        refused = np.flatnonzero(~can_start)
        while len(refused):
            drawn[refused] = self._candidates(rng.integers(count, size=len(refused)), first)
            refused = refused[~self._take_can_start(drawn[refused])]
        return drawn

    def _candidates(self, drawn: Array, first: int) -> Array:
        shape = self.shape
        if shape.interval == 1:
            return drawn + (first + shape.history) * shape.B
        number, b = np.divmod(drawn, shape.B)
        return ((first + number) * shape.interval + shape.history) * shape.B + b

    def absolute(self, index: Array) -> Array:
        """Absolute indices of what is in memory at ``index``, [n] int64."""
        last = self.end * self.shape.B - 1
        return last - (last - index) % self.n_indices

    def is_start(self, index: Array) -> Array:
        """Whether steps at absolute indices [n] are still there and can be sampled, [n] bool."""
        held = (index >= self.oldest * self.shape.B) & (index < self.end * self.shape.B)
        return held & self._take_can_start(index)

    def _take_can_start(self, index: Array) -> Array:
        # numpy's mode "wrap" subtracts again and again, which takes long for large indices
        return self._flat_can_start.take(index % self.n_indices)

    def take_actions(self, index: Array) -> list[Array]:
        """The actions at indices in memory of any shape, leaf by leaf."""
        return [leaf.take(index, axis=0, mode="wrap") for leaf in self._flat_actions]

    def take_previous(self, index: Array, reset: Array) -> tuple[list[Array], Array]:
        """The actions, leaf by leaf, and the rewards at indices in memory; zero where ``reset``."""
        actions, reward = self.take_actions(index), self.flat_reward.take(index, mode="wrap")
        if reset.any():
            for leaf in (reward, *actions):
                leaf[reset] = 0
        return actions, reward
