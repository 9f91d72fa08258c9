"""What a launcher does with a queue: it comes, takes runs, says what became of them, and goes.

Launchers, of this machine or others that share the directory, say from time to time that they are
alive; the runs of one that does not any more go back into the queue.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar, final

from rlpyt.launch.queue_file import QueueFile, run_of
from rlpyt.launch.queued_run import QueuedRun, QueueState
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ProcessIdentity

__all__ = ["SILENCE", "Attendance", "LauncherRecord", "Recovery", "Wait", "launchers_in"]

Do: TypeAlias = Callable[..., sqlite3.Cursor]
"""Executes a statement of a transaction."""

Wait: TypeAlias = Callable[[RlpytError], None]
"""Waits a moment for room on the disk, or raises the error that there is none."""

Result = TypeVar("Result")

SILENCE = 90.0
"""Seconds without a sign of life after which a launcher of another machine has ended."""


@final
@dataclass(frozen=True, kw_only=True)
class LauncherRecord:
    """A launcher that drains the queue, or did until it was ended."""

    id: int
    process: ProcessIdentity
    affinity: str
    beats: int  # how often it has said that it is alive
    seen_at: float  # when last, seconds since 1970, by its own clock

    @property
    def has_ended(self) -> bool:
        """Whether it is known to have ended; of another machine's it is not."""
        return self.process.is_here and not self.process.is_running


class _Written(NamedTuple):
    """What came of a statement."""

    rows: list[sqlite3.Row]  # those it returned
    rowcount: int
    lastrowid: int | None


class Recovery(NamedTuple):
    """What came of looking for launchers that have ended without leaving."""

    back: list[QueuedRun]  # runs of theirs, which are queued again
    n_left: int  # runs of theirs whose processes go on


def launchers_in(file: QueueFile) -> list[LauncherRecord]:
    """Those that have come and not gone."""
    return [
        LauncherRecord(
            id=row["id"],
            process=ProcessIdentity(row["host"], row["pid"], row["start"]),
            affinity=row["affinity"],
            beats=row["beats"],
            seen_at=row["seen_at"],
        )
        for row in file.read("SELECT * FROM launchers ORDER BY id")
    ]


