"""What is run for a cell of the matrix, and what must come of it."""

import random
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, fields
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, final
from unittest.mock import patch

from exactness_rows import BATCH, N_ITR, Row, small_runner

from rlpyt.cli.samplers import as_sampler
from rlpyt.evaluation.same_run import (
    drop_later_states,
    load_states,
    run_difference,
    state_differences,
)
from rlpyt.logging.context import logger_context
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.records import RunRecords
from rlpyt.runners.sync_rl import SyncRl

__all__ = ["COLUMNS", "STOPS", "Column", "Runs", "check", "run_cell", "why_not"]


@final
@dataclass(frozen=True)
class Column:
    """How the same run is run."""

    title: str
    sampler: str = "serial"
    workers: int | None = None
    runner: str = "plain"  # or "lockstep", "ahead" (AsyncRl), "ranks" (SyncRl)


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "serial": Column("serial"),
        "cpu1": Column("cpu, 1 worker", "cpu", 1),
        "cpu2": Column("cpu, 2 workers", "cpu", 2),
        "cpu4": Column("cpu, 4 workers", "cpu", 4),
        "gpu": Column("gpu", "gpu", 2),
        "alternating": Column("alternating", "alternating", 2),
        "lockstep": Column("async, lockstep", runner="lockstep"),
        "ahead": Column("async, a batch ahead", runner="ahead"),
        "ranks": Column("two ranks", runner="ranks"),
    }
)

STOPS: Mapping[str, int] = MappingProxyType({"plain": 5, "lockstep": 2, "ahead": 2, "ranks": 1})
"""At how many random iterations E2 goes on, by the kind of runner."""

_OWN = ("noise_", "agent/next_arm", "agent/evaluation_arm")  # of each rank
_SHARED = ("agent/", "algo/gradient", "algo/target", "algo/critic", "algo/online", "algo/policy")


def made(row: Row, column: str, **settings: Any) -> BaseRunner:
    """The run of ``row`` under ``column``."""
    chosen, plain = COLUMNS[column], small_runner(row)
    plain.sampler = as_sampler(plain.sampler, chosen.sampler, chosen.workers)
    common = {f.name: getattr(plain, f.name) for f in fields(BaseRunner) if f.init}
    common |= {"checkpoint_interval_steps": 1_000 * BATCH * N_ITR, **settings}
    if chosen.runner == "plain":
        return type(plain)(**common)
    common["timeout"] = 60.0
    if chosen.runner == "ranks":
        ranks = {"n_steps": 2 * plain.n_steps, "log_interval_steps": 4 * BATCH}
        return SyncRl(**{**common, **ranks}, world_size=2)
    return AsyncRl(**common, lockstep=chosen.runner == "lockstep")


def why_not(row: Row, column: str) -> str:
    """The letter of the reason why there is no such cell; "" where there is one."""
    if COLUMNS[column].runner == "ahead" and not small_runner(row).algo.off_policy:
        return "p"
    return ""


def train(runner: BaseRunner, log_dir: Path, *, resume: bool = False) -> Path:
    """Train; the run's directory."""
    quiet = {"tensorboard": False, "console": False}
    with logger_context(log_dir, 0, "exactness", resume=resume, **quiet) as logger:
        runner.train(logger, resume=resume)
    return log_dir / "run_0"


@final
@dataclass
class Runs:
    """The runs of one row, each made once."""

    row: Row
    root: Path
    _made: dict[str, Path] = field(default_factory=dict)

    def whole(self, column: str) -> Path:
        """Uninterrupted; saved at its start and its end only."""
        return self._once(f"whole-{column}", lambda: made(self.row, column))

    def saving(self, column: str) -> Path:
        """Uninterrupted, saved after every iteration."""
        often = {"checkpoint_interval_steps": 1, "keep_checkpoints": N_ITR + 1}
        return self._once(f"saving-{column}", lambda: made(self.row, column, **often))

    def _once(self, name: str, runner: Callable[[], BaseRunner]) -> Path:
        if name not in self._made:
            self._made[name] = train(runner(), self.root / name)
        return self._made[name]

    def resumed(self, column: str, itr: int, *, by: str | None = None) -> Path:
        """From the state after ``itr`` iterations to the end, under column ``by``, by default its
        own, in a directory of its own.
        """
        log_dir = self.root / f"resumed-{column}-{itr}"
        shutil.copytree(self.saving(column), log_dir / "run_0")
        drop_later_states(log_dir / "run_0", itr)
        return train(made(self.row, by or column), log_dir, resume=True)

    def interrupted(self, column: str, stops: list[int]) -> Path:
        """Ended by SIGTERM in the iterations ``stops``, and resumed each time.

        Raises:
            AssertionError: where no environment was in the middle of an episode.
        """
        log_dir, before, is_amid = self.root / f"interrupted-{column}", 0, False
        for number, itr in enumerate(stops):
            with _stopped_after(itr - before):
                train(made(self.row, column), log_dir, resume=number > 0)
            sampler = load_states(log_dir / "run_0")[0]["sampler"]
            trajs = sampler.get("sampler", sampler)["trajs"]
            is_amid = is_amid or max(traj["Length"] for traj in trajs) > 0
            before = itr
        assert is_amid, "no checkpoint was in the middle of an episode"
        return train(made(self.row, column), log_dir, resume=True)


