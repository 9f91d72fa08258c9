"""Statistics of scores: against loops, and what must hold whatever the scores are."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpyt.evaluation.statistics import (
    AGGREGATES,
    Array,
    aggregate_iqm,
    aggregate_mean,
    aggregate_median,
    aggregate_optimality_gap,
    mean_rank,
    performance_profile,
    probability_of_improvement,
)
from rlpyt.utils.errors import RlpytError

NAN = math.nan
SHAPES = [(10, 26), (5, 1), (1, 7), (1, 1), (2, 3), (3, 2), (7, 5)]


def random_scores(seed: int, shape: tuple[int, ...], missing: float = 0.0) -> Array:
    """Normal scores, some equal; with ``missing`` of them NaN, but one at least in each task."""
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(0.8, 0.5, shape), 1 if seed % 2 else 9)
    scores[1:][rng.random((shape[0] - 1, *shape[1:])) < missing] = NAN
    return scores


# --- reference: what the definitions say, one number after the other ---


def task_means(scores: Array) -> list[float]:
    columns = [[s for s in column if not math.isnan(s)] for column in scores.T]
    return [math.fsum(column) / len(column) for column in columns]


def loop_mean(scores: Array) -> float:
    means = task_means(scores)
    return math.fsum(means) / len(means)


def loop_median(scores: Array) -> float:
    means = sorted(task_means(scores))
    n = len(means)
    return means[n // 2] if n % 2 else (means[n // 2 - 1] + means[n // 2]) / 2


def loop_iqm(scores: Array) -> float:
    values = sorted(s for s in scores.ravel().tolist() if not math.isnan(s))
    cut = int(0.25 * len(values))
    kept = values[cut : len(values) - cut]
    return math.fsum(kept) / len(kept)


def loop_gap(scores: Array) -> float:
    values = [min(s, 1.0) for s in scores.ravel().tolist() if not math.isnan(s)]
    return 1.0 - math.fsum(values) / len(values)


LOOPS: dict[str, Callable[[Array], float]] = {
    "IQM": loop_iqm,
    "mean": loop_mean,
    "median": loop_median,
    "optimality gap": loop_gap,
}


def loop_improvement(x: Array, y: Array) -> float:
    tasks = []
    for a, b in zip(x.T, y.T, strict=True):
        pairs = [(p, q) for p in a for q in b if not (math.isnan(p) or math.isnan(q))]
        tasks.append(sum((p > q) + (p == q) / 2 for p, q in pairs) / len(pairs))
    return sum(tasks) / len(tasks)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_are_what_their_definitions_say(
    name: str, shape: tuple[int, int], missing: float
) -> None:
    for seed in range(4):
        scores = random_scores(seed, shape, missing)
        assert float(AGGREGATES[name](scores)) == pytest.approx(LOOPS[name](scores), abs=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("name", AGGREGATES)
def test_a_batch_is_its_matrices(name: str, missing: float) -> None:
    scores = random_scores(0, (6, 4, 3), missing).transpose(1, 0, 2)  # [4, runs, tasks]
    found = AGGREGATES[name](scores)
    np.testing.assert_allclose(found, [LOOPS[name](each) for each in scores], atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize(("runs_x", "runs_y"), [(5, 5), (3, 7), (1, 4), (1, 1)])
def test_probability_of_improvement_counts_pairs(runs_x: int, runs_y: int, missing: float) -> None:
    for seed in range(4):
        x = random_scores(seed, (runs_x, 3), missing)
        y = random_scores(seed + 10, (runs_y, 3), missing)
        found = probability_of_improvement(x, y)
        assert found == pytest.approx(loop_improvement(x, y), abs=1e-12)
        assert probability_of_improvement(y, x) == pytest.approx(1.0 - found)
        assert probability_of_improvement(x, x) == pytest.approx(0.5)


def test_profiles_are_shares_above() -> None:
    scores = np.array([[0.0, 1.0], [0.5, NAN], [1.0, 3.0]])
    thresholds = [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0]
    of_runs = performance_profile(scores, thresholds)
    np.testing.assert_allclose(of_runs, [1, 4 / 5, 3 / 5, 1 / 5, 1 / 5, 0])
    of_means = performance_profile(scores, thresholds, average=True)  # means 0.5 and 2
    np.testing.assert_allclose(of_means, [1, 1, 0.5, 0.5, 0, 0])


def test_ranks_are_averaged_over_tasks_and_ties_share() -> None:
    best = np.array([[3.0, 1.0], [5.0, 1.0]])
    other = np.array([[1.0, 1.0]])
    worst = np.array([[0.0, 0.0], [0.0, NAN], [1.0, 0.0]])
    np.testing.assert_allclose(mean_rank([best, other, worst]), [1.25, 1.75, 3.0])


# --- what holds for all scores ---

SCORES = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.floats(-100, 100, allow_nan=False),
)


@given(SCORES, st.floats(-5, 5), st.floats(0.1, 10))
def test_aggregates_move_and_stretch_with_the_scores(
    scores: Array, shift: float, scale: float
) -> None:
    for statistic in (aggregate_iqm, aggregate_mean, aggregate_median):
        moved = statistic(scale * scores + shift)
        np.testing.assert_allclose(moved, scale * statistic(scores) + shift, atol=1e-9)
        assert scores.min() - 1e-9 <= statistic(scores) <= scores.max() + 1e-9


@given(SCORES, st.integers(0, 99))
def test_the_order_of_runs_and_tasks_does_not_matter(scores: Array, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(scores, axis=0)[:, rng.permutation(scores.shape[1])]
    for statistic in AGGREGATES.values():
        np.testing.assert_allclose(statistic(shuffled), statistic(scores), atol=1e-9)


@given(SCORES)
def test_a_missing_run_changes_nothing(scores: Array) -> None:
    padded = np.concatenate([scores, np.full_like(scores[:1], NAN)])
    for statistic in AGGREGATES.values():
        np.testing.assert_allclose(statistic(padded), statistic(scores), atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_aggregates_of_a_constant(shape: tuple[int, int]) -> None:
    scores = np.full(shape, 0.7)
    for statistic in (aggregate_iqm, aggregate_mean, aggregate_median):
        assert statistic(scores) == pytest.approx(0.7)
    assert aggregate_optimality_gap(scores) == pytest.approx(0.3)
    assert aggregate_optimality_gap(scores, gamma=0.5) == pytest.approx(0.0)


def test_iqm_is_blind_to_outliers_and_the_gap_to_what_is_above() -> None:
    scores = random_scores(2, (8, 3))
    high = np.where(scores == scores.max(), 1e6, scores)
    assert aggregate_iqm(high) == pytest.approx(float(aggregate_iqm(scores)))
    assert aggregate_optimality_gap(high) == pytest.approx(
        float(aggregate_optimality_gap(np.minimum(scores, 1.0)))
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aggregate_iqm([1.0, 2.0]), r"scores has shape \[2\].*\[runs, tasks\]"),
        (lambda: aggregate_mean(np.zeros((0, 3))), r"shape \[0, 3\]"),
        (lambda: aggregate_mean([[1.0], [math.inf]]), r"scores\[1, 0\] is inf.*NaN"),
        (lambda: aggregate_median([[1.0, NAN], [2.0, NAN]]), "task 1 of scores has no score"),
        (lambda: aggregate_iqm([[1.0, 2.0], [3.0]]), "no array of numbers.*NaN"),
        (lambda: mean_rank([np.zeros((2, 2))]), "scores of 1 algorithm "),
        (
            lambda: probability_of_improvement(np.zeros((2, 2)), np.zeros((2, 3))),
            r"\[\[2, 2\], \[2, 3\]\] do not compare.*same tasks",
        ),
    ],
)
def test_what_is_wrong_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(RlpytError, match=message):
        call()
