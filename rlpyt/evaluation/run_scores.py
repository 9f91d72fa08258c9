"""Scores and curves of runs on disk, as arrays over runs and tasks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, final, get_args

import numpy as np

from rlpyt.evaluation.curves import Curve, read_curve
from rlpyt.evaluation.labels import setting_labels
from rlpyt.evaluation.runs import RETURN, STEPS, group_runs, some_runs
from rlpyt.evaluation.statistics import Array
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["RunScore", "RunScores", "ScoreKind", "ScoreRule", "collect_scores"]

ScoreKind = Literal["final", "last", "best", "auc"]
"""What of a curve is a run's score: its mean over the last tenth of the steps, its last point, its
highest point, or its mean over all steps (the area under it)."""

_WINDOW = 0.1  # of the steps, for the final score
_POINTS = 50  # of a curve over all tasks
_SLACK = 0.02  # of the steps, by which a run may fall short of what was asked for
_UNNAMED = "environment"


@final
@dataclass(frozen=True, kw_only=True)
class ScoreRule:
    """How a run becomes a number."""

    kind: ScoreKind = "final"
    column: str = RETURN  # of progress.csv; higher is better
    steps: int | None = None  # look no further; None: as far as the task's shortest run

    def __post_init__(self) -> None:
        """Raise ``usage`` for a kind that there is not."""
        if self.kind not in get_args(ScoreKind):
            hint = did_you_mean(str(self.kind), get_args(ScoreKind))
            raise RlpytError("usage", f"score {self.kind!r} is not known", hint=hint)

    @property
    def text(self) -> str:
        """For readers: ``mean ReturnAverage over the last 10 % of the steps``."""
        share = f"the last {100 * _WINDOW:.0f} % of the steps"
        what = {
            "final": f"mean {self.column} over {share}",
            "last": f"last {self.column}",
            "best": f"highest {self.column}",
            "auc": f"mean {self.column} over all steps",
        }
        return what[self.kind]

    def score(self, curve: Curve, end: float) -> float:
        """Of a curve that is cut at ``end``."""
        if self.kind == "last":
            return float(curve.y[-1])
        if self.kind == "best":
            return float(curve.y.max())
        if self.kind == "auc" and len(curve.x) > 1:
            return float(np.trapezoid(curve.y, curve.x) / (curve.x[-1] - curve.x[0]))
        late = curve.x > (1.0 - _WINDOW) * end
        return float(curve.y[late].mean() if late.any() else curve.y[-1])


@final
@dataclass(frozen=True, kw_only=True)
class RunScore:
    """One run's score, and the steps that it is of."""

    algorithm: str
    task: str
    run_dir: Path
    steps: float
    score: float


@final
@dataclass(frozen=True, kw_only=True)
class RunScores:
    """Scores of all runs. Arrays are by algorithm; where an algorithm has fewer runs of one task
    than of another, the rest of that column is NaN.
    """

    algorithms: Sequence[str]
    tasks: Sequence[str]
    ends: Sequence[float]  # [tasks], environment steps
    runs: Sequence[RunScore]
    scores: Mapping[str, Array]  # [runs, tasks]
    curves: Mapping[str, Array]  # [runs, tasks, points]; empty where runs have too few points
    shares: Array  # [points], of each task's steps
    notes: Sequence[str]  # what was left out or cut, and why


@final
@dataclass(kw_only=True)
class _Cell:
    """The runs of one algorithm on one task."""

    dirs: list[Path] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)


_Cells = dict[tuple[str, str], _Cell]


def collect_scores(paths: Iterable[Path | str], rule: ScoreRule) -> RunScores:
    """The scores of every run in or below ``paths``.

    Runs of one environment that differ in more than the seed are of different algorithms
    (:func:`~rlpyt.evaluation.labels.setting_labels`); tasks are environments. Every run of a task
    is looked at up to the same number of steps.

    Raises:
        RlpytError: ``directory`` where there is no run, or but one; ``plot`` for a column that a
            run lacks; ``scores`` where no task is common to all algorithms.
    """
    notes: list[str] = []
    cells = _read(list(paths), rule.column, notes)
    ends = _cut(cells, rule.steps, notes)
    tasks = _common_tasks(cells, notes)
    algorithms = list(dict.fromkeys(algorithm for algorithm, _ in cells))
    runs = [
        RunScore(
            algorithm=algorithm,
            task=task,
            run_dir=run_dir,
            steps=float(curve.x[-1]),
            score=rule.score(curve, ends[task]),
        )
        for algorithm in algorithms
        for task in tasks
        for run_dir, curve in zip(
            cells[algorithm, task].dirs, cells[algorithm, task].curves, strict=True
        )
    ]
    shares = _shares(cells, tasks, ends)
    curves = {a: _curves(cells, a, tasks, ends, shares) for a in algorithms} if len(shares) else {}
    return RunScores(
        algorithms=algorithms,
        tasks=tasks,
        ends=[ends[task] for task in tasks],
        runs=runs,
        scores={a: _matrix(runs, a, tasks) for a in algorithms},
        curves=curves,
        shares=shares,
        notes=notes,
    )


