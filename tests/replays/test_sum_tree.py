import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from rlpyt.replays import SumTree
from rlpyt.utils.errors import RlpytError

CAPACITIES = [1, 2, 31, 32, 33, 1000, 1024, 1025, 40_000, 1_100_000]  # one to four levels


def filled(capacity, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.random(capacity) * (rng.random(capacity) < 0.7)
    values[-1] = 1.0
    tree = SumTree(capacity)
    tree.set(np.arange(capacity), values)
    return tree, values


def refused(what, call, *args):
    with pytest.raises(RlpytError, match=what):
        call(*args)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_below_1_is_refused(capacity):
    refused(f"capacity={capacity}", SumTree, capacity)


@pytest.mark.parametrize("value", [-1.0, -1e-300, np.nan, np.inf])
def test_a_value_that_is_no_priority_is_refused_and_changes_nothing(value):
    tree, values = filled(100)
    refused("leaf 7 is not a nonnegative number", tree.set, [3, 7], [5.0, value])
    assert np.array_equal(tree.get(np.arange(100)), values)
    assert tree.max_recorded == 1.0


@pytest.mark.parametrize("index", [-1, 100])
def test_an_index_out_of_range_is_refused(index):
    tree, _ = filled(100)
    refused("capacity=100", tree.set, [index], 1.0)


def test_an_empty_tree_finds_nothing():
    tree = SumTree(100)
    assert tree.total == 0.0
    assert tree.max_recorded == tree.min_recorded == 0.0
    refused("nothing to find", tree.find, [0.0])
    refused("nothing to find", tree.sample, 4, np.random.default_rng(0))
    tree.set([3], 1.0)
    refused("negative or NaN", tree.find, [-0.1])
    refused("negative or NaN", tree.find, [np.nan])


def test_setting_nothing_is_nothing():
    tree = SumTree(10)
    tree.set([], [])
    assert tree.total == 0.0


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_find_is_the_inverse_of_the_cumulative_sum(capacity):
    tree, values = filled(capacity)
    assert tree.total == pytest.approx(values.sum(), rel=1e-12)
    found = tree.find(np.random.default_rng(1).random(500) * values.sum())
    sums = np.random.default_rng(1).random(500) * values.sum()
    expected = np.searchsorted(values.cumsum(), sums, side="right")
    assert np.mean(found != expected) < 0.01  # but for sums within rounding of a border
    assert (values[found] > 0).all()


def test_find_by_hand():
    tree = SumTree(6)
    tree.set([1, 2, 4], [2.0, 1.0, 3.0])
    found = tree.find([0.0, 1.99, 2.0, 2.99, 3.0, 5.99, 6.0, 1e9])
    assert found.tolist() == [1, 1, 2, 2, 4, 4, 4, 4]


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    values=npst.arrays(
        np.float64,
        st.integers(1, 3000),
        elements=st.sampled_from([0.0, 0.0, 5e-324, 1e-300, 0.1, 1 / 3, 1.0, 1e15]),
    ),
    shares=npst.arrays(np.float64, 20, elements=st.floats(0, 1)),
)
def test_a_leaf_of_value_0_is_never_found(values, shares):
    values[len(values) // 2] = 0.3
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), values)
    borders = np.minimum(values.cumsum()[:50], tree.total)  # where rounding matters
    near = np.concatenate([borders, np.nextafter(borders, 0), np.nextafter(borders, np.inf)])
    found = tree.find(np.concatenate([shares * tree.total, near, [tree.total, tree.total * 2]]))
    assert (values[found] > 0).all()


def test_a_node_larger_than_its_children_by_rounding_finds_a_leaf_above_0():
    rng = np.random.default_rng(0)
    for _ in range(300):
        values = np.zeros(2048)
        values[:32] = rng.random(32)  # a node's sum is not the last of their cumulative sums
        values[31] = 0.0
        tree = SumTree(2048)
        tree.set(np.arange(2048), values)
        assert tree.find([np.nextafter(tree.total, 0)])[0] == 30


