"""Bootstrap intervals: their ends, what they keep apart, what they warn of."""

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from rlpyt.evaluation.bootstrap import (
    FEW_RUNS,
    Interval,
    bootstrap,
    bootstrap_interval,
    improvement_interval,
    profile_interval,
    rank_distribution,
    rank_interval,
    sample_efficiency,
)
from rlpyt.evaluation.statistics import (
    AGGREGATES,
    Array,
    aggregate_iqm,
    aggregate_mean,
    mean_rank,
    performance_profile,
    probability_of_improvement,
)
from rlpyt.utils.errors import RlpytError

NAN = math.nan


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def scores(n_runs: int = 8, n_tasks: int = 3, seed: int = 1) -> Array:
    return rng(seed).normal(0.8, 0.5, (n_runs, n_tasks))


@pytest.fixture
def few_are_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "[0-9]+ runs? of a task", UserWarning)
        yield


def loop_bootstrap(matrix: Array, replications: int, seed: int) -> Array:
    """Resampled IQMs, one run after the other, each task from the runs that it has."""
    generator, found = rng(seed), []
    for _ in range(replications):
        drawn: list[float] = []
        for column in matrix.T:
            runs = column[~np.isnan(column)]
            drawn += generator.choice(runs, len(runs)).tolist()
        drawn.sort()
        cut = len(drawn) // 4
        found.append(np.mean(drawn[cut : len(drawn) - cut]))
    return np.array(found)


@pytest.mark.parametrize("unequal", [False, True])
def test_resamplings_are_distributed_as_those_of_a_loop(unequal: bool) -> None:
    matrix = scores(9, 2)
    if unequal:
        matrix[[0, 3, 4, 8], 1] = NAN
    ours = bootstrap(matrix, aggregate_iqm, rng(), replications=20_000)
    loop = loop_bootstrap(matrix, 4_000, 1)
    assert ours.mean() == pytest.approx(loop.mean(), abs=5 * loop.std() / 4_000**0.5)
    assert ours.std() == pytest.approx(loop.std(), rel=0.06)
    np.testing.assert_allclose(
        np.quantile(ours, [0.025, 0.975]), np.quantile(loop, [0.025, 0.975]), atol=0.2 * loop.std()
    )


@pytest.mark.parametrize("shape", [(10, 4), (5, 1)])
@pytest.mark.parametrize("name", AGGREGATES)
def test_intervals_contain_the_point_estimate(name: str, shape: tuple[int, int]) -> None:
    for seed in range(5):
        matrix = scores(*shape, seed=seed)
        interval = bootstrap_interval(matrix, AGGREGATES[name], rng(), replications=1_000)
        assert interval.low <= interval.value <= interval.high
        assert interval.value == AGGREGATES[name](matrix)


