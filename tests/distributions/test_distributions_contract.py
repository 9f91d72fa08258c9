"""What every distribution keeps to, whatever its family."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from rlpyt.distributions import (
    Bernoulli,
    Categorical,
    Composite,
    Gaussian,
    MultiCategorical,
    SquashedGaussian,
)
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.collections import is_namedarraytuple

MIXED = Composite(
    (
        ("move", Categorical(3)),
        ("arm", Composite((("item_0", Gaussian((2,))), ("item_1", Bernoulli((3,)))), "TupleTree")),
    )
)
DISTRIBUTIONS = [
    Categorical(5),
    MultiCategorical((3, 3)),
    MultiCategorical((2, 5, 3, 1), (2, 2)),
    Bernoulli((4,)),
    Bernoulli((2, 3)),
    Gaussian((3,)),
    Gaussian(()),
    Gaussian((2, 2), -1.0, 0.5),
    SquashedGaussian((-1.0, -1.0), (1.0, 1.0), (2,)),
    SquashedGaussian((-1.0, 0.0), (1.0, 5.0), (2, 1)),
    MIXED,
]
every_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)


def draw(distribution, leading, seed=0):
    rng = np.random.default_rng(seed)
    params = rng.standard_normal((*leading, distribution.param_size)).astype(np.float32)
    noise = distribution.draw_noise(rng, leading)
    return torch.from_numpy(params), torch.from_numpy(noise)


@every_distribution
@pytest.mark.parametrize("leading", [(), (4,), (3, 4)], ids=str)
def test_leading_dimensions_are_a_batch(distribution, leading):
    params, noise = draw(distribution, leading)
    info = distribution.dist_info(params)
    other = distribution.dist_info(params.flip(-1))
    action = distribution.sample(info, noise)
    mode = distribution.mode(info)
    results = [
        distribution.log_prob(info, action),
        distribution.entropy(info),
        distribution.kl(info, other),
    ]
    assert is_namedarraytuple(info)
    assert all(result.shape == leading for result in results)
    assert [leaf.shape for leaf in leaves(action)] == [leaf.shape for leaf in leaves(mode)]
    for index in np.ndindex(*leading):
        row = distribution.dist_info(params[index])
        row_action = distribution.sample(row, noise[index])
        row_results = [
            distribution.log_prob(row, row_action),
            distribution.entropy(row),
            distribution.kl(row, distribution.dist_info(params[index].flip(-1))),
        ]
        for leaf, row_leaf in zip(leaves(action), leaves(row_action), strict=True):
            torch.testing.assert_close(leaf[index], row_leaf)
        for result, row_result in zip(results, row_results, strict=True):
            torch.testing.assert_close(result[index], row_result)


@every_distribution
def test_same_noise_gives_the_same_action(distribution):
    params, noise = draw(distribution, (6,))
    info = distribution.dist_info(params)
    first = leaves(distribution.sample(info, noise))
    again = leaves(distribution.sample(info, noise.clone()))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    _, other_noise = draw(distribution, (6,), seed=1)
    others = leaves(distribution.sample(info, other_noise))
    assert not all(torch.equal(a, b) for a, b in zip(first, others, strict=True))


@every_distribution
def test_noise_is_float32_and_independent_of_how_many_are_drawn_at_once(distribution):
    at_once = distribution.draw_noise(np.random.default_rng(3), (5, 2))
    rng = np.random.default_rng(3)
    one_by_one = [distribution.draw_noise(rng, ()) for _ in range(10)]
    assert at_once.dtype == np.float32
    assert at_once.shape == (5, 2, distribution.noise_size)
    assert np.array_equal(at_once.reshape(10, -1), np.stack(one_by_one))
    assert distribution.draw_noise(rng, (0, 2)).shape == (0, 2, distribution.noise_size)


@every_distribution
def test_kl_is_zero_to_itself_and_positive_to_another(distribution):
    params, _ = draw(distribution, (50,))
    info = distribution.dist_info(params)
    other = distribution.dist_info(torch.flip(params, (0,)))
    torch.testing.assert_close(distribution.kl(info, info), torch.zeros(50))
    assert (distribution.kl(info, other) > 0).all()


@every_distribution
def test_is_a_frozen_hashable_value_that_pickles(distribution):
    copy = pickle.loads(pickle.dumps(distribution))
    assert copy == distribution
    assert hash(copy) == hash(distribution)
    assert copy != Categorical(7)
    params, noise = draw(distribution, (2,))
    action = distribution.sample(distribution.dist_info(params), noise)
    copied = copy.sample(copy.dist_info(params), noise)
    assert type(copied) is type(action)
    with pytest.raises(FrozenInstanceError):
        distribution.shape = (9,)


@every_distribution
def test_info_is_indexed_and_pickled_as_one_array(distribution):
    params, noise = draw(distribution, (3, 4))
    info = distribution.dist_info(params)
    action = distribution.sample(info, noise)
    torch.testing.assert_close(
        distribution.log_prob(info[1], action[1]), distribution.log_prob(info, action)[1]
    )
    copy = pickle.loads(pickle.dumps(info))
    assert type(copy) is type(info)
    torch.testing.assert_close(distribution.entropy(copy), distribution.entropy(info))


@every_distribution
def test_float64_parameters_stay_float64(distribution):
    params, noise = draw(distribution, (3,))
    info = distribution.dist_info(params.double())
    action = distribution.sample(info, noise)
    assert distribution.log_prob(info, action).dtype == torch.float64
    assert distribution.entropy(info).dtype == torch.float64
    assert distribution.kl(info, info).dtype == torch.float64


@pytest.mark.parametrize(
    "distribution",
    [Categorical(5), Gaussian((3,)), MIXED, SquashedGaussian((-1.0, 0.0), (1.0, 5.0), (2,))],
    ids=repr,
)
def test_compiles_to_one_full_graph(distribution):
    params, noise = draw(distribution, (4,))
    mask = torch.ones(4, distribution.mask_size, dtype=torch.bool)

    def evaluate(params, action):
        info = distribution.dist_info(params, mask)
        return distribution.log_prob(info, action), distribution.entropy(info)

    action = distribution.sample(distribution.dist_info(params), noise)
    compiled = torch.compile(evaluate, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(params, action), evaluate(params, action))


@every_distribution
def test_sampling_under_inference_mode_agrees(distribution):
    params, noise = draw(distribution, (4,))
    expected = distribution.sample(distribution.dist_info(params), noise)
    with torch.inference_mode():
        found = distribution.sample(distribution.dist_info(params), noise)
    buffer_map(torch.testing.assert_close, found, expected)
