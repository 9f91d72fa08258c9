"""Where a search stands: its runs in the queue, and their scores on disk."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from rlpyt.evaluation.curves import Curve
from rlpyt.evaluation.run_scores import ScoreRule
from rlpyt.evaluation.runs import STEPS, read_progress
from rlpyt.evaluation.statistics import aggregate_iqm
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import QueuedRun
from rlpyt.search.plan import SearchPlan
from rlpyt.search.program import trial_number
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["WORST", "Scores", "Standing", "iqm_of", "merit", "run_score"]

WORST = -math.inf
"""The score of a run that failed, or has none."""

Scores = Mapping[int, float]
"""Of a trial's runs, by seed."""


def iqm_of(scores: Scores) -> float:
    """The interquartile mean over seeds. A run without a score counts as the worst there is: with
    four seeds or more the mean leaves out the lowest quarter, with fewer it is the worst then.
    """
    values = np.array(list(scores.values()), dtype=np.float64)
    return np.asarray(aggregate_iqm(values.reshape(1, -1, 1))).item()


def run_score(run_dir: Path, rule: ScoreRule, pause: int | None) -> float:
    """The score of a run up to its first row from ``pause`` steps on, where it paused: it does not
    change when the run goes on. :data:`WORST` where it has no finite number.

    Raises:
        RlpytError: ``plot``, for a column that it lacks.
    """
    if not (run_dir / "progress.csv").exists():
        return WORST
    columns = read_progress(run_dir)
    for name in (STEPS, rule.column):
        if columns and name not in columns:
            where = str(run_dir / "progress.csv")
            hint = did_you_mean(name, columns)
            raise RlpytError("plot", f"no column {name!r}", where=where, hint=hint)
    if not columns or not columns[STEPS]:
        return WORST
    x, y = np.array(columns[STEPS]), np.array(columns[rule.column])
    before = x < (math.inf if pause is None else pause)
    n = min(int(np.count_nonzero(before)) + 1, len(x))
    end = float(x[n - 1])
    finite = np.isfinite(x[:n]) & np.isfinite(y[:n])
    if not finite.any():
        return WORST
    score = rule.score(Curve(x[:n][finite], y[:n][finite]), end)
    return score if math.isfinite(score) else WORST


@final
@dataclass
class Standing:
    """The runs of a search as they are in the queue now, by trial and seed.

    Scores are read once, when a run is through with a rung.
    """

    plan: SearchPlan
    directory: Path
    runs: dict[int, dict[int, QueuedRun]] = field(default_factory=dict)
    _scores: dict[tuple[str, int], float] = field(default_factory=dict, repr=False)

    def look(self, queue: Queue) -> None:
        """See what has become of them."""
        self.runs = {}
        for run in queue.runs():
            number = trial_number(run.spec.log_dir)
            if number is not None:
                self.runs.setdefault(number, {})[run.spec.run_ID] = run

    @property
    def n_open(self) -> int:
        """Runs that wait or go on."""
        states = [run.state for runs in self.runs.values() for run in runs.values()]
        return states.count("queued") + states.count("running")

    def values(self, number: int) -> dict[str, Any]:
        """Of a trial, by path, as the queue has them."""
        variant = next(iter(self.runs[number].values())).spec.variant
        return {path: _at(variant, path) for path in self.plan.space}

    def rung(self, run: QueuedRun) -> int:
        """The rung that the run is in, or was last."""
        return self.plan.pauses.index(run.spec.variant.get("pause_steps"))

    def scores(self, number: int, rung: int) -> Scores | None:
        """Of a trial's runs at the end of ``rung``; None where one of them is not there yet."""
        found = {}
        runs = self.runs.get(number, {})
        for seed in self.plan.seeds:
            run = runs.get(seed)
            if run is None:
                return None
            has_failed = run.state == "failed" and self.rung(run) <= rung
            is_through = self.rung(run) > rung or (run.state == "done" and self.rung(run) == rung)
            if not (has_failed or is_through):
                return None
            found[seed] = WORST if has_failed else self._score(run, rung)
        return found

    def _score(self, run: QueuedRun, rung: int) -> float:
        key = (run.name, rung)
        if key not in self._scores:
            pause = self.plan.pauses[rung]
            self._scores[key] = run_score(self.directory / run.name, self.plan.rule, pause)
        return self._scores[key]

    def reached(self, number: int) -> tuple[int, Scores] | None:
        """The last rung that all the trial's runs are through with, and their scores there."""
        top = max((self.rung(run) for run in self.runs[number].values()), default=0)
        for rung in range(top, -1, -1):
            scores = self.scores(number, rung)
            if scores is not None:
                return rung, scores
        return None

    def ranked(self, numbers: Sequence[int], rung: int) -> list[int] | None:
        """The trials by IQM at the end of ``rung``, the best first; None where one is not there
        yet.
        """
        found = {}
        for number in numbers:
            scores = self.scores(number, rung)
            if scores is None:
                return None
            found[number] = merit(scores)
        return sorted(sorted(found), key=lambda number: found[number], reverse=True)


def merit(scores: Scores) -> tuple[float, int]:
    """Higher is better: the IQM, and of equal ones fewer runs without a score."""
    return iqm_of(scores), -sum(score == WORST for score in scores.values())


def _at(variant: Mapping[str, Any], path: str) -> Any:
    value: Any = variant
    for part in path.split("."):
        value = value[part]
    return value
