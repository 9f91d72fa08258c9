"""Searches without training: a launcher that writes what the runs would have logged."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import QueuedRun
from rlpyt.search.driver import Driver
from rlpyt.search.plan import SearchPlan, plan_search
from rlpyt.search.program import Program
from rlpyt.search.results import SearchResult
from rlpyt.search.space import LogUniform

RATE = "algo.learning_rate"
TWO = "2cpu_0gpu_1cpr_0hto_0saf"
N_STEPS = 900
SPACE = {RATE: LogUniform(1e-5, 1e-1)}


def plan_of(**changes: Any) -> SearchPlan:
    settings = {"n_trials": 9, "n_steps": N_STEPS}
    return plan_search(changes.pop("space", SPACE), **{**settings, **changes})


def score_at(rate: float, steps: float) -> float:
    """Best at 1e-3; from 300 steps on at 1e-2."""
    best = 1e-3 if steps <= 300 else 1e-2
    return 100.0 - 10.0 * abs(math.log10(rate / best)) + steps / 1000


class KilledError(Exception):
    """As if the search were ended by SIGKILL here."""


@dataclass
class FakeLaunchers:
    """Stands for :class:`Launcher`: runs end at once, in the order of the queue."""

    score: Callable[[float, float], float] = score_at
    fails: Callable[[QueuedRun], bool] = lambda run: False
    kill_after: int | None = None  # runs
    done: list[tuple[str, int | None]] = field(default_factory=list)  # run, and where it paused

    def __call__(self, queue: Queue, code: str, *, tell: Callable[[str], None]) -> "FakeLaunchers":
        self._queue, self._tell = queue, tell
        return self

    def drain(self) -> None:
        with self._queue.attend("auto") as attendance:
            while (run := attendance.take(0)) is not None:
                if self.kill_after is not None and len(self.done) >= self.kill_after:
                    attendance.ended(run, "queued")  # as others do for a launcher that has ended
                    raise KilledError
                self._tell(f"{run.name}: started")
                if self.fails(run):
                    attendance.ended(run, "failed", is_failure=True, reason="it diverged")
                else:
                    self._train(run)
                    attendance.ended(run, "done")
                self._tell(f"{run.name}: ended")

    def _train(self, run: QueuedRun) -> None:
        variant = run.spec.variant
        pause = variant.get("pause_steps")
        self.done.append((run.name, pause))
        run_dir = self._queue.directory / run.name
        run_dir.mkdir(parents=True, exist_ok=True)
        rows = ["Diagnostics/CumSteps,ReturnAverage"]
        for steps in range(50, (pause or variant["n_steps"]) + 50, 50):
            score = self.score(variant["algo"]["learning_rate"], steps) + run.spec.run_ID
            rows.append(f"{steps},{score if steps > 50 else 'nan'}")
        (run_dir / "progress.csv").write_text("\n".join(rows) + "\n")


class Bench:
    """Makes drivers on one directory with fake launchers."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.directory = root / "search"
        self.launchers = FakeLaunchers()
        self.lines: list[str] = []
        patch.setattr("rlpyt.search.driver.Launcher", self.launch)

    def launch(self, queue: Queue, code: str, *, tell: Callable[[str], None]) -> FakeLaunchers:
        return self.launchers(queue, code, tell=tell)

    def search(self, plan: SearchPlan | None = None, **more: Any) -> SearchResult:
        program = Program(name=["fake"], command=("true",), cwd="/", retries=0)
        told = {"affinity_code": TWO, "tell": self.lines.append, **more}
        return Driver(plan or plan_of(), program, self.directory, **told).run()

    def trial_lines(self) -> list[str]:
        return [line for line in self.lines if line.startswith("trial_") and "IQM" in line]
