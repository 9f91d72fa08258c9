"""Whether stacks of frames go on one from the other, each the one before shifted by a frame.

Comparing all of it means reading every stack whole, which takes longer than all else that an append
does. So all is compared where that is cheap: in the first ``_WHOLE`` rows of memory, and where an
episode starts. Elsewhere each frame is cut into strips, and of each older frame of a stack one
strip is compared, another for each place in the stack: for n = 4 a quarter of every frame, in three
stacks. Which strips these are moves on every ``_TURN`` rows.

That finds any observation that is not stacked, is stacked in another order, skips or repeats
frames, or has pixels of whole stacks changed (noise, shifts); and what changes a few pixels, always
the same ones, at the latest when all strips had their turn, which for n = 4 is after 192 rows. It
does not find a stack that is wrong only in strips that are not compared in it, and only for a
while: the frame as it was when it was the newest is what then comes back.
"""

from itertools import pairwise
from typing import final

import numpy as np

from rlpyt.replays.memory import Array
from rlpyt.replays.storage import Chunk

__all__ = ["FrameCheck"]

_WHOLE = 256  # rows
_TURN = 16  # rows
_STRIPS = 4  # for each of the n - 1 older frames: a fourth of a frame is compared
_BLOCK = 1 << 24  # bytes compared whole at a time, which bounds the memory that it takes


@final
class FrameCheck:
    """Compares stacks of n frames of ``size`` bytes."""

    def __init__(self, n_frames: int, size: int) -> None:
        """Stacks are given as [..., n, size] uint8."""
        self._n = n_frames
        n_items = size // 8 if size % 8 == 0 else size  # as :func:`_words`
        n_strips = min(n_items, _STRIPS * (n_frames - 1))
        bounds = np.linspace(0, n_items, n_strips + 1).astype(int).tolist()
        self._strips = [slice(*pair) for pair in pairwise(bounds)]

    def follows(self, stacks: Array, before: Array, chunk: Chunk, row: int) -> Array:
        """Where a stack [T, B, n, size] is the one of the row before, shifted; [T, B] bool.

        ``before`` [B, n - 1, size] are the frames, but for the oldest, of the last stacks written,
        ``row`` is where the first of these goes in memory.
        """
        frames, frames_before = _words(stacks), _words(before)
        follows = self._in_strips(frames, frames_before, row // max(_TURN, len(frames)))
        whole = ~follows
        if row < _WHOLE:
            whole[:] = True
        elif not chunk.all_linked or chunk.starts.any():
            # Strips are compared with up to n - 1 rows before, here another episode's, which may
            # look the same.
            anchors = chunk.starts | ~chunk.linked
            for lag in range(self._n - 1):
                whole[lag:] |= anchors[: len(anchors) - lag]
        at = np.argwhere(whole)
        per_block = max(1, _BLOCK // stacks[0, 0].nbytes)
        for first in range(0, len(at), per_block):
            t, b = at[first : first + per_block].T
            last = np.where((t > 0)[:, None, None], frames[t - 1, b, 1:], frames_before[b])
            follows[t, b] = (frames[t, b, :-1] == last).all(axis=(1, 2))
        if not chunk.all_linked:
            # What is no transition is an anchor, and so is what comes after it.
            follows &= chunk.linked
        return follows

    def _in_strips(self, frames: Array, before: Array, turn: int) -> Array:
        """Where the compared strips of the older frames equal the newest frames of rows before."""
        T, n_older = len(frames), self._n - 1
        follows = np.ones(frames.shape[:2], bool)
        for place in range(n_older):
            strip = self._strips[(place * _STRIPS + turn) % len(self._strips)]
            older, newest = frames[:, :, place, strip], frames[:, :, -1, strip]
            lag = n_older - place  # rows since this frame was the newest
            head = before[:, place : place + T, strip].swapaxes(0, 1)  # of before the first row
            for rows, expected in ((slice(0, lag), head), (slice(lag, T), newest[:-lag])):
                equal = older[rows] == expected
                if np.count_nonzero(equal) < equal.size:  # sooner than equal.all()
                    follows[rows] &= equal.all(axis=2)
        return follows


def _words(frames: Array) -> Array:
    """Bytes [..., size] as words of 8 where that goes, which compare sooner."""
    return frames.view(np.uint64) if frames.shape[-1] % 8 == 0 else frames
