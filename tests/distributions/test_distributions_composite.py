"""Composite: parts keep their slices of parameters, masks and noise, and their sums add up."""

import pickle

import numpy as np
import pytest
import torch

from rlpyt.distributions import (
    Bernoulli,
    Categorical,
    Composite,
    Gaussian,
    MultiCategorical,
)
from rlpyt.utils.collections import namedarraytuple

ARM = Composite((("item_0", Gaussian((2,))), ("item_1", Bernoulli((3,)))), "TupleTree")
ROBOT = Composite((("arm", ARM), ("gear", Categorical(4)), ("keys", MultiCategorical((2, 3)))))
B = 6


def draw(seed=0):
    rng = np.random.default_rng(seed)
    params = torch.from_numpy(rng.standard_normal((B, ROBOT.param_size)).astype(np.float32))
    return params, torch.from_numpy(ROBOT.draw_noise(rng, (B,)))


def parts_of(params):
    """The leaves' own infos, sliced by hand: gaussian 4, bits 3, gear 4, keys 5."""
    return (
        Gaussian((2,)).dist_info(params[:, :4]),
        Bernoulli((3,)).dist_info(params[:, 4:7]),
        Categorical(4).dist_info(params[:, 7:11]),
        MultiCategorical((2, 3)).dist_info(params[:, 11:]),
    )


LEAVES = (Gaussian((2,)), Bernoulli((3,)), Categorical(4), MultiCategorical((2, 3)))


def test_sizes_are_sums():
    assert ROBOT.param_size == 4 + 3 + 4 + 5
    assert ROBOT.noise_size == 2 + 3 + 4 + 6
    assert ROBOT.mask_size == 3 + 4 + 5


def test_actions_are_trees_of_the_parts_actions():
    params, noise = draw()
    info = ROBOT.dist_info(params)
    action = ROBOT.sample(info, noise)
    assert type(action) is namedarraytuple("DictTree", ("arm", "gear", "keys"))
    assert type(action.arm) is namedarraytuple("TupleTree", ("item_0", "item_1"))
    slices = (noise[:, :2], noise[:, 2:5], noise[:, 5:9], noise[:, 9:])
    found = (*action.arm, action.gear, action.keys)
    mode = ROBOT.mode(info)
    modes = (*mode.arm, mode.gear, mode.keys)
    for leaf, part, part_noise, a, m in zip(
        LEAVES, parts_of(params), slices, found, modes, strict=True
    ):
        assert torch.equal(a, leaf.sample(part, part_noise))
        assert torch.equal(m, leaf.mode(part))
        assert a.dtype == m.dtype


def test_log_prob_entropy_and_kl_are_sums():
    params, noise = draw()
    other_params, _ = draw(seed=1)
    info, other = ROBOT.dist_info(params), ROBOT.dist_info(other_params)
    action = ROBOT.sample(info, noise)
    actions = (*action.arm, action.gear, action.keys)
    parts, others = parts_of(params), parts_of(other_params)
    torch.testing.assert_close(
        ROBOT.log_prob(info, action),
        sum(leaf.log_prob(p, a) for leaf, p, a in zip(LEAVES, parts, actions, strict=True)),
    )
    torch.testing.assert_close(
        ROBOT.entropy(info), sum(leaf.entropy(p) for leaf, p in zip(LEAVES, parts, strict=True))
    )
    torch.testing.assert_close(
        ROBOT.kl(info, other),
        sum(leaf.kl(p, q) for leaf, p, q in zip(LEAVES, parts, others, strict=True)),
    )


def test_masks_reach_the_discrete_parts():
    params, noise = draw()
    bits, gear, keys = [False, True, False], [False, False, True, False], [True, False] + [True] * 3
    mask = torch.tensor(bits + gear + keys).expand(B, ROBOT.mask_size)
    info = ROBOT.dist_info(params, mask)
    action = ROBOT.sample(info, noise)
    assert (action.arm.item_1[:, [0, 2]] == 0).all()
    assert (action.gear == 2).all()
    assert (action.keys[:, 0] == 0).all()
    assert torch.equal(info.arm.item_0.mean, params[:, :2])
    assert torch.isfinite(ROBOT.entropy(info)).all()


def test_gradients_reach_every_parameter():
    params, noise = draw()
    params.requires_grad_()
    info = ROBOT.dist_info(params)
    fixed = ROBOT.sample(ROBOT.dist_info(params.detach()), noise)
    ROBOT.log_prob(info, fixed).sum().backward()
    assert (params.grad != 0).all()


def test_order_names_and_kind_make_the_identity():
    fields = (("a", Categorical(2)), ("b", Categorical(3)))
    assert Composite(fields) == Composite(fields, "DictTree")
    assert Composite(fields) != Composite(fields[::-1])
    assert Composite(fields) != Composite(fields, "TupleTree")
    assert "class" not in repr(Composite(fields))
    params, noise = draw()
    action = ROBOT.sample(ROBOT.dist_info(params), noise)
    copy = pickle.loads(pickle.dumps(action))
    assert type(copy) is type(action)


def test_a_name_that_is_no_field_is_refused():
    with pytest.raises(ValueError, match="items"):
        Composite((("items", Categorical(2)),))