@final
class Attendance:
    """Context in which this process is one of the queue's launchers.

    Its runs go on while the disk is full, and so should it: what it has to write it writes once
    there is room.
    """

    def __init__(self, file: QueueFile, affinity: str, wait: Wait | None = None) -> None:
        """With the slots that the code ``affinity`` gives. ``wait`` is called between two attempts
        to write on a full disk, with the error, which it may raise; None: it is raised.
        """
        self._file = file
        self._wait = wait
        self._affinity = affinity
        self._id = 0
        self._others: dict[int, tuple[int, float]] = {}  # beats, and when they were new here

    def __enter__(self) -> Self:
        own = ProcessIdentity.of(os.getpid())
        cursor = self._write(
            "INSERT INTO launchers (host, pid, start, affinity, seen_at) VALUES (?, ?, ?, ?, ?)",
            (own.host, own.pid, own.start, self._affinity, time.time()),
        )
        self._id = int(cursor.lastrowid or 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write("DELETE FROM launchers WHERE id = ?", (self._id,))

    def _write(self, statement: str, values: Sequence[Any]) -> "_Written":
        """One statement, and what came of it."""

        def write(do: Do) -> _Written:
            cursor = do(statement, values)
            return _Written(cursor.fetchall(), cursor.rowcount, cursor.lastrowid)

        return self._patiently(write)

    def _patiently(self, write: Callable[[Do], Result]) -> Result:
        """``write`` in a transaction of its own, as soon as the disk has room for it."""
        while True:
            try:
                with self._file.transaction() as do:
                    return write(do)
            except RlpytError as error:
                if self._wait is None or not self._file.is_full(error):
                    raise
                self._wait(error)

    def beat(self) -> bool:
        """Say that it is alive; False where the others have given it up already, and taken over its
        runs.
        """
        cursor = self._write(
            "UPDATE launchers SET beats = beats + 1, seen_at = ? WHERE id = ?",
            (time.time(), self._id),
        )
        return bool(cursor.rowcount)

    def take(self, slot: int) -> QueuedRun | None:
        """The next run, which is this launcher's from now on; None where none is queued."""
        rows = self._write(
            "UPDATE runs SET state = 'running', wanted = NULL, launcher = ?, slot = ?, "
            "host = NULL, pid = NULL, start = NULL, exit_code = NULL, reason = '', "
            "attempts = attempts + 1, started_at = ?, ended_at = NULL WHERE id = "
            "(SELECT id FROM runs WHERE state = 'queued' "
            "ORDER BY priority DESC, position LIMIT 1) RETURNING *",
            (self._id, slot, time.time()),
        ).rows
        return run_of(rows[0]) if rows else None

    def started(self, run: QueuedRun, process: ProcessIdentity) -> None:
        """Say which process it is."""
        self._write(
            "UPDATE runs SET host = ?, pid = ?, start = ? WHERE id = ? AND launcher = ?",
            (process.host, process.pid, process.start, run.id, self._id),
        )

    def ended(
        self,
        run: QueuedRun,
        state: QueueState,
        *,
        exit_code: int | None = None,
        reason: str = "",
        is_failure: bool = False,
        at_end: bool = False,
    ) -> None:
        """Say what became of it; nothing happens where others have taken it over meanwhile.

        ``at_end``: of the queue, for one that goes back.
        """
        now = time.time()
        last = "(SELECT max(position) + 1 FROM runs)" if at_end else "position"
        self._write(
            "UPDATE runs SET state = ?, wanted = NULL, exit_code = ?, reason = ?, "
            "failures = failures + ?, ended_at = ?, seconds = seconds + max(0, ? - started_at),"
            f" position = {last} WHERE id = ? AND launcher = ? AND state = 'running'",
            (state, exit_code, reason, is_failure, now, now, run.id, self._id),
        )

    def wanted(self) -> dict[int, QueueState]:
        """Which of its runs are asked to end, by number, and what they are to be then."""
        rows = self._file.read(
            "SELECT id, wanted FROM runs WHERE state = 'running' AND wanted IS NOT NULL "
            f"AND launcher = {self._id}"
        )
        return {row["id"]: row["wanted"] for row in rows}

    def recover(self) -> Recovery:
        """Put back into the queue what launchers ran that have ended without leaving.

        Of this machine's that is known at once; of another's it is taken to be so when it has said
        nothing for 90 seconds of this process's clock. A run whose process goes on (it saves) stays
        as it is, and is looked at again at the next call.
        """
        now = time.monotonic()
        gone = []
        for other in launchers_in(self._file):
            if other.id == self._id or other.process.is_running:
                continue
            beats, since = self._others.setdefault(other.id, (other.beats, now))
            if beats != other.beats:
                self._others[other.id] = (other.beats, now)
            elif other.process.is_here or now - since > SILENCE:
                gone.append(other.id)
        return self._without(gone)

    def _without(self, gone: list[int]) -> Recovery:
        """Put back the runs of launchers that are ``gone``, or were before."""
        numbers = ", ".join(map(str, gone))
        of_nobody = (
            "SELECT * FROM runs WHERE state = 'running' AND launcher NOT IN "
            f"(SELECT id FROM launchers WHERE id NOT IN ({numbers}))"
        )
        if not gone and not self._file.read(of_nobody):
            return Recovery([], 0)

        def put_back(do: Do) -> Recovery:
            runs = [run_of(row) for row in do(of_nobody).fetchall()]
            ended = [run for run in runs if run.process is None or not run.process.is_running]
            for run in ended:
                do(  # it ran at least until its launcher was last seen
                    "UPDATE runs SET state = ?, wanted = NULL, reason = ?, ended_at = ?, "
                    "seconds = seconds + max(0, coalesce((SELECT seen_at FROM launchers "
                    "WHERE launchers.id = launcher), started_at) - started_at) WHERE id = ?",
                    (run.wanted or "queued", "its launcher was ended", time.time(), run.id),
                )
            do(f"DELETE FROM launchers WHERE id IN ({numbers})")
            return Recovery(ended, len(runs) - len(ended))

        return self._patiently(put_back)
