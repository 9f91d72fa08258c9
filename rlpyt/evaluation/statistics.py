"""Statistics of final scores over runs and tasks (Agarwal et al. 2021, arXiv:2108.13264).

Scores are float64 ``[runs, tasks]``. A run that is missing is NaN, and tasks may have different
numbers of runs. Every statistic also takes ``[..., runs, tasks]`` and returns ``[...]``: so that
:mod:`rlpyt.evaluation.bootstrap` computes thousands of resamplings in one call.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlpyt.utils.errors import RlpytError

__all__ = [
    "AGGREGATES",
    "Array",
    "Statistic",
    "Values",
    "aggregate_iqm",
    "aggregate_mean",
    "aggregate_median",
    "aggregate_optimality_gap",
    "average_ranks",
    "check_scores",
    "mean_rank",
    "performance_profile",
    "probability_of_improvement",
    "same_tasks",
    "win_matrix",
]

Array = NDArray[np.float64]
"""Float64 of any shape."""

Values = np.float64 | NDArray[np.float64]
"""One number for scores ``[runs, tasks]``, an array for a batch of them."""

Statistic = Callable[[Array], Values]
"""From scores ``[..., runs, tasks]`` to ``[...]``, or to ``[..., K]``."""


def check_scores(scores: ArrayLike, *, name: str = "scores") -> Array:
    """``scores`` ``[runs, tasks, ...]`` as float64.

    Raises:
        RlpytError: ``scores``, for a wrong shape, an infinite score, or a task without a score.
    """
    array = _numbers(scores, name)
    if array.ndim < 2 or 0 in array.shape:
        what = f"{name} has shape {list(array.shape)}"
        raise RlpytError("scores", what, hint="give [runs, tasks], at least one of each")
    if np.isinf(array).any():
        place = np.argwhere(np.isinf(array))[0].tolist()
        what = f"{name}{place} is {array[tuple(place)]}"
        raise RlpytError("scores", what, hint="NaN leaves a run out; or give the worst score")
    missing = np.isnan(array).all(axis=(0, *range(2, array.ndim)))
    if missing.any():
        what = f"task {int(missing.argmax())} of {name} has no score"
        raise RlpytError("scores", what, hint="leave the task out, for all algorithms")
    return array


def _numbers(scores: ArrayLike, name: str) -> Array:
    try:
        return np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        what = f"{name} is no array of numbers: {error}"
        raise RlpytError("scores", what, hint="fill up with NaN where runs are missing") from error


def same_tasks(scores: Sequence[ArrayLike]) -> list[Array]:
    """Each algorithm's scores ``[runs, tasks]``, checked; the numbers of runs may differ.

    Raises:
        RlpytError: ``scores``, where they are fewer than two, or have different tasks.
    """
    arrays = [check_scores(each, name=f"scores {i}") for i, each in enumerate(scores)]
    if len(arrays) < 2:
        what = f"scores of {len(arrays)} algorithm{'s' * (len(arrays) != 1)}"
        raise RlpytError("scores", what, hint="a comparison takes two or more")
    shapes = [list(array.shape) for array in arrays]
    if any(len(shape) != 2 or shape[1] != shapes[0][1] for shape in shapes):
        hint = "give [runs, tasks] with the same tasks in the same order"
        raise RlpytError("scores", f"shapes {shapes} do not compare", hint=hint)
    return arrays


def _batch(scores: ArrayLike) -> tuple[Array, bool]:
    """The array, and whether no score is missing; a single matrix is checked."""
    array = _numbers(scores, "scores")
    if array.ndim < 3:
        array = check_scores(array)
    return array, not bool(np.isnan(array).any())


def _mean(x: Array, axis: int, *, complete: bool) -> Array:
    """The mean of what is not NaN; NaN of nothing."""
    if complete:
        return np.asarray(x.mean(axis=axis))
    present = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(present, x, 0.0).sum(axis=axis) / present.sum(axis=axis))


def _flat(x: Array) -> Array:
    return x.reshape(*x.shape[:-2], -1)


def aggregate_mean(scores: ArrayLike) -> Values:
    """The mean over tasks of each task's mean over runs."""
    x, complete = _batch(scores)
    values: Values = _mean(x, -2, complete=complete).mean(axis=-1)
    return values


