"""The queue of an experiment's runs: one SQLite file, which any number of launchers drain.

Every change is a transaction: a launcher, or a machine, that ends at any point leaves each run in
one state.
"""

import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, final

from rlpyt.launch.attendance import Attendance, LauncherRecord, Wait, launchers_in
from rlpyt.launch.queue_file import QUEUE_FILE, QueueFile, run_of
from rlpyt.launch.queued_run import QueuedRun, RunSpec
from rlpyt.utils.errors import RlpytError

__all__ = ["LAUNCHED_FILE", "TREE_FILE", "Queue"]

LAUNCHED_FILE = "num_launched.txt"
"""How many runs have been started, in the directory of the experiment."""

TREE_FILE = "experiments_tree.txt"
"""The directories of all variants, in the directory of the experiment."""


@final
class Queue:
    """The queue in ``directory``; ``create`` makes one where there is none.

    Raises:
        RlpytError: ``usage``, where there is none; ``queue``, where it is of another release or
            damaged, and in every method where others hold it for a minute.
    """

    def __init__(self, directory: Path | str, *, create: bool = False) -> None:
        """Open it."""
        self._file = QueueFile(directory, create=create)

    @staticmethod
    def is_in(directory: Path | str) -> bool:
        """Whether there is one."""
        return (Path(directory) / QUEUE_FILE).is_file()

    @property
    def directory(self) -> Path:
        """Of the experiment."""
        return self._file.directory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def attend(self, affinity: str, wait: Wait | None = None) -> Attendance:
        """Of this process, as a launcher whose slots ``affinity`` gives; a context. ``wait`` as of
        :class:`Attendance`.
        """
        return Attendance(self._file, affinity, wait)

    def runs(self) -> list[QueuedRun]:
        """All, in the order of their coming."""
        return [run_of(row) for row in self._file.read("SELECT * FROM runs ORDER BY id")]

    def counts(self) -> dict[str, int]:
        """How many are in each state that any is in."""
        rows = self._file.read("SELECT state, count(*) FROM runs GROUP BY state")
        return {row[0]: row[1] for row in rows}

    def launchers(self) -> list[LauncherRecord]:
        """Those that have come and not gone."""
        return launchers_in(self._file)

    def add(self, specs: Iterable[RunSpec]) -> int:
        """Put runs at the end; those that are there already stay as they are.

        Returns:
            How many are new.

        Raises:
            RlpytError: ``queue``, where a run of the same name is there that does something else;
                then none is added.
        """
        now, n_new = time.time(), 0
        with self._file.transaction() as do:
            [position] = do("SELECT coalesce(max(position), 0) FROM runs").fetchone()
            for spec in specs:
                found = do(
                    "SELECT spec FROM runs WHERE log_dir = ? AND run_ID = ?",
                    (spec.log_dir, spec.run_ID),
                ).fetchone()
                if found is not None:
                    self._check_same(found["spec"], spec)
                    continue
                n_new += 1
                values = (spec.log_dir, spec.run_ID, spec.as_json(), spec.priority, spec.retries)
                do(
                    "INSERT INTO runs (log_dir, run_ID, spec, priority, retries, position, state, "
                    "queued_at) VALUES (?, ?, ?, ?, ?, ?, 'queued', ?)",
                    (*values, position + n_new, now),
                )
        self._write_tree()
        return n_new

    def _check_same(self, known: str, spec: RunSpec) -> None:
        then, now = json.loads(known), json.loads(spec.as_json())
        for part in ("command", "variant", "args"):
            if then[part] != now[part]:
                what = f"{spec.name} is queued with another {part}: {then[part]}, now {now[part]}"
                hint = "give the other experiment another --out"
                raise RlpytError("queue", what, where=str(self._file.directory), hint=hint)

    def write_launched(self) -> None:
        """Say in ``num_launched.txt`` how many runs have been started, as rlpyt 0.1 does."""
        [row] = self._file.read("SELECT count(*), count(nullif(attempts, 0)) FROM runs")
        text = f"Experiments launched so far: {row[1]} out of {row[0]}.\n"
        with suppress(OSError):  # for people alone
            (self.directory / LAUNCHED_FILE).write_text(text)

    def _write_tree(self) -> None:
        """Say in ``experiments_tree.txt`` which variants there are, as rlpyt 0.1 does."""
        rows = self._file.read("SELECT log_dir, count(*) FROM runs GROUP BY log_dir ORDER BY id")
        total = sum(row[1] for row in rows)
        lines = [
            f"Experiment manager process ID: {os.getpid()}.",
            f"Number of settings (experiments) to run: {len(rows)}  ({total}).",
            "",
            *(str(self.directory / row[0]) for row in rows),
        ]
        with suppress(OSError):
            (self.directory / TREE_FILE).write_text("\n".join(lines) + "\n")

    def stop(self, ids: Sequence[int]) -> None:
        """Runs that wait are stopped, and those that run are asked to end; both can be continued by
        :meth:`retry`.
        """
        with self._file.transaction() as do:
            for number in ids:
                do(
                    "UPDATE runs SET state = 'stopped', reason = 'stopped' "
                    "WHERE id = ? AND state = 'queued'",
                    (number,),
                )
                do(
                    "UPDATE runs SET wanted = 'stopped' WHERE id = ? AND state = 'running'",
                    (number,),
                )

    def retry(self, ids: Sequence[int]) -> None:
        """Failed and stopped runs wait again, where they stood before, with all their retries."""
        with self._file.transaction() as do:
            for number in ids:
                do(
                    "UPDATE runs SET state = 'queued', failures = 0, reason = '' "
                    "WHERE id = ? AND state IN ('failed', 'stopped')",
                    (number,),
                )

    def extend(self, specs: Iterable[RunSpec]) -> None:
        """Runs that are done have more to do: they wait again, to do what the spec of their name
        says now, with its priority and all their retries.

        Runs that are in another state, or are to do just that already, stay as they are.
        """
        with self._file.transaction() as do:
            for spec in specs:
                text = spec.as_json()
                do(
                    "UPDATE runs SET state = 'queued', failures = 0, reason = '', spec = ?, "
                    "priority = ?, retries = ? "
                    "WHERE log_dir = ? AND run_ID = ? AND state = 'done' AND spec != ?",
                    (text, spec.priority, spec.retries, spec.log_dir, spec.run_ID, text),
                )

    def requeue(self, ids: Sequence[int]) -> None:
        """Runs go to the end of the queue; those that run are asked to end first."""
        with self._file.transaction() as do:
            for number in ids:
                do(
                    "UPDATE runs SET state = 'queued', failures = 0, reason = '', position = "
                    "(SELECT max(position) + 1 FROM runs) WHERE id = ? AND state != 'running'",
                    (number,),
                )
                do(
                    "UPDATE runs SET wanted = 'queued' WHERE id = ? AND state = 'running'",
                    (number,),
                )
