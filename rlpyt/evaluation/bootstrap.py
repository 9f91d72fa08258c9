"""Confidence intervals by the stratified bootstrap over runs (Agarwal et al. 2021,
arXiv:2108.13264).

Runs are drawn with replacement within each task, tasks apart from each other, as many as there
are; the interval holds the middle of the statistic's values over such resamplings (percentile
method). Random numbers come from the generator that is handed in and from nowhere else.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlpyt.evaluation.statistics import (
    Array,
    Statistic,
    Values,
    aggregate_iqm,
    average_ranks,
    check_scores,
    mean_rank,
    performance_profile,
    probability_of_improvement,
    same_tasks,
    win_matrix,
)
from rlpyt.utils.errors import RlpytError

__all__ = [
    "FEW_RUNS",
    "Interval",
    "bootstrap",
    "bootstrap_interval",
    "improvement_interval",
    "profile_interval",
    "rank_distribution",
    "rank_interval",
    "sample_efficiency",
]

FEW_RUNS = 5
"""Intervals from fewer runs of a task are too narrow, which is warned of."""

_CHUNK = 1 << 18  # resampled scores at a time: they stay in the cache


class Interval(NamedTuple):
    """A statistic's value, and the ends of its confidence interval: numbers or equal arrays."""

    value: Values
    low: Values
    high: Values


