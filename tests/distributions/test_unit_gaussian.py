"""The sample in units of the bounds, against the distribution it is of, and against differences."""

import pytest
import torch

from rlpyt.distributions.squashed_gaussian import SquashedGaussian
from rlpyt.distributions.unit_gaussian import sample_unit_gaussian

LIMITS = (-2.0, 0.5)


def both(params, noise, limits=LIMITS):
    dim = noise.shape[-1]
    distribution = SquashedGaussian((-1.0,) * dim, (1.0,) * dim, (dim,), *limits)
    expected = distribution.sample_with_log_prob(distribution.dist_info(params), noise)
    return sample_unit_gaussian(params, noise, *limits), expected


@pytest.mark.parametrize("leading", [(), (5,), (4, 5)])
@pytest.mark.parametrize("limits", [LIMITS, (None, None), (-20.0, None)])
def test_values_and_gradients_are_those_of_the_distribution(leading, limits):
    torch.manual_seed(0)
    params = (2 * torch.randn(*leading, 6)).requires_grad_()
    noise = torch.randn(*leading, 3)
    found, expected = both(params, noise, limits)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    weights = [torch.randn_like(part) for part in found]
    gradients = [
        torch.autograd.grad(sum((p * w).sum() for p, w in zip(parts, weights, strict=True)), params)
        for parts in (found, expected)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_gradients_are_exact():
    torch.manual_seed(0)
    params = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(7, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: sample_unit_gaussian(p, noise, -9.0, 9.0), (params,))


def test_nothing_overflows_far_out():
    params = torch.tensor([[60.0, -60.0, 2.0, -30.0]], requires_grad=True)
    (unit, log_prob), (_same, expected) = both(params, torch.tensor([[3.0, -3.0]]), (-20.0, 2.0))
    assert unit.abs().max() == 1.0
    torch.testing.assert_close(log_prob, expected)
    (unit.sum() + log_prob.sum()).backward()
    assert params.grad.isfinite().all()
    assert params.grad[0, 3] == 0.0  # clamped


def test_one_output_alone_has_a_gradient():
    params = torch.randn(5, 4, requires_grad=True)
    for part in (0, 1):
        params.grad = None
        sample_unit_gaussian(params, torch.randn(5, 2), *LIMITS)[part].sum().backward()
        assert params.grad.any()
