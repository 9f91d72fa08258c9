"""What is known of the rows of one append before they are written: their flags, where they go, and
which of them follow each other.
"""

from typing import Any, NamedTuple

import numpy as np

from rlpyt.replays.memory import Array
from rlpyt.replays.storage import Chunk

__all__ = ["RESET", "TERMINATED", "TRUNCATED", "VALID", "Placement"]

TERMINATED, TRUNCATED, RESET, VALID = 1, 2, 4, 8
"""What ``Ring.flags`` is made of."""


class Placement(NamedTuple):
    """Where the rows of one append go."""

    chunk: Chunk
    rows: Array  # [T] their absolute numbers
    flags: Array  # [T, B] uint8

    @staticmethod
    def of(
        samples: Any,
        last: Array,
        *,
        first: bool,
        parts: tuple[tuple[slice, slice], ...],
        rows: Array,
    ) -> "Placement":
        """Of ``samples``, Samples of arrays [T, B], that come after a row with flags ``last`` [B];
        ``first`` are the first ever.
        """
        shape = samples.reward.shape
        if not first and _is_quiet(samples, last):
            yes = np.ones(shape, bool)
            chunk = Chunk(parts, yes, yes, True, np.zeros(shape, bool), None)
            return Placement(chunk, rows, np.full(shape, VALID, np.uint8))
        valid = np.ones(shape, bool) if samples.valid is None else np.asarray(samples.valid)
        done = samples.terminated | samples.truncated
        before = np.concatenate([(last & VALID)[None] != 0, valid[:-1]])
        ended = np.concatenate([(last & (TERMINATED | TRUNCATED))[None] != 0, done[:-1]])
        starts = samples.reset | ~before | ended
        flags = (
            samples.terminated * np.uint8(TERMINATED)
            + samples.truncated * np.uint8(TRUNCATED)
            + starts * np.uint8(RESET)
            + valid * np.uint8(VALID)
        )
        if first:
            starts[0] = True
        linked = valid & before
        keep_final = samples.truncated & ~samples.terminated & valid
        final = keep_final if keep_final.any() else None
        return Placement(
            Chunk(parts, valid, linked, bool(linked.all()), starts, final), rows, flags
        )


def _is_quiet(samples: Any, last: Array) -> bool:
    """Whether ``samples`` go on after the row with flags ``last`` without any start or end."""
    if samples.valid is not None or not (last | RESET == VALID | RESET).all():
        return False
    marks = (samples.reset, samples.terminated, samples.truncated)
    return not any(np.count_nonzero(mark) for mark in marks)  # sooner than mark.any()