@final
class _Resampler:
    """Draws runs within tasks from scores ``[runs, tasks, ...]``; NaN runs are never drawn."""

    def __init__(self, scores: Array) -> None:
        rest = tuple(range(2, scores.ndim))
        present = ~np.isnan(scores).all(axis=rest)
        order = np.argsort(~present, axis=0, kind="stable")
        order = order.reshape(*order.shape, *(1 for _ in rest))
        packed = np.take_along_axis(scores, order, axis=0)
        self._counts: NDArray[np.int64] = present.sum(axis=0)
        self._runs = int(self._counts.max())
        self._equal = bool((self._counts == self._runs).all())
        packed = packed[: self._runs]
        if not self._equal:  # a last row for the draws that a task with fewer runs does not have
            packed = np.concatenate([packed, np.full_like(packed[:1], np.nan)])
        self._rest = scores.shape[2:]
        self._rows: int = packed.shape[0]
        self._tasks: int = packed.shape[1]
        self._table = packed.reshape(self._rows * self._tasks, -1)

    def chunk(self) -> int:
        """How many resamplings to make at a time."""
        return max(1, _CHUNK // (self._runs * self._tasks * math.prod(self._rest)))

    def indices(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Rows ``[n, runs, tasks]`` of the packed scores."""
        shape = (n, self._runs, self._tasks)
        if self._equal:
            small = self._runs <= 256
            drawn = rng.integers(self._runs, size=shape, dtype=np.uint8 if small else np.int64)
            return drawn.astype(np.int64)
        rows = rng.integers(self._counts, size=shape)
        beyond = np.arange(self._runs)[:, None] >= self._counts
        return np.where(beyond, self._rows - 1, rows)

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Scores ``[n, ..., runs, tasks]``, the further axes of the scores in front of runs."""
        places = self.indices(rng, n)
        places *= self._tasks
        places += np.arange(self._tasks)
        if not self._rest:
            return np.asarray(self._table[:, 0].take(places))
        drawn = self._table.take(places, axis=0)
        return np.moveaxis(drawn, -1, 1).reshape(n, *self._rest, self._runs, self._tasks)

    def multiplicities(self, rng: np.random.Generator, n: int) -> Array:
        """How often each run was drawn: ``[tasks, n, rows]``."""
        places = np.moveaxis(self.indices(rng, n), -1, 0)  # [tasks, n, runs]
        bins = np.arange(self._tasks * n).reshape(self._tasks, n, 1) * self._rows
        counted = np.bincount((places + bins).ravel(), minlength=self._tasks * n * self._rows)
        return counted.reshape(self._tasks, n, self._rows).astype(np.float64)

    def packed(self) -> Array:
        """Scores ``[rows, tasks]`` as the indices count them."""
        return self._table[:, 0].reshape(self._rows, self._tasks)


def _parts(replications: int, chunk: int) -> Iterator[int]:
    while replications > 0:
        yield min(replications, chunk)
        replications -= chunk


def _check(replications: int, confidence: float = 0.95) -> None:
    if replications < 1:
        hint = "give 1 or more; 2000 are plenty for a first look"
        raise RlpytError("scores", f"replications={replications} is too few", hint=hint)
    if not 0.0 < confidence < 1.0:
        hint = "0.95 is usual"
        raise RlpytError("scores", f"confidence={confidence} is not between 0 and 1", hint=hint)


def _warn_of_few_runs(scores: Array) -> None:
    n = int((~np.isnan(scores)).any(axis=tuple(range(2, scores.ndim))).sum(axis=0).min())
    if n < FEW_RUNS:
        text = f"{n} run{'s' * (n != 1)} of a task: the interval is too narrow below {FEW_RUNS}"
        warnings.warn(f"{text}; add seeds", UserWarning, stacklevel=3)


def bootstrap(
    scores: ArrayLike, statistic: Statistic, rng: np.random.Generator, *, replications: int = 10_000
) -> Array:
    """``statistic`` of ``replications`` resamplings of ``scores`` ``[runs, tasks, ...]``.

    Further axes, as steps of a curve, stay together: a run is drawn with all of them. Returns
    ``[replications, ..., *what the statistic adds]``.

    Raises:
        RlpytError: ``scores``, for scores or a number that cannot be.
    """
    _check(replications)
    resampler = _Resampler(check_scores(scores))
    parts = _parts(replications, resampler.chunk())
    return np.concatenate([np.asarray(statistic(resampler.draw(rng, n))) for n in parts])


def _ends(replicates: Array, confidence: float) -> tuple[Values, Values]:
    """The ends of the interval in the middle of ``replicates`` ``[replications, ...]``."""
    shares = [(1.0 - confidence) / 2, (1.0 + confidence) / 2]
    quantile = np.nanquantile if np.isnan(replicates).any() else np.quantile
    low, high = quantile(replicates, shares, axis=0)
    return low, high


def bootstrap_interval(
    scores: ArrayLike,
    statistic: Statistic,
    rng: np.random.Generator,
    *,
    replications: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """The value of ``statistic`` on ``scores`` ``[runs, tasks, ...]`` and its interval.

    Warns where a task has fewer than :data:`FEW_RUNS` runs.

    Raises:
        RlpytError: ``scores``, for scores or a number that cannot be.
    """
    _check(replications, confidence)
    array = check_scores(scores)
    _warn_of_few_runs(array)
    value = statistic(np.moveaxis(array, (0, 1), (-2, -1)))
    replicates = bootstrap(array, statistic, rng, replications=replications)
    return Interval(value, *_ends(replicates, confidence))


def profile_interval(
    scores: ArrayLike,
    thresholds: ArrayLike,
    rng: np.random.Generator,
    *,
    average: bool = False,
    replications: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """:func:`~rlpyt.evaluation.statistics.performance_profile` with pointwise intervals ``[K]``."""
    profile = partial(performance_profile, thresholds=np.asarray(thresholds), average=average)
    return bootstrap_interval(
        scores, profile, rng, replications=replications, confidence=confidence
    )


def sample_efficiency(
    curves: ArrayLike,
    rng: np.random.Generator,
    *,
    statistic: Statistic = aggregate_iqm,
    replications: int = 2_000,
    confidence: float = 0.95,
) -> Interval:
    """``statistic`` of ``curves`` ``[runs, tasks, steps]`` at each step, with pointwise intervals:
    all are ``[steps]``. A run is drawn as a whole.
    """
    return bootstrap_interval(
        curves, statistic, rng, replications=replications, confidence=confidence
    )


def improvement_interval(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    replications: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """:func:`~rlpyt.evaluation.statistics.probability_of_improvement` with its interval; the runs
    of both algorithms are drawn, independently.
    """
    _check(replications, confidence)
    a, b = same_tasks([x, y])
    for each in (a, b):
        _warn_of_few_runs(each)
    of_x, of_y = _Resampler(a), _Resampler(b)
    wins = win_matrix(of_x.packed(), of_y.packed())  # the row of NaN wins nothing
    sizes = np.count_nonzero(~np.isnan(a), axis=0) * np.count_nonzero(~np.isnan(b), axis=0)
    wins /= sizes[:, None, None]
    found = []
    for n in _parts(replications, min(of_x.chunk(), of_y.chunk())):
        won = of_x.multiplicities(rng, n) @ wins
        found.append((won * of_y.multiplicities(rng, n)).sum(axis=-1).mean(axis=0))
    ends = _ends(np.concatenate(found), confidence)
    return Interval(np.float64(probability_of_improvement(a, b)), *ends)


def _task_means(scores: Array) -> Array:
    """``[..., runs, tasks]`` to ``[..., tasks]``; every task has a run."""
    if np.isnan(scores).any():
        return np.asarray(np.nanmean(scores, axis=-2))
    return np.asarray(scores.mean(axis=-2))


def _resampled_means(scores: Sequence[Array], rng: np.random.Generator, n: int) -> Array:
    """``[algorithms, n, tasks]``, the runs of all algorithms drawn independently."""
    return np.stack([bootstrap(each, _task_means, rng, replications=n) for each in scores])


def rank_interval(
    scores: Sequence[ArrayLike],
    rng: np.random.Generator,
    *,
    replications: int = 10_000,
    confidence: float = 0.95,
) -> Interval:
    """:func:`~rlpyt.evaluation.statistics.mean_rank` with intervals: all are ``[algorithms]``."""
    _check(replications, confidence)
    arrays = same_tasks(scores)
    for each in arrays:
        _warn_of_few_runs(each)
    ranks = average_ranks(_resampled_means(arrays, rng, replications))
    replicates = ranks.mean(axis=-1).T
    return Interval(mean_rank(arrays), *_ends(replicates, confidence))


def rank_distribution(
    scores: Sequence[ArrayLike], rng: np.random.Generator, *, replications: int = 10_000
) -> Array:
    """``[algorithms, ranks]``: how likely each algorithm has rank 1, 2, ... on a task drawn at
    random, over resamplings of the runs. Rows sum to 1. A tie counts for each of its ranks in part.
    """
    _check(replications)
    arrays = same_tasks(scores)
    means = _resampled_means(arrays, rng, replications)
    above = np.stack([(means > mean).sum(axis=0) for mean in means])
    equal = np.stack([(means == mean).sum(axis=0) for mean in means])
    shares = [
        np.where((above <= rank) & (rank < above + equal), 1.0 / equal, 0.0).mean(axis=(1, 2))
        for rank in range(len(arrays))
    ]
    return np.stack(shares, axis=-1)
