"""A directory of runs while they go on: what a table or a page of them shows, looked at anew."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple, final

from rlpyt.evaluation.output_tail import output_tail
from rlpyt.evaluation.progress_tail import ProgressTail, thinned
from rlpyt.evaluation.run_sources import (
    LIVE_STATES,
    FolderSource,
    FoundRun,
    LiveState,
    QueueSource,
    RunSource,
)
from rlpyt.evaluation.runs import RETURN, STEPS, TIME
from rlpyt.launch.queue import Queue
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.process_usage import ProcessUsage

__all__ = ["Curves", "LiveRun", "LiveView", "Snapshot"]

_RATE_ROWS = 10  # the latest rows that say how fast a run is
_HISTORY = 40  # points of a run's history
_CURVE = 200  # points of a run's curve


@final
@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run as it is now; NaN is what is not known (yet)."""

    found: FoundRun
    steps: float
    steps_per_second: float  # over its latest rows
    seconds: float  # that it has taken, as its queue says, else as it has logged
    eta: float  # seconds until its end, for one that goes on
    last_return: float
    history: Sequence[float]  # of its returns, thinned
    cpu: float  # percent of one CPU, with all that it has started
    memory: float  # bytes, likewise

    @property
    def setting(self) -> tuple[str, str]:
        """What it has in common with the runs that differ from it in nothing but the seed."""
        return self.found.group, self.found.env

    @property
    def fraction(self) -> float:
        """Of its steps that it has made, 0 to 1."""
        if self.found.state == "done":
            return 1.0
        if not self.found.n_steps:
            return math.nan
        return 0.0 if math.isnan(self.steps) else min(1.0, self.steps / self.found.n_steps)


