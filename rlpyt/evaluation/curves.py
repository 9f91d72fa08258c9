"""Learning curves of runs on disk, as arrays."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlpyt.evaluation.runs import read_progress
from rlpyt.evaluation.statistics import Array
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["Curve", "mean_curve", "read_curve", "smoothed"]


class Curve(NamedTuple):
    """One run's points, x ascending, all finite: both [N]."""

    x: Array
    y: Array


def read_curve(run_dir: Path, x: str, y: str) -> Curve | None:
    """The finite points of columns ``x`` and ``y`` of one run, ``None`` where it has none yet.

    Raises:
        RlpytError: ``plot``, for a column that the run lacks; ``directory``, where there is no run.
    """
    columns = read_progress(run_dir)
    for column in (x, y):
        if column not in columns:
            what = f"no column {column!r}" if columns else "no row has been logged yet"
            hint = _column_hint(column, columns) if columns else "leave it out, or wait for it"
            raise RlpytError("plot", what, where=str(run_dir / "progress.csv"), hint=hint)
    xs, ys = np.array(columns[x]), np.array(columns[y])
    finite = np.isfinite(xs) & np.isfinite(ys)
    if not finite.any():
        return None
    xs, ys = xs[finite], ys[finite]
    order = np.argsort(xs, kind="stable")
    return Curve(xs[order], ys[order])


def _column_hint(column: str, columns: Collection[str]) -> str:
    """The mean of a statistic by its mere name: most have several columns."""
    average = f"{column}Average"
    return f"did you mean {average!r}?" if average in columns else did_you_mean(column, columns)


def smoothed(y: Array, window: int) -> Array:
    """The centred moving average of ``y`` [N] over ``window`` points, fewer at the ends."""
    if window <= 1:
        return y
    ones = np.ones(min(window, 2 * len(y) - 1))
    left = (len(ones) - 1) // 2
    total = np.convolve(y, ones)[left : left + len(y)]
    return np.asarray(total / np.convolve(np.ones(len(y)), ones)[left : left + len(y)])


def mean_curve(curves: Sequence[Curve]) -> tuple[Array, Array, Array]:
    """x, mean and population standard deviation over runs, on the union of their x values.

    Between its points a run counts by linear interpolation. x ends where the first run ends, and
    starts where the last one starts, so that every point is over all runs.
    """
    start, end = max(c.x[0] for c in curves), min(c.x[-1] for c in curves)
    x = np.unique(np.concatenate([curve.x for curve in curves]))
    x = x[(x >= start) & (x <= end)]
    values = np.stack([np.interp(x, curve.x, curve.y) for curve in curves])
    return x, values.mean(axis=0), values.std(axis=0)
