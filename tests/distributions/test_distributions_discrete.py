"""Categorical, MultiCategorical and Bernoulli against torch.distributions, and their masks."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as reference

from rlpyt.distributions import Bernoulli, Categorical, MultiCategorical


def normal(*shape, seed=0, scale=2.0):
    return scale * torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def draw(distribution, count, seed=1):
    return torch.from_numpy(distribution.draw_noise(np.random.default_rng(seed), (count,)))


def gradient(function, params):
    leaf = params.clone().requires_grad_()
    function(leaf).sum().backward()
    return leaf.grad


def assert_same_function(ours, theirs, params):
    torch.testing.assert_close(ours(params), theirs(params), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(
        gradient(ours, params), gradient(theirs, params), rtol=1e-9, atol=1e-11
    )


def test_categorical_values_and_gradients():
    distribution = Categorical(6)
    params, other = normal(40, 6), normal(40, 6, seed=1)
    action = torch.arange(40) % 6
    info, reference_of = distribution.dist_info, lambda p: reference.Categorical(logits=p)
    assert_same_function(
        lambda p: distribution.log_prob(info(p), action),
        lambda p: reference_of(p).log_prob(action),
        params,
    )
    assert_same_function(
        lambda p: distribution.entropy(info(p)), lambda p: reference_of(p).entropy(), params
    )
    for ours, theirs in (
        (lambda p: distribution.kl(info(p), info(other)), lambda p: (p, other)),
        (lambda p: distribution.kl(info(other), info(p)), lambda p: (other, p)),
    ):
        assert_same_function(
            ours,
            lambda p, pair=theirs: reference.kl_divergence(*map(reference_of, pair(p))),
            params,
        )
    mode = distribution.mode(info(params))
    assert torch.equal(mode, params.argmax(-1))
    assert mode.dtype == torch.int64


def test_categorical_frequencies():
    distribution = Categorical(5)
    params = normal(5, scale=1.0)
    count = 40_000
    info = distribution.dist_info(params.expand(count, 5))
    action = distribution.sample(info, draw(distribution, count))
    assert action.dtype == torch.int64
    found = torch.bincount(action, minlength=5).numpy()
    expected = params.softmax(-1).numpy() * count
    assert stats.chisquare(found, expected).pvalue > 0.01
    assert stats.chisquare(found, np.roll(expected, 1)).pvalue < 1e-6


@pytest.mark.parametrize(
    ("distribution", "frozen"),
    [
        (Categorical(8), stats.gumbel_r),
        (MultiCategorical((3, 2)), stats.gumbel_r),
        (Bernoulli((4,)), stats.logistic),
    ],
    ids=["categorical", "multi-categorical", "bernoulli"],
)
def test_noise_has_its_distribution(distribution, frozen):
    noise = draw(distribution, 4000).numpy()
    assert np.isfinite(noise).all()
    assert stats.kstest(noise.ravel(), frozen.cdf).pvalue > 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_masked_actions_have_probability_zero_and_no_gradient(dtype):
    distribution = Categorical(5)
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.bool)
    params = (10 * normal(2, 5)).to(dtype).requires_grad_()
    info = distribution.dist_info(params, mask)
    assert torch.isfinite(info.log_prob).all()
    assert (info.log_prob.exp()[~mask] == 0).all()
    other = distribution.dist_info(params.detach().flip(-1), mask)
    terms = distribution.entropy(info) + distribution.kl(info, other) + distribution.kl(other, info)
    terms = terms + distribution.log_prob(info, torch.tensor([2, 2]))
    terms.sum().backward()
    assert torch.isfinite(terms).all()
    assert torch.isfinite(params.grad).all()
    assert (params.grad[~mask] == 0).all()
    assert (params.grad[0, mask[0]] != 0).any()
    assert distribution.entropy(info)[1].item() == pytest.approx(0, abs=1e-12)


def test_masked_categorical_is_the_categorical_of_the_rest():
    distribution = Categorical(5)
    mask = torch.tensor([1, 0, 1, 1, 0], dtype=torch.int8)
    kept = torch.tensor([0, 2, 3])
    params, other = normal(30, 5), normal(30, 5, seed=1)
    info, other_info = (distribution.dist_info(p, mask.expand(30, 5)) for p in (params, other))
    rest, other_rest = (reference.Categorical(logits=p[:, kept]) for p in (params, other))
    torch.testing.assert_close(info.log_prob[:, kept], rest.logits)
    torch.testing.assert_close(distribution.entropy(info), rest.entropy())
    torch.testing.assert_close(
        distribution.kl(info, other_info), reference.kl_divergence(rest, other_rest)
    )


def test_kl_to_what_forbids_is_huge_and_finite():
    distribution = Categorical(2)
    params = torch.zeros(2)
    forbids = distribution.dist_info(params, torch.tensor([True, False]))
    found = distribution.kl(distribution.dist_info(params), forbids)
    assert torch.isfinite(found)
    assert found > 1e30


def test_masked_actions_are_never_chosen():
    distribution = Categorical(4)
    count = 20_000
    mask = torch.tensor([False, True, False, True]).expand(count, 4)
    params = torch.tensor([100.0, -100.0, 50.0, -101.0]).expand(count, 4)
    info = distribution.dist_info(params, mask)
    action = distribution.sample(info, draw(distribution, count))
    found = torch.bincount(action, minlength=4).numpy()
    assert (found[[0, 2]] == 0).all()
    expected = count * torch.tensor([1.0, 0.0]).double().softmax(-1).numpy()
    assert stats.chisquare(found[[1, 3]], expected).pvalue > 0.01
    assert (distribution.mode(info) == 1).all()


@pytest.mark.parametrize(
    ("nvec", "shape"), [((4, 4, 4), None), ((2, 5, 3, 1), None), ((2, 5, 3, 1), (2, 2))]
)
def test_multi_categorical_is_independent_categoricals(nvec, shape):
    distribution = MultiCategorical(nvec, shape)
    params, other = normal(30, sum(nvec)), normal(30, sum(nvec), seed=1)
    flat = torch.stack([torch.arange(30) % n for n in nvec], -1)
    action = flat.reshape(30, *(shape or (len(nvec),)))

    def parts(p):
        return [reference.Categorical(logits=part) for part in p.split(nvec, -1)]

    info = distribution.dist_info
    assert_same_function(
        lambda p: distribution.log_prob(info(p), action),
        lambda p: sum(part.log_prob(a) for part, a in zip(parts(p), flat.T, strict=True)),
        params,
    )
    assert_same_function(
        lambda p: distribution.entropy(info(p)),
        lambda p: sum(part.entropy() for part in parts(p)),
        params,
    )
    assert_same_function(
        lambda p: distribution.kl(info(p), info(other)),
        lambda p: sum(map(reference.kl_divergence, parts(p), parts(other))),
        params,
    )
    mode = distribution.mode(info(params))
    expected = torch.stack([part.argmax(-1) for part in params.split(nvec, -1)], -1)
    assert torch.equal(mode, expected.reshape(action.shape))
    assert mode.dtype == torch.int64


def test_multi_categorical_frequencies_with_masks():
    distribution = MultiCategorical((2, 4, 3))
    count = 20_000
    mask = torch.tensor([1, 1, 0, 1, 1, 0, 1, 1, 1], dtype=torch.bool)
    params = normal(9, scale=1.0)
    info = distribution.dist_info(params.expand(count, 9), mask.expand(count, 9))
    action = distribution.sample(info, draw(distribution, count))
    assert action.dtype == torch.int64
    logits = params.masked_fill(~mask, -torch.inf).split((2, 4, 3))
    for choice, part in zip(action.T, logits, strict=True):
        probability = part.softmax(-1).numpy()
        found = torch.bincount(choice, minlength=len(part)).numpy()
        allowed = probability > 0
        assert (found[~allowed] == 0).all()
        assert stats.chisquare(found[allowed], count * probability[allowed]).pvalue > 0.01
    table = np.histogram2d(action[:, 0].numpy(), action[:, 2].numpy(), bins=(2, 3))[0]
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_multi_categorical_masks_leave_no_nan():
    distribution = MultiCategorical((2, 4))
    params = normal(3, 6).requires_grad_()
    mask = torch.tensor([0, 1, 1, 0, 0, 0], dtype=torch.bool).expand(3, 6)
    info = distribution.dist_info(params, mask)
    total = distribution.entropy(info) + distribution.kl(info, info)
    total = total + distribution.log_prob(info, torch.tensor([[1, 0]] * 3))
    total.sum().backward()
    torch.testing.assert_close(total, torch.zeros_like(total))
    assert (params.grad == 0).all()


@pytest.mark.parametrize("shape", [(5,), (1, 5)])
def test_bernoulli_values_and_gradients(shape):
    distribution = Bernoulli(shape)
    params, other = normal(30, 5, scale=4.0), normal(30, 5, seed=1, scale=4.0)
    action = torch.from_numpy(np.random.default_rng(5).integers(0, 2, (30, *shape), np.int8))
    flat = action.reshape(30, 5).double()
    info, reference_of = distribution.dist_info, lambda p: reference.Bernoulli(logits=p)
    assert_same_function(
        lambda p: distribution.log_prob(info(p), action),
        lambda p: reference_of(p).log_prob(flat).sum(-1),
        params,
    )
    assert_same_function(
        lambda p: distribution.entropy(info(p)),
        lambda p: reference_of(p).entropy().sum(-1),
        params,
    )
    assert_same_function(
        lambda p: distribution.kl(info(p), info(other)),
        lambda p: reference.kl_divergence(reference_of(p), reference_of(other)).sum(-1),
        params,
    )
    mode = distribution.mode(info(params))
    assert mode.dtype == torch.int8
    assert torch.equal(mode, (params > 0).to(torch.int8).reshape(action.shape))


def test_bernoulli_frequencies_and_masks():
    distribution = Bernoulli((3,))
    count = 20_000
    params = torch.tensor([0.7, -1.2, 30.0]).expand(count, 3)
    mask = torch.tensor([True, True, False]).expand(count, 3)
    info = distribution.dist_info(params, mask)
    action = distribution.sample(info, draw(distribution, count))
    assert action.dtype == torch.int8
    ones = action.sum(0).numpy()
    for bit in range(2):
        p = float(torch.sigmoid(params[0, bit]))
        assert stats.binomtest(int(ones[bit]), count, p).pvalue > 0.01
    assert ones[2] == 0
    assert (distribution.mode(info)[:, 2] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bernoulli_masks_leave_no_nan(dtype):
    distribution = Bernoulli((3,))
    params = normal(2, 3).to(dtype).requires_grad_()
    mask = torch.tensor([[True, False, True], [False, False, False]])
    info = distribution.dist_info(params, mask)
    other = distribution.dist_info(params.detach() + 1, mask)
    zeros = torch.zeros(2, 3, dtype=torch.int8)
    total = distribution.entropy(info) + distribution.kl(info, other)
    total = total + distribution.log_prob(info, zeros)
    total.sum().backward()
    assert torch.isfinite(total).all()
    assert total[1].item() == 0
    assert torch.isfinite(params.grad).all()
    assert (params.grad[~mask] == 0).all()
    assert (info.logit.sigmoid()[~mask] == 0).all()
    allowed = reference.Bernoulli(logits=params.detach()[0, [0, 2]])
    torch.testing.assert_close(distribution.entropy(info)[0].detach(), allowed.entropy().sum())