@contextmanager
def _stopped_after(n: int) -> Iterator[None]:
    """SIGTERM to this process in the ``n``-th iteration of this session."""
    add, count = RunRecords.add, [0]

    def adding(self: RunRecords, *args: Any) -> None:
        count[0] += 1
        if count[0] == n:
            signal.raise_signal(signal.SIGTERM)
        add(self, *args)

    with patch.object(RunRecords, "add", adding):
        try:
            yield
        except SystemExit:
            return
    raise AssertionError("the run was not interrupted")


def check(runs: Runs, column: str) -> dict[str, str | None]:
    """Each of E1 to E8 that the cell has: None where it holds, else what differs first, or the
    error that ended a run.
    """
    found: dict[str, str | None] = {}
    for name, compare in _comparisons(runs, column).items():
        try:
            with redirect_stderr(StringIO()):  # the interruptions that are meant are told there
                found[name] = compare()
        except Exception as error:  # whatever it is, it is what the cell has to say
            found[name] = f"{type(error).__name__}: {error}"
    return found


def _comparisons(runs: Runs, column: str) -> dict[str, Callable[[], str | None]]:
    kind = COLUMNS[column].runner
    found = {
        "E1": lambda: run_difference(runs.whole(column), runs.resumed(column, N_ITR // 2)),
        "E2": lambda: _resumed_anywhere(runs, column),
        "E3": lambda: _twice(runs, column),
        "E8": lambda: run_difference(runs.whole(column), runs.saving(column)),
    }
    if kind == "lockstep":
        found["E5"] = lambda: run_difference(runs.whole(column), runs.whole("serial"))
    elif kind == "ranks":
        found["E6"] = lambda: _rank_difference(runs.whole(column))
    elif column not in ("serial", "ahead"):
        found["E4"] = lambda: run_difference(runs.whole(column), runs.whole("serial"))
    return dict(sorted(found.items()))


def _resumed_anywhere(runs: Runs, column: str) -> str | None:
    """From random iterations of the run, as many as ``STOPS`` says of its kind of runner.

    The serial run is interrupted at them, one after the other. A checkpoint of a sampler with
    workers is resumed under the serial one, which starts no process; one of an asynchronous run, or
    of several ranks, by its own kind.
    """
    kind, rng = COLUMNS[column].runner, random.Random(f"{runs.row} {column}")
    others = [itr for itr in range(1, N_ITR) if itr != N_ITR // 2]
    if column == "serial":
        stopped = runs.interrupted(column, sorted(rng.sample(others, STOPS[kind])))
        return run_difference(runs.whole(column), stopped)
    by = "serial" if kind == "plain" else column
    for itr in rng.sample(others, STOPS[kind]):
        found = run_difference(runs.whole(column), runs.resumed(column, itr, by=by))
        if found is not None:
            return f"from iteration {itr}: {found}"
    return None


def _twice(runs: Runs, column: str) -> str | None:
    """The run that saves is the second; where it differs, for whatever reason, a third."""
    if run_difference(runs.whole(column), runs.saving(column)) is None:
        return None
    again = train(made(runs.row, column), runs.root / f"again-{column}")
    return run_difference(runs.whole(column), again)


def _rank_difference(run_dir: Path) -> str | None:
    """What two that learn have differently and must have alike: networks and optimizers, but for
    the noise of noisy networks, and the arms that each one's own bandits have chosen.
    """
    one, other = load_states(run_dir)
    alike = [
        each
        for each in state_differences(one, other)
        if each.name.startswith(_SHARED) and not any(own in each.name for own in _OWN)
    ]
    return str(alike[0]) if alike else None


def run_cell(row: Row, column: str) -> tuple[dict[str, str | None], float]:
    """What :func:`check` finds, and the seconds that it took."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of workers that share a CPU
        return check(Runs(row, Path(folder)), column), time.perf_counter() - start
