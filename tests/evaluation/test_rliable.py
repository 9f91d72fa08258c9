"""Our statistics against rliable's, on random scores.

rliable takes complete matrices only: its means of a task with a missing run are NaN. Where runs are
missing it is therefore given what is left: the scores in one column (IQM and optimality gap do not
look at tasks), or one task after the other. Its random numbers come from NumPy's global generator,
so intervals agree within what resampling leaves open.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from rlpyt.evaluation.bootstrap import bootstrap_interval, improvement_interval, profile_interval
from rlpyt.evaluation.statistics import (
    AGGREGATES,
    Array,
    aggregate_iqm,
    aggregate_optimality_gap,
    performance_profile,
    probability_of_improvement,
)

metrics: Any = pytest.importorskip(
    "rliable.metrics",
    reason='rliable is not installed: pip install -c constraints.txt ".[oracles]"',
)
library: Any = pytest.importorskip("rliable.library")

THEIRS: dict[str, Callable[[Array], float]] = {
    "IQM": metrics.aggregate_iqm,
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "optimality gap": metrics.aggregate_optimality_gap,
}
SHAPES = [(10, 26), (5, 1), (1, 7), (1, 1), (3, 2), (7, 5)]


def random_scores(seed: int, shape: tuple[int, int], digits: int = 9) -> Array:
    return np.round(np.random.default_rng(seed).normal(0.8, 0.5, shape), digits)


def with_missing(seed: int, shape: tuple[int, int]) -> Array:
    scores = random_scores(seed, shape)
    missing = np.random.default_rng(seed + 1000).random(shape) < 0.3
    missing[0] = False
    scores[missing] = math.nan
    return scores


@pytest.fixture
def global_generator() -> Iterator[None]:
    """rliable draws from it: seeded, and put back."""
    state = np.random.get_state()
    np.random.seed(0)
    yield
    np.random.set_state(state)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates(name: str, shape: tuple[int, int]) -> None:
    for seed in range(20):
        scores = random_scores(seed, shape, digits=1 if seed % 2 else 9)
        assert AGGREGATES[name](scores) == pytest.approx(THEIRS[name](scores), abs=1e-12)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] > 1])
def test_aggregates_with_missing_runs(shape: tuple[int, int]) -> None:
    for seed in range(20):
        scores = with_missing(seed, shape)
        left = scores[~np.isnan(scores)][:, None]
        assert aggregate_iqm(scores) == pytest.approx(metrics.aggregate_iqm(left), abs=1e-12)
        gap = metrics.aggregate_optimality_gap(left)
        assert aggregate_optimality_gap(scores) == pytest.approx(gap, abs=1e-12)
        columns = [column[~np.isnan(column)][:, None] for column in scores.T]
        means = np.array([[metrics.aggregate_mean(column) for column in columns]])
        for name in ("mean", "median"):
            assert AGGREGATES[name](scores) == pytest.approx(THEIRS[name](means), abs=1e-12)


@pytest.mark.parametrize(("runs_x", "runs_y"), [(10, 10), (3, 7), (1, 4), (1, 1)])
@pytest.mark.parametrize("n_tasks", [1, 6])
def test_probability_of_improvement(runs_x: int, runs_y: int, n_tasks: int) -> None:
    for seed in range(10):
        x = random_scores(seed, (runs_x, n_tasks), digits=1)
        y = random_scores(seed + 100, (runs_y, n_tasks), digits=1)
        theirs = metrics.probability_of_improvement(x, y)
        assert probability_of_improvement(x, y) == pytest.approx(theirs, abs=1e-12)


def test_probability_of_improvement_with_missing_runs() -> None:
    for seed in range(10):
        x, y = with_missing(seed, (6, 4)), with_missing(seed + 100, (5, 4))
        theirs = [
            metrics.probability_of_improvement(a[~np.isnan(a)][:, None], b[~np.isnan(b)][:, None])
            for a, b in zip(x.T, y.T, strict=True)
        ]
        assert probability_of_improvement(x, y) == pytest.approx(np.mean(theirs), abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("average", [False, True])
def test_profiles(shape: tuple[int, int], average: bool) -> None:
    deviation = library.mean_score_deviation if average else library.run_score_deviation
    scores, thresholds = random_scores(3, shape, digits=1), np.linspace(-1, 3, 41)
    theirs = [deviation(scores, tau) for tau in thresholds]
    np.testing.assert_allclose(performance_profile(scores, thresholds, average=average), theirs)


@pytest.mark.usefixtures("global_generator")
def test_intervals() -> None:
    scores = random_scores(5, (10, 6))
    for name, statistic in AGGREGATES.items():
        _, theirs = library.get_interval_estimates({"a": scores}, THEIRS[name], reps=1_000)
        rng = np.random.default_rng(0)
        found = bootstrap_interval(scores, statistic, rng, replications=10_000)
        low, high = theirs["a"].ravel()
        np.testing.assert_allclose(found[1:], (low, high), atol=0.08 * (high - low))


@pytest.mark.usefixtures("global_generator")
def test_intervals_of_pairs_and_profiles() -> None:
    rng = np.random.default_rng(0)
    x, y = random_scores(6, (8, 4), digits=1), random_scores(7, (6, 4), digits=1)
    both = {"x,y": (x, y)}
    theirs = library.get_interval_estimates(both, metrics.probability_of_improvement, reps=500)
    found = improvement_interval(x, y, rng, replications=10_000)
    np.testing.assert_allclose(found[1:], theirs[1]["x,y"].ravel(), atol=0.03)
    thresholds = np.linspace(0, 2, 5)
    profiles, ends = library.create_performance_profile({"x": x}, thresholds, reps=500)
    profile = profile_interval(x, thresholds, rng, replications=10_000)
    np.testing.assert_allclose(profile.value, profiles["x"])
    np.testing.assert_allclose(np.stack(profile[1:]), ends["x"], atol=0.04)