def test_of_several_values_for_one_leaf_the_last_counts():
    tree = SumTree(50)
    tree.set([7, 3, 7, 7, 3], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert tree.get([3, 7]).tolist() == [5.0, 4.0]
    assert tree.total == 9.0
    tree.set(np.array([[1, 2], [2, 1]]), 1.5)  # any shape, one value for all
    assert tree.total == 12.0


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32), capacity=st.sampled_from([5, 900, 3000, 40_000]))
def test_updates_give_the_tree_that_the_final_values_give(seed, capacity):
    rng = np.random.default_rng(seed)
    tree, values = SumTree(capacity), np.zeros(capacity)
    for _ in range(10):
        indices = rng.integers(capacity, size=rng.integers(1, 40))
        new = rng.random(len(indices)) * (rng.random(len(indices)) < 0.8)
        tree.set(indices, new)
        for index, value in zip(indices, new, strict=True):
            values[index] = value
    built = SumTree(capacity)
    built.set(np.arange(capacity), values)
    for one, other in zip(tree._levels, built._levels, strict=True):
        assert np.array_equal(one, other)


def test_sums_do_not_drift():
    # Added differences of such sizes would be off by about 1 after a few updates.
    rng = np.random.default_rng(0)
    tree, values = SumTree(5000), np.zeros(5000)
    for _ in range(3000):
        indices = rng.integers(5000, size=32)
        new = np.where(rng.random(32) < 0.5, rng.random(32) * 1e16, rng.random(32) * 1e-6)
        tree.set(indices, new)
        for index, value in zip(indices, new, strict=True):
            values[index] = value
    small = np.where(values > 1, 0.5, values)
    tree.set(np.arange(5000), small)
    assert tree.total == pytest.approx(small.sum(), rel=1e-14)
    rebuilt = SumTree(5000)
    rebuilt.set(np.arange(5000), small)
    assert tree.total == rebuilt.total


def test_highest_and_lowest_are_recorded_and_stay():
    tree = SumTree(10)
    tree.set([1, 2], [3.0, 0.0])
    assert (tree.max_recorded, tree.min_recorded) == (3.0, 3.0)
    tree.set([1, 2], [0.5, 7.0])
    tree.set([1, 2], [0.0, 1.0])
    assert (tree.max_recorded, tree.min_recorded) == (7.0, 0.5)


def test_clear():
    tree, _ = filled(2000)
    tree.clear()
    assert tree.total == tree.max_recorded == tree.min_recorded == 0.0
    tree.set([5], 2.0)
    assert tree.find([1.0]).tolist() == [5]


def test_a_sample_has_one_leaf_from_each_stratum():
    tree = SumTree(1000)
    tree.set(np.arange(1000), 1.0)
    leaves, probability = tree.sample(100, np.random.default_rng(0))
    assert (leaves // 10 == np.arange(100)).all()
    np.testing.assert_allclose(probability, 1e-3)


@pytest.mark.parametrize("capacity", [50, 3000])
def test_samples_are_distributed_by_value(capacity):
    tree, values = filled(capacity)
    rng = np.random.default_rng(0)
    leaves, probability = tree.sample(50 * capacity, rng)
    np.testing.assert_allclose(probability, values[leaves] / values.sum(), rtol=1e-9)
    counts = np.bincount(leaves, minlength=capacity)
    assert (counts[values == 0] == 0).all()
    # stratified: no leaf is off by more than 1 from what its strata give
    assert np.abs(counts - 50 * capacity * values / values.sum()).max() < 2

    single = np.concatenate([tree.sample(1, rng)[0] for _ in range(4000)])
    share = np.array([values[i::7].sum() for i in range(7)]) / values.sum()
    observed = np.bincount(single % 7, minlength=7)
    assert stats.chisquare(observed, share * 4000).pvalue > 1e-4


def test_sampling_depends_on_the_generator_alone():
    tree, _ = filled(3000)
    np.random.seed(1)  # the global generator plays no part
    first = tree.sample(64, np.random.default_rng(3))[0]
    np.random.seed(2)
    again = tree.sample(64, np.random.default_rng(3))[0]
    other = tree.sample(64, np.random.default_rng(4))[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("capacity", [20, 5000, 40_000])
def test_a_loaded_tree_is_the_saved_one_bit_for_bit(capacity):
    tree, _ = filled(capacity)
    rng = np.random.default_rng(0)
    for _ in range(20):
        tree.set(rng.integers(capacity, size=8), rng.random(8))
    loaded = SumTree(capacity)
    loaded.set([0], 99.0)
    loaded.load_state_dict(tree.state_dict())
    for one, other in zip(tree._levels, loaded._levels, strict=True):
        assert np.array_equal(one, other)
    assert loaded.total == tree.total
    assert loaded.max_recorded == tree.max_recorded
    assert loaded.min_recorded == tree.min_recorded
    refused("has 20 leaves, this one 21", SumTree(21).load_state_dict, filled(20)[0].state_dict())