def _read(paths: Sequence[Path | str], column: str, notes: list[str]) -> _Cells:
    run_dirs = some_runs(paths)
    if len(run_dirs) == 1:
        what = f"{run_dirs[0]} is the only run in {', '.join(map(str, paths))}"
        hint = "a comparison takes several, of other seeds or settings; rlpyt plot draws one"
        raise RlpytError("directory", what, hint=hint)
    cells: _Cells = {}
    groups = group_runs(run_dirs)
    labels, about = setting_labels(groups)
    notes += about
    for group, label in zip(groups, labels, strict=True):
        cell = cells.setdefault((label, group.env or _UNNAMED), _Cell())
        for run_dir in group.run_dirs:
            curve = read_curve(run_dir, STEPS, column)
            if curve is None or curve.x[-1] <= 0:
                notes.append(f"{run_dir} has no finite {column} after its start: left out")
            else:
                cell.dirs.append(run_dir)
                cell.curves.append(curve)
    return {key: cell for key, cell in cells.items() if cell.dirs}


def _cut(cells: _Cells, steps: int | None, notes: list[str]) -> dict[str, float]:
    """Cut all runs of a task at the same step, which is returned for each task."""
    ends: dict[str, float] = {}
    for task in dict.fromkeys(task for _, task in cells):
        of_task = [cell for (_, name), cell in cells.items() if name == task]
        lengths = {
            run_dir: float(curve.x[-1])
            for cell in of_task
            for run_dir, curve in zip(cell.dirs, cell.curves, strict=True)
        }
        shortest = min(lengths, key=lambda run_dir: lengths[run_dir])
        end = float(steps) if steps is not None else lengths[shortest]
        ends[task] = end
        longest = max(lengths.values())
        if steps is None and longest * (1 - _SLACK) > end:
            notes.append(
                f"runs of {task} end between {end:,.0f} and {longest:,.0f} steps: all are cut at "
                f"{end:,.0f}, where {shortest} ends (--steps N leaves shorter runs out)"
            )
        for cell in of_task:
            _cut_cell(cell, end, notes)
    for key in [key for key, cell in cells.items() if not cell.dirs]:
        del cells[key]
    return ends


def _cut_cell(cell: _Cell, end: float, notes: list[str]) -> None:
    kept = _Cell()
    for run_dir, curve in zip(cell.dirs, cell.curves, strict=True):
        inside = curve.x <= end
        if curve.x[-1] < (1 - _SLACK) * end or not inside.any():
            first, last = curve.x[0], curve.x[-1]
            points = f"its points are at {first:,.0f} to {last:,.0f} steps"
            notes.append(f"{run_dir} is left out: {points}, the comparison ends at {end:,.0f}")
        else:
            kept.dirs.append(run_dir)
            kept.curves.append(Curve(curve.x[inside], curve.y[inside]))
    cell.dirs, cell.curves = kept.dirs, kept.curves


def _common_tasks(cells: _Cells, notes: list[str]) -> list[str]:
    """The tasks that all algorithms have; others go out of ``cells``."""
    tasks = list(dict.fromkeys(task for _, task in cells))
    algorithms = list(dict.fromkeys(algorithm for algorithm, _ in cells))
    without = {task: [a for a in algorithms if (a, task) not in cells] for task in tasks}
    common = [task for task in tasks if not without[task]]
    if not common:
        if not cells:
            raise RlpytError("scores", "no run is left", hint="; ".join(notes))
        has = "; ".join(f"{a}: {', '.join(t for b, t in cells if b == a)}" for a in algorithms)
        what = f"no environment is common to all algorithms ({has})"
        raise RlpytError("scores", what, hint="compare fewer folders, or train what is missing")
    for task in (task for task in tasks if without[task]):
        notes.append(f"{task} is left out: {', '.join(without[task])} has no run of it")
        for key in [key for key in cells if key[1] == task]:
            del cells[key]
    return common


def _matrix(runs: Sequence[RunScore], algorithm: str, tasks: Sequence[str]) -> Array:
    columns = [
        [run.score for run in runs if (run.algorithm, run.task) == (algorithm, task)]
        for task in tasks
    ]
    matrix = np.full((max(map(len, columns)), len(tasks)), np.nan)
    for column, values in enumerate(columns):
        matrix[: len(values), column] = values
    return matrix


def _shares(cells: _Cells, tasks: Sequence[str], ends: Mapping[str, float]) -> Array:
    """Points that all runs have, as shares of their task's steps."""
    of_tasks = [(curve, ends[task]) for (_, task), c in cells.items() for curve in c.curves]
    first = max(curve.x[0] / end for curve, end in of_tasks)
    last = min(curve.x[-1] / end for curve, end in of_tasks)
    return np.linspace(first, min(last, 1.0), _POINTS) if first < 0.9 * last else np.empty(0)


def _curves(
    cells: _Cells,
    algorithm: str,
    tasks: Sequence[str],
    ends: Mapping[str, float],
    shares: Array,
) -> Array:
    of_tasks = [cells[algorithm, task].curves for task in tasks]
    found = np.full((max(map(len, of_tasks)), len(tasks), len(shares)), np.nan)
    for column, (task, curves) in enumerate(zip(tasks, of_tasks, strict=True)):
        for row, curve in enumerate(curves):
            found[row, column] = np.interp(shares * ends[task], curve.x, curve.y)
    return found
