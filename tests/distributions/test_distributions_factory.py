"""distribution_for: every supported Gymnasium space, and clear refusals of the rest."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.distributions import (
    Bernoulli,
    Categorical,
    Composite,
    Gaussian,
    MultiCategorical,
    SquashedGaussian,
    distribution_for,
)
from rlpyt.envs.spaces import action_from_tree, example_of
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

BOX = spaces.Box(np.float32([-1, 0]), np.float32([1, 4]))
NESTED = spaces.Dict(
    {
        "z": spaces.Discrete(3, start=2),
        "a": spaces.Tuple((BOX, spaces.MultiBinary(3), spaces.Dict({"k": spaces.Discrete(2)}))),
        "m": spaces.MultiDiscrete([[2, 3], [4, 5]]),
    }
)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Discrete(4), Categorical(4)),
        (spaces.Discrete(4, start=-2), Categorical(4)),
        (spaces.MultiDiscrete([2, 3]), MultiCategorical((2, 3), (2,))),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), MultiCategorical((2, 3, 4, 5), (2, 2))),
        (spaces.MultiBinary(3), Bernoulli((3,))),
        (spaces.MultiBinary([2, 3]), Bernoulli((2, 3))),
        (BOX, Gaussian((2,))),
        (spaces.Box(-np.inf, np.inf, (2, 2)), Gaussian((2, 2))),
        (spaces.Box(-1, 1, ()), Gaussian(())),
    ],
    ids=str,
)
def test_leaf_spaces(space, expected):
    found = distribution_for(space)
    assert found == expected
    assert repr(found) == repr(expected)  # plain numbers, no numpy scalars


def test_squash_concerns_boxes_only():
    found = distribution_for(spaces.Tuple((BOX, spaces.Discrete(2))), squash=True)
    squashed = SquashedGaussian((-1.0, 0.0), (1.0, 4.0), (2,))
    assert found == Composite((("item_0", squashed), ("item_1", Categorical(2))), "TupleTree")


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(4, start=3),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.MultiBinary([2, 3]),
        BOX,
        NESTED,
    ],
    ids=str,
)
def test_samples_are_actions_of_the_space(space, squash):
    distribution = distribution_for(space, squash=squash)
    rng = np.random.default_rng(0)
    params = torch.from_numpy(rng.standard_normal((16, distribution.param_size)).astype("f4"))
    noise = torch.from_numpy(distribution.draw_noise(rng, (16,)))
    info = distribution.dist_info(params)
    example = example_of(space)
    for action in (distribution.sample(info, noise), distribution.mode(info)):
        if isinstance(example, tuple):
            assert type(action) is type(example)
        for leaf, like in zip(leaves(action), leaves(example), strict=True):
            assert leaf.shape == (16, *like.shape)
            assert leaf.numpy().dtype == like.dtype
        rows = (
            type(action)._make(map(_numpy, action)) if isinstance(action, tuple) else action.numpy()
        )
        assert all(space.contains(action_from_tree(space, rows, index)) for index in range(16))


def _numpy(tree):
    if isinstance(tree, tuple):
        return type(tree)._make(map(_numpy, tree))
    return tree.numpy()


@pytest.mark.parametrize(
    ("space", "squash", "message"),
    [
        (spaces.Text(4), False, r"Text.*\(action space\).*wrap the environment.*MultiBinary"),
        (spaces.Dict(a=spaces.Tuple((spaces.Text(4),))), False, r"\(action space\.a\.item_0\)"),
        (spaces.Box(0, 255, (2,), np.uint8), False, "integers.*float32"),
        (spaces.Box(-np.inf, np.inf, (2,)), True, "squash=True needs finite bounds.*squash=False"),
        (spaces.Box(np.float32([0, -np.inf]), np.float32([1, 1])), True, "finite bounds"),
        (spaces.Box(np.float32([0, 1]), np.float32([1, 1])), True, "low < high"),
        (spaces.Dict({"a": spaces.Box(0, np.inf, (2,))}), True, r"\(action space\.a\)"),
        (spaces.Dict({}), False, "empty"),
        (spaces.Tuple(()), False, "empty"),
        (spaces.Dict({"not a name": spaces.Discrete(2)}), False, "not a name.*rename the keys"),
        (spaces.Dict({"items": spaces.Discrete(2)}), False, "items.*rename the keys"),
    ],
    ids=str,
)
def test_other_spaces_are_refused_with_a_remedy(space, squash, message):
    with pytest.raises(RlpytError, match=message) as caught:
        distribution_for(space, squash=squash)
    assert caught.value.code == "space"
    assert caught.value.hint
