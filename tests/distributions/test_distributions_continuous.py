"""Gaussian and SquashedGaussian against torch.distributions, numerical integration and autograd."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import distributions as reference

from rlpyt.distributions import Gaussian, SquashedGaussian

LOW, HIGH = (-1.0, 0.5, -3.0), (1.0, 2.0, 4.0)


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def gradient(function, params):
    leaf = params.clone().requires_grad_()
    function(leaf).sum().backward()
    return leaf.grad


def assert_same_function(ours, theirs, params, rtol=1e-8):
    torch.testing.assert_close(ours(params), theirs(params), rtol=rtol, atol=1e-9)
    torch.testing.assert_close(
        gradient(ours, params), gradient(theirs, params), rtol=rtol, atol=1e-9
    )


def gaussian_of(params):
    mean, log_std = params.chunk(2, -1)
    return reference.Independent(reference.Normal(mean, log_std.exp()), 1)


def squashed_of(params):
    low, high = torch.tensor(LOW).double(), torch.tensor(HIGH).double()
    transforms = [
        reference.TanhTransform(cache_size=1),
        reference.AffineTransform((low + high) / 2, (high - low) / 2, event_dim=1, cache_size=1),
    ]
    return reference.TransformedDistribution(gaussian_of(params), transforms)


@pytest.mark.parametrize("shape", [(4,), (2, 2), (1, 4)])
def test_gaussian_values_and_gradients(shape):
    distribution = Gaussian(shape)
    params, other = normal(30, 8), normal(30, 8, seed=1)
    flat = normal(30, 4, seed=2)
    action = flat.reshape(30, *shape)
    info = distribution.dist_info
    assert_same_function(
        lambda p: distribution.log_prob(info(p), action),
        lambda p: gaussian_of(p).log_prob(flat),
        params,
    )
    assert_same_function(
        lambda p: distribution.entropy(info(p)), lambda p: gaussian_of(p).entropy(), params
    )
    assert_same_function(
        lambda p: distribution.kl(info(p), info(other)),
        lambda p: reference.kl_divergence(gaussian_of(p), gaussian_of(other)),
        params,
    )
    assert_same_function(
        lambda p: distribution.kl(info(other), info(p)),
        lambda p: reference.kl_divergence(gaussian_of(other), gaussian_of(p)),
        params,
    )
    assert torch.equal(distribution.mode(info(params)), params[:, :4].reshape(action.shape))


def test_gaussian_of_a_scalar_action():
    distribution = Gaussian(())
    params = normal(7, 2)
    action = normal(7, seed=3)
    info = distribution.dist_info(params)
    torch.testing.assert_close(
        distribution.log_prob(info, action), gaussian_of(params).log_prob(action.unsqueeze(-1))
    )
    assert distribution.mode(info).shape == (7,)


def test_gaussian_samples_are_normal_and_reparameterised():
    distribution = Gaussian((2,))
    count = 5000
    params = torch.tensor([1.0, -2.0, 0.3, -1.0])
    noise = torch.from_numpy(distribution.draw_noise(np.random.default_rng(0), (count,)))
    action = distribution.sample(distribution.dist_info(params.expand(count, 4)), noise)
    for dimension in range(2):
        scale = math.exp(params[2 + dimension])
        frozen = stats.norm(float(params[dimension]), scale)
        assert stats.kstest(action[:, dimension].numpy(), frozen.cdf).pvalue > 0.01
    assert abs(np.corrcoef(noise.T.numpy())[0, 1]) < 0.05
    found = gradient(lambda p: distribution.sample(distribution.dist_info(p), noise[0]), params)
    torch.testing.assert_close(found, torch.cat([torch.ones(2), noise[0] * params[2:].exp()]))


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((None, None), [-9.0, 0.0, 9.0]),
        ((-1.0, None), [-1.0, 0.0, 9.0]),
        ((None, 2.0), [-9.0, 0.0, 2.0]),
        ((-1.0, 2.0), [-1.0, 0.0, 2.0]),
    ],
)
@pytest.mark.parametrize("squash", [False, True])
def test_log_std_is_clamped_where_bounds_are_given(bounds, expected, squash):
    distribution = SquashedGaussian(LOW, HIGH, (3,), *bounds) if squash else Gaussian((3,), *bounds)
    params = torch.tensor([9.0, 8.0, 7.0, -9.0, 0.0, 9.0])
    info = distribution.dist_info(params)
    assert info.log_std.tolist() == expected
    assert info.mean.tolist() == [9.0, 8.0, 7.0]


@pytest.mark.parametrize("distribution", [Gaussian((2,)), SquashedGaussian(LOW, HIGH, (3,))])
def test_parameters_of_another_size_are_refused_and_masks_ignored(distribution):
    with pytest.raises(RuntimeError, match="split"):
        distribution.dist_info(torch.zeros(4, distribution.param_size + 1))
    assert distribution.mask_size == 0
    params = normal(3, distribution.param_size)
    masked = distribution.dist_info(params, torch.zeros(3, 2, dtype=torch.bool))
    assert torch.equal(masked.mean, distribution.dist_info(params).mean)


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_squashed_values_and_gradients(shape):
    distribution = SquashedGaussian(LOW, HIGH, shape)
    params, noise = 0.5 * normal(40, 6), normal(40, 3, seed=1)
    info = distribution.dist_info

    def theirs(p):
        mean, log_std = p.chunk(2, -1)
        squashed = squashed_of(p)
        action = mean + log_std.exp() * noise
        for transform in squashed.transforms:
            action = transform(action)
        return action, squashed.log_prob(action)

    def ours(p):
        action, log_prob = distribution.sample_with_log_prob(info(p), noise)
        return action.reshape(40, 3), log_prob

    for part in range(2):
        assert_same_function(lambda p, i=part: ours(p)[i], lambda p, i=part: theirs(p)[i], params)
    action = ours(params)[0].reshape(40, *shape)
    assert torch.equal(distribution.sample(info(params), noise), action)
    assert_same_function(
        lambda p: distribution.log_prob(info(p), action),
        lambda p: squashed_of(p).log_prob(action.reshape(40, 3)),
        params,
    )


def test_squashed_stays_in_its_bounds_and_mode_is_the_median():
    distribution = SquashedGaussian(LOW, HIGH, (3,))
    params = torch.tensor([0.4, -0.2, 0.1, 1.0, 1.0, 1.0])
    count = 20_000
    noise = torch.from_numpy(distribution.draw_noise(np.random.default_rng(0), (count,)))
    info = distribution.dist_info(params.expand(count, 6))
    action = distribution.sample(info, noise)
    low, high = torch.tensor(LOW), torch.tensor(HIGH)
    assert (action >= low - 1e-6).all()
    assert (action <= high + 1e-6).all()
    assert (action.amax(0) > high - 0.01).all()
    assert (action.amin(0) < low + 0.01).all()
    below = (action < distribution.mode(info)).sum(0)
    assert all(stats.binomtest(int(n), count, 0.5).pvalue > 0.01 for n in below)


def test_squashed_log_prob_integrates_to_one():
    distribution = SquashedGaussian((-2.0,), (5.0,), (1,))
    info = distribution.dist_info(torch.tensor([0.3, -0.4], dtype=torch.float64))

    def density(action):
        return math.exp(distribution.log_prob(info, torch.tensor([action], dtype=torch.float64)))

    total, _ = integrate.quad(density, -2, 5, epsabs=1e-8)
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("mean", [-200.0, -20.0, 0.0, 20.0, 200.0])
def test_squashed_is_finite_and_right_far_out(mean):
    distribution = SquashedGaussian((-2.0,), (2.0,), (1,))
    params = torch.tensor([mean, math.log(1e-5)], requires_grad=True)
    noise = torch.tensor([0.5])
    info = distribution.dist_info(params)
    action, log_prob = distribution.sample_with_log_prob(info, noise)
    (action.sum() + log_prob).backward()
    u = mean + 0.5e-5
    log_slope = 2 * (math.log(2) - abs(u) - math.log1p(math.exp(-2 * abs(u)))) + math.log(2)
    expected = stats.norm.logpdf(0.5) - math.log(1e-5) - log_slope
    assert log_prob.item() == pytest.approx(expected, abs=1e-3)
    assert torch.isfinite(params.grad).all()
    if abs(mean) > 10:  # d log p / dμ = 2 tanh(u)
        assert params.grad[0].item() == pytest.approx(2 * np.sign(mean), rel=1e-4)


def test_squashed_log_prob_at_the_bounds_is_finite():
    distribution = SquashedGaussian(LOW, HIGH, (3,))
    params = torch.zeros(2, 6, requires_grad=True)
    action = torch.tensor([LOW, HIGH])
    log_prob = distribution.log_prob(distribution.dist_info(params), action)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(params.grad).all()


def exact_entropy(mean, std, low, high):
    """-∫ N(u) log p(a(u)) du of one dimension."""

    def integrand(z):
        u = mean + std * z
        slope = 2 * (math.log(2) - u - np.logaddexp(0, -2 * u)) + math.log((high - low) / 2)
        return stats.norm.pdf(z) * slope

    value, _ = integrate.quad(integrand, -12, 12, limit=400, points=[np.clip(-mean / std, -11, 11)])
    return stats.norm.entropy(mean, std) + value


@pytest.mark.parametrize(
    ("std", "tolerance"), [(0.1, 1e-7), (1.0, 1e-7), (2.0, 2e-4), (3.0, 3e-3), (math.e**2, 0.09)]
)
def test_squashed_entropy_is_as_accurate_as_documented(std, tolerance):
    distribution = SquashedGaussian((-1.0,), (4.0,), (1,))
    means = np.linspace(-3, 3, 5)
    params = torch.tensor([[mean, math.log(std)] for mean in means], dtype=torch.float64)
    found = distribution.entropy(distribution.dist_info(params))
    expected = [exact_entropy(mean, std, -1, 4) for mean in means]
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_squashed_entropy_sums_dimensions_and_is_minus_the_mean_log_prob():
    distribution = SquashedGaussian(LOW, HIGH, (3,))
    params = 0.3 * normal(6)
    noise = normal(50_000, 3, seed=1)
    info = distribution.dist_info(params.expand(50_000, 6))
    _, log_prob = distribution.sample_with_log_prob(info, noise)
    entropy = distribution.entropy(distribution.dist_info(params))
    standard_error = float(log_prob.std()) / math.sqrt(50_000)
    assert entropy.item() == pytest.approx(-log_prob.mean().item(), abs=4 * standard_error)
    assert torch.autograd.gradcheck(
        lambda p: distribution.entropy(distribution.dist_info(p)), params.requires_grad_()
    )


def test_squashed_kl_is_that_of_the_gaussians():
    distribution = SquashedGaussian(LOW, HIGH, (3,))
    params, other = normal(20, 6), normal(20, 6, seed=1)
    found = distribution.kl(distribution.dist_info(params), distribution.dist_info(other))
    expected = reference.kl_divergence(gaussian_of(params), gaussian_of(other))
    torch.testing.assert_close(found, expected)


def test_equal_and_unequal_bounds_agree():
    equal = SquashedGaussian((-1.0, -1.0), (3.0, 3.0), (2,))
    unequal = SquashedGaussian((-1.0, -1.0, 0.0), (3.0, 3.0, 1.0), (3,))
    params = normal(5, 4)
    wider = torch.cat([params[:, :2], torch.zeros(5, 1), params[:, 2:], torch.zeros(5, 1)], -1)
    noise = normal(5, 3, seed=1)
    narrow = equal.sample(equal.dist_info(params), noise[:, :2])
    torch.testing.assert_close(
        unequal.sample(unequal.dist_info(wider), noise)[:, :2], narrow, rtol=1e-12, atol=1e-12
    )
