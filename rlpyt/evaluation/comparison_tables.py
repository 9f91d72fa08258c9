"""Numbers of a comparison as tables: CSV to compute with, LaTeX for a paper."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import groupby

import numpy as np

from rlpyt.evaluation.bootstrap import Interval
from rlpyt.evaluation.comparison import Comparison
from rlpyt.evaluation.statistics import Array

__all__ = [
    "MEAN_RANK",
    "aggregate_rows",
    "csv_tables",
    "interval_text",
    "latex_table",
    "number_text",
    "task_rows",
]

MEAN_RANK = "mean rank"
"""The name of the column of ranks."""

_Row = Sequence[str | float]

_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"·": r"$\cdot$"}
)


def number_text(value: float) -> str:
    """``0.87``, ``24.1``, ``391``, ``9,583``: with as many digits as a table bears."""
    size = abs(value)
    return f"{value:,.{0 if size >= 100 else 1 if size >= 10 else 2}f}"


def interval_text(interval: Interval) -> tuple[str, str]:
    """The value, and ``[low, high]``."""
    value, low, high = (number_text(float(each)) for each in interval)
    return value, f"[{low}, {high}]"


def aggregate_rows(comparison: Comparison) -> dict[str, dict[str, Interval]]:
    """By algorithm what the tables show of it: the aggregates, and its mean rank."""
    rows = {}
    for name in comparison.algorithms:
        columns = {each: comparison.aggregates[name][each] for each in comparison.statistics}
        if comparison.ranks:
            columns[MEAN_RANK] = comparison.ranks[name]
        rows[name] = columns
    return rows


def task_rows(comparison: Comparison) -> dict[str, dict[str, str]]:
    """By environment and algorithm: mean ± standard deviation over runs, as scored (n runs)."""
    rows: dict[str, dict[str, str]] = {}
    for column, task in enumerate(comparison.data.tasks):
        rows[task] = {}
        for name in comparison.algorithms:
            scores = comparison.data.scores[name][:, column]
            scores = scores[~np.isnan(scores)]
            n = len(scores)
            spread = f" ± {number_text(float(scores.std(ddof=1)))}" if n > 1 else ""
            rows[task][name] = f"{number_text(float(scores.mean()))}{spread} ({n})"
    return rows


def latex_table(comparison: Comparison) -> str:
    """The aggregates as a ``tabular`` of booktabs, intervals below their values."""
    rows = aggregate_rows(comparison)
    columns = list(next(iter(rows.values())))
    titles = " & ".join(column[:1].upper() + column[1:] for column in columns)
    scale = comparison.normalization.text or "scores are not normalised"
    lines = [
        f"% {comparison.rule.text}; {scale}",
        f"% {comparison.n_runs} runs; {100 * comparison.confidence:g} % intervals, stratified "
        f"bootstrap over runs, {comparison.replications} replications",
        rf"\begin{{tabular}}{{l{'c' * len(columns)}}}",
        r"\toprule",
        rf"Algorithm & {titles} \\",
        r"\midrule",
    ]
    for name, intervals in rows.items():
        texts = [interval_text(interval) for interval in intervals.values()]
        lines.append(rf"{name.translate(_LATEX)} & {' & '.join(v for v, _ in texts)} \\")
        ends = " & ".join(rf"{{\footnotesize {span}}}" for _, span in texts)
        lines.append(rf" & {ends} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def csv_tables(comparison: Comparison) -> dict[str, str]:
    """Every number of the comparison, one observation a row, by the table's name."""
    ends = ["value", "low", "high"]
    aggregates: list[_Row] = [["algorithm", "statistic", *ends]]
    for name, columns in aggregate_rows(comparison).items():
        aggregates += [[name, statistic, *map(float, each)] for statistic, each in columns.items()]
    improvement: list[_Row] = [["better", "other", *ends]]
    improvement += [[p.better, p.other, *map(float, p.probability)] for p in comparison.pairs]
    tables = {
        "aggregates": aggregates,
        "scores": _scores(comparison),
        "improvement": improvement,
        "profiles": _series(comparison.profiles, comparison.thresholds, "threshold"),
        "curves": _series(comparison.curves, comparison.data.shares, "share of steps"),
    }
    return {name: _csv(rows) for name, rows in tables.items() if len(rows) > 1}


def _scores(comparison: Comparison) -> list[_Row]:
    rows: list[_Row] = [["algorithm", "environment", "run", "steps", "score", "normalized"]]
    tasks = list(comparison.data.tasks)
    by_cell = groupby(comparison.data.runs, key=lambda run: (run.algorithm, run.task))
    for (algorithm, task), runs in by_cell:
        for i, run in enumerate(runs):
            normal = float(comparison.scores[algorithm][i, tasks.index(task)])
            rows.append([algorithm, task, str(run.run_dir), run.steps, run.score, normal])
    return rows


def _series(of: Mapping[str, Interval], x: Array, name: str) -> list[_Row]:
    rows: list[_Row] = [["algorithm", name, "value", "low", "high"]]
    for algorithm, interval in of.items():
        points = np.stack([x, *map(np.asarray, interval)], axis=-1).tolist()
        rows += [[algorithm, *point] for point in points]
    return rows


def _csv(rows: Sequence[_Row]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
