"""What a search has found: its trials in order, as data, table and files."""

import csv
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from rlpyt.evaluation.bootstrap import bootstrap_interval
from rlpyt.evaluation.statistics import aggregate_iqm
from rlpyt.logging.files import directory_error, write_atomic
from rlpyt.search.plan import SearchPlan
from rlpyt.search.program import trial_name
from rlpyt.search.standing import WORST, Scores, Standing, iqm_of, merit

__all__ = [
    "BIAS",
    "CSV_FILE",
    "SearchResult",
    "TrialResult",
    "objective_text",
    "result_of",
    "settings_text",
    "value_text",
    "write_csv",
]

CSV_FILE = "search.csv"
"""The table of all trials, in the directory of the search."""

BIAS = (
    "the score of the best of many trials is too good: it was chosen by these seeds; train it with "
    "fresh ones before you report it"
)
"""What to know of every search's result."""

_MIN_SEEDS = 3  # for an interval


@final
@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """A trial, and how its group of seeds has scored where it was last complete."""

    number: int
    values: Mapping[str, Any]  # by path
    rung: int  # 0 is the first
    steps: int | None  # that each run had there; None: a whole run's
    scores: Mapping[int, float]  # by seed; -inf of a run that failed or has none
    iqm: float
    interval: tuple[float, float] | None  # 95 %, over seeds; None below three, and with failures
    is_complete: bool  # nothing of it is stopped

    @property
    def name(self) -> str:
        """Its directory below the search's."""
        return trial_name(self.number)

    @property
    def n_failed(self) -> int:
        """Runs without a score."""
        return sum(score == WORST for score in self.scores.values())


@final
@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """All trials that have a result, the best first: those that trained longest by IQM, then those
    that trained shorter.
    """

    plan: SearchPlan
    directory: Path
    trials: Sequence[TrialResult]
    notes: Sequence[str]  # what to know of them

    @property
    def best(self) -> TrialResult | None:
        """The first, where one of its runs has a score."""
        scored = [trial for trial in self.trials if trial.iqm > WORST]
        return scored[0] if scored else None


def result_of(standing: Standing) -> SearchResult:
    """As the search stands now."""
    plan, trials, notes = standing.plan, [], []
    for number in sorted(standing.runs):
        runs = standing.runs[number]
        reached = standing.reached(number)
        failed = [run for run in runs.values() if run.state == "failed"]
        stopped = [run.name for run in runs.values() if run.state == "stopped"]
        notes += [f"{run.name} failed and counts as the worst: {run.reason}" for run in failed]
        if stopped:
            what = "its result is not complete" if reached is None else "it goes no further"
            notes.append(f"{', '.join(stopped)} stopped: {what}; `rlpyt retry` and search again")
        if reached is not None:
            rung, scores = reached
            unscored = [
                runs[seed].name
                for seed, score in scores.items()
                if score == WORST and runs[seed] not in failed
            ]
            notes += [f"{name} has no finite {plan.rule.column}: the worst" for name in unscored]
            trials.append(_trial(plan, number, standing.values(number), rung, scores, not stopped))
    trials.sort(key=lambda trial: (trial.rung, *merit(trial.scores)), reverse=True)
    if len(plan.seeds) < _MIN_SEEDS and trials:
        each = f"{len(plan.seeds)} seed{'s' * (len(plan.seeds) > 1)} for each trial"
        notes.append(f"{each}: too few to tell trials apart; use {_MIN_SEEDS} or more")
    return SearchResult(plan=plan, directory=standing.directory, trials=trials, notes=notes)


def _trial(
    plan: SearchPlan,
    number: int,
    values: Mapping[str, Any],
    rung: int,
    scores: Scores,
    is_complete: bool,
) -> TrialResult:
    pause = plan.pauses[rung]
    return TrialResult(
        number=number,
        values=values,
        rung=rung,
        steps=plan.n_steps if pause is None else pause,
        scores=dict(scores),
        iqm=iqm_of(scores),
        interval=_interval(scores, plan.search_seed),
        is_complete=is_complete,
    )


def _interval(scores: Scores, seed: int) -> tuple[float, float] | None:
    values = np.array(list(scores.values()))
    if len(values) < _MIN_SEEDS or not np.isfinite(values).all():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of few runs: that is why it is wide
        warnings.simplefilter("ignore", UserWarning)
        found = bootstrap_interval(
            values[:, None], aggregate_iqm, np.random.default_rng(seed), replications=2000
        )
    return float(found.low), float(found.high)


def objective_text(scores: Scores) -> str:
    """``IQM 132.1 of 3 runs``, and how many of them failed."""
    n_failed = sum(score == WORST for score in scores.values())
    told = f"IQM {iqm_of(scores):.4g} of {len(scores)} run{'s' * (len(scores) != 1)}"
    return told + f", {n_failed} of them failed" * (n_failed > 0)


def settings_text(values: Mapping[str, Any]) -> str:
    """``algo.learning_rate=0.00031 algo.minibatches=4``."""
    return " ".join(f"{path}={value_text(value)}" for path, value in values.items())


def value_text(value: Any) -> str:
    """As the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def write_csv(result: SearchResult) -> Path:
    """Write ``search.csv``: a line for each trial, the best first.

    Raises:
        RlpytError: ``directory``, where it cannot be written.
    """
    text = io.StringIO()
    seeds = list(result.plan.seeds)
    writer = csv.writer(text, lineterminator="\n")
    head = ["rank", "trial", *result.plan.space, "iqm", "low", "high"]
    writer.writerow([*head, *(f"run_{seed}" for seed in seeds), "rung", "steps"])
    for rank, trial in enumerate(result.trials, 1):
        low, high = trial.interval or ("", "")
        values = [value_text(trial.values[path]) for path in result.plan.space]
        scores = [trial.scores[seed] for seed in seeds]
        steps = "" if trial.steps is None else trial.steps
        row = [rank, trial.name, *values, trial.iqm, low, high, *scores, trial.rung, steps]
        writer.writerow(row)
    path = result.directory / CSV_FILE
    try:
        write_atomic(path, text.getvalue().encode())
    except OSError as error:
        raise directory_error(path, error) from error
    return path
