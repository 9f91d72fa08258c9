"""The file of a queue: its tables, its transactions, its rows as runs."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from rlpyt.launch.queued_run import QueuedRun, RunSpec
from rlpyt.logging.files import make_run_dir
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ProcessIdentity

__all__ = ["QUEUE_FILE", "QueueFile", "run_of"]

QUEUE_FILE = "queue.sqlite"
"""Its name, in the directory of the experiment."""

_VERSION = 1  # of the tables, in the file's user_version
_PATIENCE = 60.0  # seconds that others may take over their transactions

_TABLES = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    log_dir TEXT NOT NULL, run_ID INTEGER NOT NULL, spec TEXT NOT NULL,
    priority INTEGER NOT NULL, retries INTEGER NOT NULL, position INTEGER NOT NULL,
    state TEXT NOT NULL, wanted TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    launcher INTEGER, slot INTEGER, host TEXT, pid INTEGER, start TEXT,
    exit_code INTEGER, reason TEXT NOT NULL DEFAULT '',
    queued_at REAL NOT NULL, started_at REAL, ended_at REAL, seconds REAL NOT NULL DEFAULT 0,
    UNIQUE (log_dir, run_ID)
);
CREATE INDEX next_run ON runs (state, priority DESC, position);
CREATE TABLE launchers (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL, pid INTEGER NOT NULL, start TEXT NOT NULL,
    affinity TEXT NOT NULL, beats INTEGER NOT NULL DEFAULT 0, seen_at REAL NOT NULL
);
"""


@final
class QueueFile:
    """``queue.sqlite`` in ``directory``; ``create`` makes one where there is none.

    Raises:
        RlpytError: ``usage``, where there is none; ``queue``, where it is of another release or
            damaged, and in every method where others hold it for a minute.
    """

    def __init__(self, directory: Path | str, *, create: bool = False) -> None:
        """Open it."""
        self.directory = Path(directory)
        self._path = self.directory / QUEUE_FILE
        if create:
            make_run_dir(self.directory)
        elif not self._path.is_file():
            hint = "give the directory of `rlpyt launch`, which it prints"
            raise RlpytError("usage", f"{self.directory} has no {QUEUE_FILE}", hint=hint)
        with self._errors_named():
            self._database = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            self._database.row_factory = sqlite3.Row
            try:
                self._prepare()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _prepare(self) -> None:
        [version] = self._database.execute("PRAGMA user_version").fetchone()
        if version == _VERSION:
            return
        with self.transaction() as do:
            [version] = do("PRAGMA user_version").fetchone()  # another may have made it meanwhile
            if version == 0:
                for statement in filter(str.strip, _TABLES.split(";")):
                    do(statement)
                do(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                what = f"{self._path} has format {version}, this rlpyt reads {_VERSION}"
                raise RlpytError("queue", what, hint="use the rlpyt that wrote it")

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            hint = "can it be written, is the disk full, does its file system have locks?"
            if not self._path.exists():
                hint = "it was removed; what its runs have written is where they wrote it"
            raise RlpytError("queue", f"{self._path}: {error}", hint=hint) from error

    @contextmanager
    def transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        """All that is executed inside happens, or nothing; nobody else writes meanwhile."""
        with self._errors_named():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database.execute
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @staticmethod
    def is_full(error: RlpytError) -> bool:
        """Whether ``error`` tells of a transaction that did not happen for want of room."""
        code = getattr(error.__cause__, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_FULL

    def read(self, statement: str) -> list[sqlite3.Row]:
        """The rows that a query finds."""
        with self._errors_named():
            return self._database.execute(statement).fetchall()


def run_of(row: sqlite3.Row) -> QueuedRun:
    """The run that a row of the table ``runs`` is."""
    spec = json.loads(row["spec"])
    process = None
    if row["pid"] is not None:
        process = ProcessIdentity(row["host"], row["pid"], row["start"])
    own = (
        "id",
        "state",
        "wanted",
        "attempts",
        "failures",
        "launcher",
        "slot",
        "exit_code",
        "reason",
        "queued_at",
        "started_at",
        "ended_at",
        "seconds",
    )
    return QueuedRun(
        spec=RunSpec(
            **spec,
            log_dir=row["log_dir"],
            run_ID=row["run_ID"],
            priority=row["priority"],
            retries=row["retries"],
        ),
        process=process,
        **{name: row[name] for name in own},
    )