def aggregate_median(scores: ArrayLike) -> Values:
    """The median over tasks of each task's mean over runs."""
    x, complete = _batch(scores)
    means = np.sort(_mean(x, -2, complete=complete), axis=-1)
    n = means.shape[-1]
    values: Values = (means[..., (n - 1) // 2] + means[..., n // 2]) / 2
    return values


def aggregate_iqm(scores: ArrayLike) -> Values:
    """The interquartile mean: of all scores of all tasks together, without the lowest and the
    highest quarter, each rounded down to whole scores. A task with more runs weighs more.
    """
    x, complete = _batch(scores)
    x = np.sort(_flat(x), axis=-1)  # NaN comes last
    size = x.shape[-1]
    values: Values
    if complete:
        values = x[..., size // 4 : size - size // 4].mean(axis=-1)
    else:
        n = np.count_nonzero(~np.isnan(x), axis=-1, keepdims=True)
        place = np.arange(size)
        inside = (place >= n // 4) & (place < n - n // 4)
        values = _mean(np.where(inside, x, np.nan), -1, complete=False)[()]
    return values


def aggregate_optimality_gap(scores: ArrayLike, gamma: float = 1.0) -> Values:
    """``gamma − mean(min(score, gamma))`` over all scores: by how much they fall short of
    ``gamma``, where being better counts nothing. Lower is better.
    """
    x, complete = _batch(scores)
    values: Values = gamma - _mean(np.minimum(_flat(x), gamma), -1, complete=complete)[()]
    return values


AGGREGATES: Mapping[str, Statistic] = MappingProxyType(
    {
        "IQM": aggregate_iqm,
        "mean": aggregate_mean,
        "median": aggregate_median,
        "optimality gap": aggregate_optimality_gap,
    }
)
"""The four aggregates by name."""


def performance_profile(
    scores: ArrayLike, thresholds: ArrayLike, *, average: bool = False
) -> Array:
    """The share of scores above each threshold: from ``[..., runs, tasks]`` to ``[..., K]``.

    ``average=False`` is the run-score distribution: of all runs of all tasks. ``average=True`` is
    the average-score distribution: of the tasks' means over runs, which hides how runs vary.
    """
    x, complete = _batch(scores)
    x = _mean(x, -2, complete=complete) if average else _flat(x)
    n = x.shape[-1] if complete else np.count_nonzero(~np.isnan(x), axis=-1)
    taus = np.asarray(thresholds, dtype=np.float64)
    shares = [np.count_nonzero(x > tau, axis=-1) / n for tau in taus.ravel()]
    return np.stack([np.asarray(share, dtype=np.float64) for share in shares], axis=-1)


def win_matrix(x: Array, y: Array) -> Array:
    """``[tasks, runs of x, runs of y]``: 1 where x's run has the higher score, 0.5 where they are
    equal, else 0; 0 too where a run is missing.
    """
    a, b = x.T[:, :, None], y.T[:, None, :]
    return np.asarray((a > b) + 0.5 * (a == b))


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """The probability that a run of algorithm X has a higher score than one of Y on a task drawn at
    random; equal scores count half. Scores are ``[runs of x, tasks]`` and ``[runs of y, tasks]``.

    This is the mean over tasks of the Mann-Whitney statistic U / (runs of x · runs of y).
    """
    a, b = same_tasks([x, y])
    pairs = np.count_nonzero(~np.isnan(a), axis=0) * np.count_nonzero(~np.isnan(b), axis=0)
    return float((win_matrix(a, b).sum(axis=(1, 2)) / pairs).mean())


def average_ranks(means: Array) -> Array:
    """Ranks of algorithms on each task, 1 for the highest, ties at their middle: from mean scores
    ``[algorithms, ...]`` to ranks of the same shape.
    """
    above = [(means > mean).sum(axis=0) for mean in means]
    equal = [(means == mean).sum(axis=0) for mean in means]
    return np.asarray(np.stack(above) + (np.stack(equal) + 1) / 2, dtype=np.float64)


def mean_rank(scores: Sequence[ArrayLike]) -> Array:
    """``[algorithms]``: each one's rank by mean score, 1 for the best, averaged over tasks.

    ``scores`` has one array ``[runs, tasks]`` for each algorithm.
    """
    means = [_mean(each, 0, complete=False) for each in same_tasks(scores)]
    return np.asarray(average_ranks(np.stack(means)).mean(axis=-1))
