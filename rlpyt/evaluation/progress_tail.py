"""``progress.csv`` of a run that goes on: each look reads only what is new."""

import csv
import math
import os
from array import array
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO, final

import numpy as np

__all__ = ["ProgressTail", "thinned"]

_CONTEXT = 64  # bytes before the end of the last look: where they differ, it is another file


@final
class ProgressTail:
    """Columns of one ``progress.csv``, as far as it has been written.

    A row that is still being written is left out until it is whole. A file that was replaced (the
    logger does so for a column that appears later, and when a run goes back to a checkpoint) is
    read again from its beginning; one that was removed has no rows.
    """

    def __init__(self, path: Path) -> None:
        """Of the file ``path``, which need not be there yet; nothing is read before a look."""
        self.path = path
        self.header: list[str] = []
        self.n_rows = 0
        self.modified_at = math.nan  # seconds since 1970
        self._columns: dict[str, array[float]] = {}
        self._seen: tuple[int, int, int] | None = None  # inode, bytes, time of the last change
        self._first = b""  # the header's line
        self._end = 0  # of the last complete row
        self._before_end = b""

    def column(self, name: str) -> "array[float]":
        """One number per row; empty where there is no such column, or nobody has wanted it."""
        return self._columns.get(name, array("d"))

    def look(self, wanted: Collection[str] = ()) -> bool:
        """Read what is new, in the columns of this and earlier calls; whether anything is.

        What is no number is NaN; rows with more or fewer cells than the header are left out.
        """
        new = {name: array("d") for name in wanted if name not in self._columns}
        self._columns |= new
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen and not new:
                return False
            with self.path.open("rb") as file:
                if new or not self._goes_on(file):
                    self._restart()
                self._read(file)
        except OSError:  # not there yet, or not any more
            was_there = self._seen is not None
            self._restart()
            self._seen = None
            return was_there
        self._seen = seen
        self.modified_at = status.st_mtime
        return True

    def _goes_on(self, file: BinaryIO) -> bool:
        """Whether what was read before still stands there."""
        read = os.pread(file.fileno(), len(self._first), 0)
        start = self._end - len(self._before_end)
        return read == self._first and self._before_end == os.pread(
            file.fileno(), len(self._before_end), start
        )

    def _restart(self) -> None:
        self.header, self.n_rows, self._first = [], 0, b""
        self._end, self._before_end = 0, b""
        self._columns = {name: array("d") for name in self._columns}

    def _read(self, file: BinaryIO) -> None:
        file.seek(self._end)
        *lines, _unfinished = file.read().split(b"\n")
        if not lines:
            return
        self._end += sum(map(len, lines)) + len(lines)
        self._before_end = b"\n".join([*lines[-2:], b""])[-_CONTEXT:]
        if not self._first:
            first, *lines = lines
            self._first = first + b"\n"
            self.header = next(csv.reader([first.decode(errors="replace")]), [])
        places = {name: i for i, name in enumerate(self.header)}
        chosen = [
            (places[name], values) for name, values in self._columns.items() if name in places
        ]
        for line in lines:
            cells = line.split(b",")
            if len(cells) == len(self.header):
                self.n_rows += 1
                for i, values in chosen:
                    values.append(_number(cells[i]))


def _number(cell: bytes) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def thinned(
    x: Sequence[float], y: Sequence[float], n_points: int
) -> tuple[list[float], list[float]]:
    """At most ``n_points`` of the finite points of a curve, by rising x: neighbours are averaged.

    The last point stays as it is.
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    n = min(len(xs), len(ys))  # a column that nobody has logged has no rows
    xs, ys = xs[:n], ys[:n]
    finite = np.isfinite(xs) & np.isfinite(ys)
    xs, ys = xs[finite], ys[finite]
    order = np.argsort(xs, kind="stable")
    xs, ys = xs[order], ys[order]
    if len(xs) > n_points:
        starts = np.linspace(0, len(xs) - 1, n_points).astype(int)[:-1]
        sizes = np.diff([*starts, len(xs) - 1])
        last_x, last_y = xs[-1], ys[-1]
        xs = np.append(np.add.reduceat(xs[:-1], starts) / sizes, last_x)
        ys = np.append(np.add.reduceat(ys[:-1], starts) / sizes, last_y)
    return xs.tolist(), ys.tolist()
