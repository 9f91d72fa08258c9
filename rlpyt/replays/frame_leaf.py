"""Frame stacks kept frame by frame: of each observation the newest frame, a quarter of the memory.

A stack of n frames is put together again from the newest frames of the last n rows. How far back
that goes is decided when a row is written, by comparing it with the rows before (frame_check.py),
and not by what an environment should do: a row whose stack is not the last one shifted by a frame
is an *anchor*, and what its stack started from is kept: nothing for zeros or for its own frame
repeated, else the frames. So stacks come back bit for bit, even those of odd starts.
"""

from collections.abc import Mapping
from typing import final

import numpy as np
import torch
from torch import Tensor

from rlpyt.replays.frame_check import FrameCheck
from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.slots import Slots
from rlpyt.replays.storage import Chunk, Fragment, LeafStore, Pairs, release_overwritten
from rlpyt.utils.errors import RlpytError

__all__ = ["FrameLeaf"]

_NONE = np.zeros(0, np.int64)
_REPEATED, _ZEROS = 0, -1  # what came before an anchor's frame; above 0: slot + 1


@final
class FrameLeaf(LeafStore):
    """Keeps one image stack of n frames, as this module says."""

    def __init__(self, example: Array, name: str, n_frames: int) -> None:
        """``example`` is one stack; ``name`` starts the names of its arrays."""
        self._shape, self._name, self._n = example.shape, name, n_frames
        self._size = example.size // n_frames  # bytes of a frame
        self._check = FrameCheck(n_frames, self._size)
        self._back = np.arange(n_frames - 1, -1, -1)  # how far back each frame of a stack is
        self._around = np.arange(1 - n_frames, 2)  # rows of a stack's frames and of the next one

    def layout(self, rows: int, B: int) -> dict[str, ArraySpec]:
        """A ring of frames, and what it takes to make stacks of them."""
        name, byte = self._name, np.dtype("u1")
        older = (rows * B, self._n - 1, self._size)
        return {
            # An environment's frames lie one after the other, so that a stack is read in one go.
            f"{name}/frame": ArraySpec((B, rows, self._size), byte, by_env=True),
            f"{name}/age": ArraySpec((rows, B), byte),
            f"{name}/start": ArraySpec((rows, B), np.dtype("i4")),
            f"{name}/final": ArraySpec((rows * B, self._size), byte, "final", sparse=True),
            f"{name}/older": ArraySpec(older, byte, f"{name}/slots", sparse=True),
            **Slots.layout(f"{name}/slots", rows * B),
        }

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as laid out."""
        name = self._name
        self._ring = arrays[f"{name}/frame"]
        self._flat = self._ring.reshape(-1, self._size)
        self._age = arrays[f"{name}/age"]  # rows since the anchor, at most n - 1
        self._flat_age = self._age.reshape(-1)
        self._start = arrays[f"{name}/start"]  # of an anchor: what came before its frame
        self._final = arrays[f"{name}/final"]
        self._older = arrays[f"{name}/older"]
        self._slots = Slots(f"{name}/slots", arrays)
        self._B, self._rows = self._ring.shape[:2]

    def filled(self) -> dict[str, int]:
        """Of the frames before anchors."""
        name, slots = f"{self._name}/slots", self._slots
        return {name: slots.n_touched, f"{name}/free": slots.n_free}

    def append(self, values: Array, chunk: Chunk) -> None:
        """Write stacks [T, B, ...].

        Raises:
            RlpytError: ``replay``, where a stack within an episode is not the one before it,
                shifted by a frame.
        """
        T, B = values.shape[:2]
        stacks = np.ascontiguousarray(values).reshape(T, B, self._n, self._size)
        row = chunk.parts[0][0].start
        follows = self._check.follows(stacks, self._newer_frames(row), chunk, row)
        all_follow = np.count_nonzero(follows) == follows.size  # sooner than follows.all()
        if not all_follow:
            usual = follows | chunk.starts | ~chunk.valid
            if not usual.all():
                _refuse(*np.argwhere(~usual)[0].tolist())
        release_overwritten(self._start, self._slots, chunk)
        age = self._ages(follows, all_follow, chunk)
        for into, rows in chunk.parts:
            self._ring[:, into] = stacks[rows, :, -1].swapaxes(0, 1)
            self._age[into] = age if isinstance(age, int) else age[rows]
        if not all_follow:
            self._write_starts(stacks, ~follows & chunk.valid, chunk)

    def _newer_frames(self, row: int) -> Array:
        """Of the stacks in the row before ``row`` all frames but the oldest, [B, n - 1, size]."""
        first = row - self._n + 1
        if first >= 0 and self._age[row - 1].min() >= self._n - 2:
            return self._ring[:, first:row]
        stacks = np.empty((self._B, self._n, self._size), np.uint8)
        index = (row - 1) % self._rows * self._B + np.arange(self._B)
        self._gather_stacks(index, _NONE, stacks)
        return stacks[:, 1:]

    def _write_starts(self, stacks: Array, is_anchor: Array, chunk: Chunk) -> None:
        """Write what came before the frames of anchors."""
        anchors = np.nonzero(is_anchor)
        starts = np.zeros(is_anchor.shape, np.int32)
        if len(anchors[0]):
            starts[anchors] = self._keep_start(stacks[anchors])
        for into, rows in chunk.parts:
            self._start[into] = starts[rows]

    def _keep_start(self, stacks: Array) -> Array:
        """Find out what came before the frame of anchors [K, n, size]; keep it if need be."""
        older, newest = stacks[:, :-1], stacks[:, -1:]
        starts = np.where((older == newest).all(axis=(1, 2)), _REPEATED, _ZEROS)
        other = (starts == _ZEROS) & older.any(axis=(1, 2))
        if other.any():
            slots = self._slots.take(int(other.sum()))
            self._older[slots] = older[other]
            starts[other] = slots + 1
        return starts

    def _ages(self, follows: Array, all_follow: bool, chunk: Chunk) -> Array | int:
        """Rows since the anchor, [T, B] uint8, or one number where all are the same."""
        before = self._age[chunk.parts[0][0].start - 1]  # of the last row written
        if all_follow and before.min() == self._n - 1:
            return self._n - 1
        row = np.arange(len(follows))[:, None]
        anchor = np.where(follows, -1 - before.astype(np.int64), row)
        return np.minimum(row - np.maximum.accumulate(anchor, axis=0), self._n - 1).astype(np.uint8)

    def append_final(self, values: Array, before: Array, slots: Array) -> None:
        """Keep the newest frame of final stacks [K, ...].

        Raises:
            RlpytError: ``replay``, where a stack is not the one before it, shifted by a frame.
        """
        stacks = values.reshape(len(values), self._n, self._size)
        before = before.reshape(stacks.shape)
        if not (stacks[:, :-1] == before[:, 1:]).all():
            _refuse()
        self._final[slots] = stacks[:, -1]

    def allocate(self, N: int, adjacent: bool, pin_memory: bool) -> Tensor:
        """[N, n + 1 frames] where the two stacks share all but one, else [2, N, n frames]."""
        first, *inner = self._shape
        shape = (N, first + first // self._n, *inner) if adjacent else (2, N, first, *inner)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)

    def gather(self, pairs: Pairs, out: Array) -> None:
        """As :class:`LeafStore`."""
        if not pairs.adjacent:
            now, following = out.reshape(2, -1, self._n, self._size)
            self._gather_stacks(pairs.at, _NONE, now)
            self._gather_stacks(pairs.next_at, pairs.final_at, following)
            following[pairs.final_at, -1] = self._final[pairs.final_slot]
            return
        frames = out.reshape(-1, self._n + 1, self._size)
        row, column = np.divmod(pairs.at, self._B)
        age = self._flat_age.take(pairs.at)
        rows, all_old = row[:, None] + self._around, not np.count_nonzero(age < self._n - 1)
        if not all_old:
            np.maximum(rows, (row - age)[:, None], out=rows)
        if len(pairs.stays):
            rows[pairs.stays, -1] = row[pairs.stays]
        self._take(rows, column[:, None], frames)
        if not all_old:
            self._fill_older(pairs.at, age, self._back, frames[:, :-1])
        if len(pairs.final_at):
            frames[pairs.final_at, -1] = self._final[pairs.final_slot]

    def _take(self, rows: Array, columns: Array, out: Array) -> None:
        """Copy the frames at ``rows``, which may be changed, and ``columns`` into ``out``."""
        rows %= self._rows
        rows += columns * self._rows
        # not the default mode, with which numpy copies twice
        np.take(self._flat, rows, axis=0, out=out, mode="clip")

    def view(self, gathered: Tensor, adjacent: bool) -> tuple[Tensor, Tensor]:
        """Stacks that share their frames, where adjacent."""
        if not adjacent:
            return gathered[0], gathered[1]
        size = self._shape[0]
        return gathered.narrow(1, 0, size), gathered.narrow(1, size // self._n, size)

    def _gather_stacks(self, index: Array, shifted: Array, out: Array) -> None:
        """Stacks at ``index`` [N]; those at ``shifted`` [K] one frame on, the newest left open."""
        back = self._back
        if len(shifted):
            back = np.tile(back, (len(index), 1))
            back[shifted] = (back[shifted] - 1).clip(0)
        row, column = np.divmod(index, self._B)
        age = self._flat_age.take(index, mode="wrap")
        self._take(row[:, None] - np.minimum(back, age[:, None]), column[:, None], out)
        if age.min() < self._n - 1:
            self._fill_older(index, age, back, out)

    def _fill_older(self, index: Array, age: Array, back: Array, stacks: Array) -> None:
        """Write what came before anchors into ``stacks`` [N, n, size], where it was no repeat."""
        start = np.take(self._start, index - age.astype(np.int64) * self._B, mode="wrap")
        missing = (back > age[:, None]) & (start != _REPEATED)[:, None]
        at, frame = np.nonzero(missing)
        if len(at) == 0:
            return
        start = start[at]
        if start.max() == _ZEROS:
            stacks[at, frame] = 0
            return
        back = np.broadcast_to(back, missing.shape)[at, frame].astype(np.int64)
        stacks[at, frame] = self._before_anchor(start, self._n - 1 - (back - age[at]))

    def _before_anchor(self, start: Array, which: Array) -> Array:
        """Frame number ``which`` [K] of those before anchors that start as ``start`` [K] says."""
        frames = np.zeros((len(start), self._size), np.uint8)
        kept = start > 0
        frames[kept] = self._older[start[kept] - 1, which[kept]]
        return frames

    def allocate_sequences(self, L: int, N: int, pin_memory: bool) -> Tensor:
        """[n - 1 + L, N, frame]: each frame once."""
        frame = (self._shape[0] // self._n, *self._shape[1:])
        shape = (self._n - 1 + L, N, *frame)
        return torch.empty(shape, dtype=torch.uint8, pin_memory=pin_memory)

    def gather_sequences(self, fragment: Fragment, out: Array) -> None:
        """As :class:`LeafStore`."""
        history = self._n - 1
        frames = out.reshape(*out.shape[:2], self._size)
        start, first, last = fragment.start, fragment.first, fragment.last
        age = self._flat_age.take(start + first * self._B, mode="wrap").astype(np.int64)
        row = np.arange(-history, len(frames) - history)[:, None]
        start_row, column = np.divmod(start, self._B)
        self._take(start_row + row.clip(first - age, last), column, frames)
        self._fill_history(start + (first - age) * self._B, first, age, frames)
        column = fragment.final_column
        frames[last[column] + 1 + history, column] = self._final[fragment.final_slot]

    def _fill_history(self, anchor: Array, first: Array, age: Array, frames: Array) -> None:
        """Write what came before anchors in front of row ``first`` [N], where it was no repeat."""
        start = np.take(self._start, anchor, mode="wrap")
        back = self._back[:-1]  # n - 1, ..., 1
        at, which = np.nonzero((back > age[:, None]) & (start != _REPEATED)[:, None])
        if len(at):
            rows = first[at] + which
            frames[rows, at] = self._before_anchor(start[at], age[at] + which)

    def view_sequences(self, gathered: Tensor) -> Tensor:
        """Stacks [L, N, ...] that share their frames; copied where a frame has several channels."""
        history, n = self._n - 1, self._n
        L, N = gathered.shape[0] - history, gathered.shape[1]
        step, column, *inner = gathered.stride()
        frame = gathered.shape[2:]
        stacks = gathered.as_strided((L, N, n, *frame), (step, column, step, *inner))
        return stacks.reshape(L, N, *self._shape)


def _refuse(t: int | None = None, b: int | None = None) -> None:
    where = "a final observation" if t is None else f"the observation of step {t}, environment {b}"
    raise RlpytError(
        "replay",
        f"{where} is not the stack of frames before it, shifted by one frame",
        where="FrameStorage",
        hint="use ArrayStorage for observations that are no plain stacks of frames",
    )
