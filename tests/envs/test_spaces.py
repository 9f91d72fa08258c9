"""Gymnasium spaces and trees: shapes, dtypes, names, and an action's way to its environment."""

import copy

import numpy as np
import pytest
from env_fakes import SPACES
from gymnasium import spaces

from rlpyt.envs.spaces import (
    action_from_tree,
    example_of,
    random_action,
    space_children,
    space_items,
    tree_class,
)
from rlpyt.utils.buffer import leaves
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError

EXPECTED = {
    "box": ((2, 3), np.float32),
    "scalar_box": ((), np.float32),
    "float64_box": ((2,), np.float32),
    "image": ((4, 4, 1), np.uint8),
    "int_box": ((2,), np.int16),
    "discrete_start": ((), np.int64),
    "multi_discrete": ((2,), np.int64),
    "multi_discrete_2d": ((2, 2), np.int64),
    "multi_binary": ((3,), np.int8),
    "multi_binary_2d": ((2, 2), np.int8),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_leafs_example_is_zero_in_shape_and_dtype(name):
    example = example_of(SPACES[name])
    assert (example.shape, example.dtype) == EXPECTED[name]
    assert not example.any()


def test_dict_and_tuple_are_namedarraytuples_in_the_order_of_the_space():
    example = example_of(SPACES["nested"])
    assert type(example) is namedarraytuple("DictTree", ("arm", "leg"))
    assert type(example.arm) is namedarraytuple("TupleTree", ("item_0", "item_1"))
    assert type(example.arm.item_1) is namedarraytuple("DictTree", ("x",))
    assert tree_class(SPACES["nested"]) is type(example)
    assert [leaf.shape for leaf in leaves(example)] == [(), (2,), (1,)]
    assert [name for name, _ in space_items(SPACES["nested"])] == [
        "arm.item_0",
        "arm.item_1.x",
        "leg",
    ]
    assert space_items(SPACES["box"]) == [("", SPACES["box"])]
    assert space_children(SPACES["box"]) is None
    assert space_children(SPACES["tuple"]) == dict(
        zip(("item_0", "item_1"), SPACES["tuple"].spaces, strict=True)
    )


@pytest.mark.parametrize("name", SPACES)
def test_items_and_leaves_go_side_by_side(name):
    items, examples = space_items(SPACES[name]), leaves(example_of(SPACES[name]))
    for (_path, leaf), example in zip(items, examples, strict=True):
        lone = example_of(leaf)
        assert (example.shape, example.dtype) == (lone.shape, lone.dtype)


@pytest.mark.parametrize("key", ["a b", "class", "_x", "items", "1"])
def test_a_key_that_is_no_field_name(key):
    with pytest.raises(RlpytError, match=r"\[.*\] of a Dict space cannot all be field names") as e:
        example_of(spaces.Dict({"fine": spaces.Discrete(2), key: spaces.Discrete(2)}))
    assert e.value.code == "space"
    assert repr(key) in str(e.value)
    assert "rename the keys" in e.value.hint


@pytest.mark.parametrize(
    "space", [spaces.Text(3), spaces.Dict(t=spaces.Text(3)), spaces.Sequence(spaces.Discrete(2))]
)
def test_an_unsupported_space_says_which_are_supported(space):
    with pytest.raises(RlpytError, match=r"is not supported.*Box, Discrete") as caught:
        example_of(space)
    assert caught.value.code == "space"


def batch(tree, B=3):
    """[B, ...] of small numbers, all different."""
    if isinstance(tree, tuple):
        return type(tree)._make(batch(node, B) for node in tree)
    rows = [np.arange(row, row + tree.size).reshape(tree.shape) % 2 for row in range(B)]
    return np.stack(rows).astype(tree.dtype)


@pytest.mark.parametrize("name", SPACES)
def test_an_action_from_a_tree_is_in_its_space(name):
    space = SPACES[name]
    tree = batch(example_of(space))
    for row in range(3):
        action = action_from_tree(space, tree, row)
        assert space.contains(action), action


def test_actions_keep_their_values_and_add_the_start():
    tree = batch(example_of(SPACES["nested"]))
    action = action_from_tree(SPACES["nested"], tree, 1)
    assert list(action) == ["arm", "leg"]
    first, second = action["arm"]
    assert (first, type(first)) == (1, int)
    assert second["x"].tolist() == [1, 0]
    assert action["leg"].tolist() == [1.0]
    assert action_from_tree(SPACES["discrete_start"], np.array([0, 3]), 1) == 1
    found = action_from_tree(SPACES["multi_discrete_start"], np.array([[2, 3]]), 0)
    assert found.tolist() == [3, 1]


def test_a_box_action_is_clipped_and_the_tree_stays_as_it_was():
    space = spaces.Box(np.array([-1, 0], np.float32), np.array([2, 0.5], np.float32))
    tree = np.array([[-7, 7], [1, 0.25]], np.float32)
    assert action_from_tree(space, tree, 0).tolist() == [-1, 0.5]
    assert action_from_tree(space, tree, 1).tolist() == [1, 0.25]
    assert tree.tolist() == [[-7, 7], [1, 0.25]]
    free = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    assert action_from_tree(free, tree, 0).tolist() == [-7, 7]


def test_a_float64_box_takes_its_bounds_exactly():
    space = spaces.Box(-0.1, 0.1, (1,), np.float64)
    action = action_from_tree(space, np.array([[5.0]], np.float32), 0)
    assert action.dtype == np.float64
    assert action[0] == 0.1


@pytest.mark.parametrize("name", ["box", "multi_discrete", "multi_binary", "unbounded_box"])
def test_an_environment_that_changes_its_action_changes_no_buffer(name):
    tree = batch(example_of(SPACES[name]))
    before = tree.copy()
    action = action_from_tree(SPACES[name], tree, 0)
    action += 1
    np.testing.assert_array_equal(tree, before)


def masked_observation(mask):
    return namedarraytuple("DictTree", ("x", "action_mask"))(
        np.zeros((2, 1)), np.stack([1 - mask, mask])
    )


@pytest.mark.parametrize(
    ("space", "mask", "allowed"),
    [
        (spaces.Discrete(4, start=3), [0, 1, 0, 1], {4, 6}),
        (spaces.MultiDiscrete([2, 3]), [1, 0, 0, 1, 1], {(0, 1), (0, 2)}),
        (spaces.MultiDiscrete([2, 3], start=[5, -1]), [1, 0, 0, 1, 1], {(5, 0), (5, 1)}),
    ],
    ids=str,
)
def test_a_random_action_is_one_that_the_mask_allows(space, mask, allowed):
    space.seed(0)
    observation = masked_observation(np.array(mask, np.int8))
    drawn = [random_action(space, observation, 1) for _ in range(60)]
    assert all(space.contains(action) for action in drawn)
    assert {tuple(a.tolist()) if np.ndim(a) else int(a) for a in drawn} == allowed


@pytest.mark.parametrize("name", SPACES)
def test_without_a_mask_every_random_action_is_possible(name):
    space = copy.deepcopy(SPACES[name])
    space.seed(0)
    for observation in (np.zeros((2, 3)), example_of(SPACES["dict"])):
        assert space.contains(random_action(space, observation, 0))


def test_a_mask_over_other_actions_is_refused():
    observation = masked_observation(np.ones(2, np.int8))
    with pytest.raises(RlpytError, match=r"action_mask are not available.*max_decorrelation"):
        random_action(SPACES["box"], observation, 0)