@final
@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All runs of a directory at one time: those that go on first, those that are done last."""

    directory: Path
    at: float  # seconds since 1970
    runs: Sequence[LiveRun]
    n_launchers: int | None  # None: there is no queue

    @property
    def counts(self) -> dict[LiveState, int]:
        """How many are in each state that any is in."""
        found = Counter(run.found.state for run in self.runs)
        return {state: found[state] for state in LIVE_STATES if found[state]}

    @property
    def steps_per_second(self) -> float:
        """Of all that go on."""
        rates = [run.steps_per_second for run in self.runs if run.found.state == "running"]
        return sum(rate for rate in rates if not math.isnan(rate))

    @property
    def eta(self) -> float:
        """Seconds until all have ended, should they go on as they do now: what is left of those
        that run and wait, over as many at a time as run now; NaN where nothing runs, or nothing is
        known of a run that waits. Runs that wait take as long as others of their settings, else as
        all others.
        """
        totals: dict[tuple[str, str] | None, list[float]] = {}
        for run in self.runs:
            total = _total(run)
            if not math.isnan(total):
                totals.setdefault(run.setting, []).append(total)
                totals.setdefault(None, []).append(total)
        etas = [run.eta for run in self.runs if run.found.state == "running"]
        left = [
            _left(run, totals.get(run.setting) or totals.get(None) or [])
            for run in self.runs
            if run.found.state in ("running", "queued")
        ]
        if not etas or math.isnan(sum(left)):
            return math.nan
        longest = max(0.0 if math.isnan(eta) else eta for eta in etas)
        return max(longest, sum(left) / len(etas))


def _total(run: LiveRun) -> float:
    """Seconds that it takes from beginning to end, as far as can be told."""
    if run.found.state == "done":
        return run.seconds
    return run.seconds + run.eta if run.found.state == "running" else math.nan


def _left(run: LiveRun, totals: Sequence[float]) -> float:
    """Seconds until its end once it runs; ``totals`` are those of others like it."""
    if not math.isnan(run.eta):
        return run.eta
    fraction = 0.0 if math.isnan(run.fraction) else run.fraction
    return (1.0 - fraction) * sum(totals) / len(totals) if totals else math.nan


class Curves(NamedTuple):
    """Curves that are new or have changed, of one column over another."""

    stamp: int  # what the next question names
    points: dict[int, tuple[list[float], list[float]]]  # by run: x, y
    columns: list[str]  # all that any run has


@final
class LiveView:
    """What is shown of the runs in ``directory``, with or without a queue.

    :meth:`look` belongs to one thread, the first that calls it; :meth:`curves` and :meth:`output`
    to any.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing is read before a look.

        Raises:
            RlpytError: ``directory``, where there is no such directory.
        """
        if not directory.is_dir():
            hint = "give a directory of runs, or of `rlpyt launch`"
            raise RlpytError("directory", f"no such directory: {directory}", hint=hint)
        self.directory = directory
        self._source: RunSource | None = None
        self._usage = ProcessUsage()
        self._lock = Lock()  # of the tails
        self._tails: dict[int, ProgressTail] = {}
        self._changed: dict[int, int] = {}  # the stamp of each tail's last change
        self._stamp = 0
        self._run_dirs: dict[int, Path] = {}

    def look(self) -> Snapshot:
        """All runs as they are now.

        Raises:
            RlpytError: where the queue cannot be read.
        """
        source = self._opened()
        try:
            found, launchers = source.look(), source.count_launchers()
        except RlpytError:
            self.close()  # what was found damaged or gone is opened anew at the next look
            raise
        used = self._usage.look([run.pid for run in found if run.pid is not None])
        now = time.time()
        with self._lock:
            self._stamp += 1
            self._run_dirs = {run.id: run.run_dir for run in found}
            for number in [number for number in self._tails if number not in self._run_dirs]:
                del self._tails[number], self._changed[number]
            runs = []
            for run in found:
                usage = used.get(run.pid or 0)
                tail = self._look_at(run.id, (STEPS, TIME, RETURN))
                cpu = math.nan if usage is None or usage.cpu is None else usage.cpu
                memory = math.nan if usage is None else float(usage.memory)
                runs.append(_live(run, tail, now, cpu=cpu, memory=memory))
        runs.sort(key=lambda run: LIVE_STATES.index(run.found.state))
        return Snapshot(directory=self.directory, at=now, runs=runs, n_launchers=launchers)

    def _opened(self) -> RunSource:
        """The source for what the directory is now: a queue may come, and go."""
        kind = QueueSource if Queue.is_in(self.directory) else FolderSource
        if not isinstance(self._source, kind):
            self.close()
            self._source = kind(self.directory)
            with self._lock:
                self._tails, self._changed = {}, {}
        return self._source

    def _look_at(self, number: int, wanted: Sequence[str] = ()) -> ProgressTail:
        tail = self._tails.get(number)
        if tail is None:
            tail = self._tails[number] = ProgressTail(self._run_dirs[number] / "progress.csv")
            self._changed[number] = self._stamp
        if tail.look(wanted):
            self._changed[number] = self._stamp
        return tail

    def curves(self, y: str = RETURN, x: str = STEPS, since: int = 0) -> Curves:
        """Those that have changed after the stamp ``since``; 0: all."""
        with self._lock:
            self._stamp += 1
            points = {}
            columns: dict[str, None] = {}
            for number in self._run_dirs:
                tail = self._look_at(number)
                columns |= dict.fromkeys(tail.header)
                self._look_at(number, [name for name in (x, y) if name in tail.header])
                if self._changed[number] > since or since > self._stamp:
                    points[number] = thinned(tail.column(x), tail.column(y), _CURVE)
            return Curves(self._stamp, points, list(columns))

    def output(self, number: int) -> str | None:
        """The end of what a run has printed; None for a run that there is not."""
        with self._lock:
            run_dir = self._run_dirs.get(number)
        return None if run_dir is None else output_tail(run_dir)

    def close(self) -> None:
        """Let go of files; in the thread that looked."""
        if self._source is not None:
            self._source.close()
            self._source = None


def _live(run: FoundRun, tail: ProgressTail, now: float, *, cpu: float, memory: float) -> LiveRun:
    steps, seconds, returns = tail.column(STEPS), tail.column(TIME), tail.column(RETURN)
    n = len(steps)
    rate, eta = math.nan, math.nan
    if len(seconds) == n > 0:
        first = max(0, n - 1 - _RATE_ROWS)
        begun = (steps[first], seconds[first]) if n > 1 else (0.0, 0.0)
        took = seconds[-1] - begun[1]
        rate = (steps[-1] - begun[0]) / took if took > 0 else math.nan
    if run.state == "running" and run.n_steps and rate > 0:
        since_row = max(0.0, now - tail.modified_at)
        eta = max(0.0, (run.n_steps - steps[-1]) / rate - since_row)
    logged = seconds[-1] if seconds else math.nan
    _, history = thinned(range(len(returns)), returns, _HISTORY)
    return LiveRun(
        found=run,
        steps=steps[-1] if n else math.nan,
        steps_per_second=rate,
        seconds=logged if math.isnan(run.seconds) else run.seconds,
        eta=eta,
        last_return=returns[-1] if returns else math.nan,
        history=history,
        cpu=cpu,
        memory=memory,
    )