@pytest.mark.usefixtures("few_are_fine")
def test_width_shrinks_with_runs_and_grows_with_confidence() -> None:
    widths = []
    for n_runs in (4, 16, 64):
        matrix = np.tile(scores(4, 2), (n_runs // 4, 1))
        _, low, high = bootstrap_interval(matrix, aggregate_mean, rng(), replications=4_000)
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(2.0, rel=0.15)
    assert widths[1] / widths[2] == pytest.approx(2.0, rel=0.15)
    wide = bootstrap_interval(matrix, aggregate_mean, rng(), replications=4_000, confidence=0.99)
    assert wide.high - wide.low > 1.15 * widths[2]


@pytest.mark.usefixtures("few_are_fine")
def test_one_run_has_an_interval_of_no_width() -> None:
    interval = bootstrap_interval([[0.3, 0.9]], aggregate_mean, rng(), replications=50)
    assert interval == pytest.approx((0.6, 0.6, 0.6))


def test_tasks_are_kept_apart() -> None:
    """A task's runs come from that task, as many as it has, and not all tasks' alike."""
    matrix = np.arange(6)[:, None] + np.array([0.0, 100.0, 200.0])
    matrix[4:, 1] = NAN
    seen: list[Array] = []

    def look(drawn: Array) -> Array:
        seen.append(drawn)
        return np.zeros(len(drawn))

    bootstrap(matrix, look, rng(), replications=300)
    drawn = np.concatenate(seen)
    assert drawn.shape == (300, 6, 3)
    for task, n in enumerate((6, 4, 6)):
        of_task = drawn[:, :, task]
        assert np.isnan(of_task).sum(axis=1).tolist() == [6 - n] * 300
        assert set(of_task[~np.isnan(of_task)]) == set(matrix[:n, task])
    assert not np.array_equal(drawn[:, :, 0], drawn[:, :, 2] - 200)


def test_runs_of_a_curve_are_drawn_as_a_whole() -> None:
    curves = np.arange(5.0)[:, None, None] + 10.0 * np.arange(4)  # [5 runs, 1 task, 4 steps]
    replicates = bootstrap(curves, aggregate_mean, rng(), replications=200)
    assert replicates.shape == (200, 4)
    np.testing.assert_allclose(replicates - replicates[:, :1], [[0.0, 10.0, 20.0, 30.0]] * 200)
    assert replicates[:, 0].std() > 0.3


def test_sample_efficiency_is_an_interval_for_each_step() -> None:
    curves = scores(6, 2)[..., None] * np.linspace(0, 1, 5)
    found = sample_efficiency(curves, rng(), replications=500)
    assert {np.shape(each) for each in found} == {(5,)}
    np.testing.assert_allclose(found.value, [aggregate_iqm(curves[..., i]) for i in range(5)])
    assert (found.low <= found.value).all()
    assert (found.value <= found.high).all()
    assert found.low[-1] < found.high[-1]


def test_a_curve_that_begins_late_counts_from_there() -> None:
    curves = np.ones((6, 1, 3)) * np.arange(6.0)[:, None, None]
    curves[0, 0, 0] = NAN
    found = sample_efficiency(curves, rng(), statistic=aggregate_mean, replications=200)
    np.testing.assert_allclose(found.value, [3.0, 2.5, 2.5])
    assert np.isfinite(found).all()


def test_profile_interval_has_each_threshold() -> None:
    matrix, thresholds = scores(), np.linspace(-1, 3, 9)
    for average in (False, True):
        found = profile_interval(matrix, thresholds, rng(), average=average, replications=500)
        np.testing.assert_array_equal(
            found.value, performance_profile(matrix, thresholds, average=average)
        )
        assert (found.low <= found.value).all()
        assert (found.value <= found.high).all()
        assert (np.diff(found.low) <= 0).all()


def loop_improvements(x: Array, y: Array, replications: int) -> Array:
    generator, found = rng(7), []
    for _ in range(replications):
        tasks = []
        for a, b in zip(x.T, y.T, strict=True):
            a, b = a[~np.isnan(a)], b[~np.isnan(b)]
            a, b = generator.choice(a, len(a)), generator.choice(b, len(b))
            tasks.append(np.mean([(p > q) + (p == q) / 2 for p in a for q in b]))
        found.append(np.mean(tasks))
    return np.array(found)


def test_improvement_resamples_both_sides() -> None:
    x, y = scores(7, 3, seed=2).round(1), scores(6, 3, seed=3).round(1)
    x[0, 1] = NAN
    found = improvement_interval(x, y, rng(), replications=20_000)
    assert found.value == probability_of_improvement(x, y)
    loop = np.quantile(loop_improvements(x, y, 1_000), [0.025, 0.975])
    np.testing.assert_allclose(found[1:], loop, atol=0.025)
    flipped = improvement_interval(y, x, rng(), replications=20_000)
    np.testing.assert_allclose(flipped, [1 - found.value, 1 - found.high, 1 - found.low], atol=0.01)


def test_ranks_of_algorithms_that_differ_are_certain() -> None:
    algorithms = [np.full((5, 2), level) + 0.1 * scores(5, 2) for level in (1.0, 3.0, 2.0)]
    found = rank_interval(algorithms, rng(), replications=200)
    for each in found:
        np.testing.assert_allclose(each, [3.0, 1.0, 2.0])
    shares = rank_distribution(algorithms, rng(), replications=200)
    np.testing.assert_allclose(shares, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_ranks_of_algorithms_that_are_alike_are_not() -> None:
    algorithms = [scores(6, 4, seed=seed) for seed in range(3)]
    algorithms[1][2, 0] = NAN
    found = rank_interval(algorithms, rng(), replications=500)
    np.testing.assert_allclose(found.value, mean_rank(algorithms))
    assert (found.low < found.high).all()
    shares = rank_distribution(algorithms, rng(), replications=500)
    np.testing.assert_allclose(shares.sum(axis=0), 1.0)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    tied = rank_distribution([np.ones((5, 1)), np.ones((6, 1))], rng(), replications=10)
    np.testing.assert_allclose(tied, 0.5)


def test_the_generator_decides_and_the_global_one_is_left_alone() -> None:
    before = str(np.random.get_state())
    matrix = scores()
    results = [bootstrap(matrix, aggregate_iqm, rng(seed), replications=99) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    assert str(np.random.get_state()) == before


def test_few_runs_are_warned_of() -> None:
    matrix = scores(FEW_RUNS, 2)
    bootstrap_interval(matrix, aggregate_mean, rng(), replications=10)
    matrix[0, 1] = NAN
    text = "4 runs of a task: the interval is too narrow below 5; add seeds"
    with pytest.warns(UserWarning, match=text):
        bootstrap_interval(matrix, aggregate_mean, rng(), replications=10)
    with pytest.warns(UserWarning, match="1 run of a task"):
        improvement_interval(matrix[:1, :1], scores(9, 1), rng(), replications=10)


def test_numbers_that_cannot_be_are_named() -> None:
    with pytest.raises(RlpytError, match="replications=0 is too few"):
        bootstrap(scores(), aggregate_mean, rng(), replications=0)
    with pytest.raises(RlpytError, match=r"confidence=95 is not between 0 and 1.*0\.95"):
        bootstrap_interval(scores(), aggregate_mean, rng(), confidence=95)


# --- the figures of RLLTE's notebook on Procgen: 10 runs of 16 games, in units of PPO's mean ---

NOTEBOOK = {
    "mean": Interval(1.0, 0.97356522, 1.02581304),
    "median": Interval(1.0, 0.98788833, 1.01211777),
    "IQM": Interval(1.000982017825453, 0.98629746, 1.01541494),
    "optimality gap": Interval(0.05484655070269717, 0.04044561, 0.06969737),
}
"""Published with ``rllte/examples/model_evaluation.ipynb``; the scores themselves are not."""


def like_procgen() -> Array:
    """Ten runs of 16 games, each game in units of its mean: normal scores whose spreads over games
    (a few games vary much, most hardly) are such that the width of the mean's interval and the
    optimality gap are about the notebook's.
    """
    middle = (np.arange(10) + 0.5) / 10
    runs = np.array([math.sqrt(2) * _inverse_erf(2 * p - 1) for p in middle])
    runs /= runs.std()
    spread = 0.021 * np.exp(np.linspace(0, 2.9, 16))
    matrix = 1.0 + rng(3).permuted(np.tile(runs, (16, 1)), axis=1).T * spread
    return np.asarray(matrix / matrix.mean(axis=0))


def _inverse_erf(y: float) -> float:
    low, high = -4.0, 4.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return low


@pytest.mark.parametrize("name", NOTEBOOK)
def test_intervals_are_those_of_a_published_comparison(name: str) -> None:
    """The two numbers of the stand-in were chosen to fit; the other figures follow."""
    found = bootstrap_interval(like_procgen(), AGGREGATES[name], rng(), replications=10_000)
    np.testing.assert_allclose(found, NOTEBOOK[name], atol=0.003)
    if name in ("mean", "median"):  # in units of one's own mean both are 1, whatever the scores
        assert found.value == pytest.approx(1.0, abs=1e-12)


def test_a_published_probability_counts_ties_by_half() -> None:
    """PPG over PPO there is 0.8153125: 1304.5 of 100 pairs in each of 16 games."""
    x, y = np.full((10, 16), -1.0), np.tile(np.arange(10.0)[:, None], 16)
    x[:, :13] = 10.0  # 100 pairs won in each
    x[0, 13] = 4.0  # 4 and a half
    assert probability_of_improvement(x, y) == 0.8153125
