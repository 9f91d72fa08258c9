"""The squashed scale of values and its targets: exactness, by hand and against rlax."""

from decimal import Decimal, localcontext
from functools import partial

import numpy as np
import pytest
import torch
from ops_checks import assert_agrees_with_rlax, assert_compiles, assert_same, random_tensors

from rlpyt.ops.q_learning import at_action, greedy_action
from rlpyt.ops.value_scaling import (
    inverse_signed_hyperbolic,
    signed_hyperbolic,
    transformed_target,
)

CASES = 1000
EPS = (1e-3, 1e-2, 0.5)


def exact(value, eps, inverse):
    """h or its inverse by the formula of the paper, with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        x, eps = Decimal(value), Decimal(eps)
        size = abs(x)
        if inverse:
            root = (1 + 4 * eps * (size + 1 + eps)).sqrt()
            found = ((root - 1) / (2 * eps)) ** 2 - 1
        else:
            found = (size + 1).sqrt() - 1 + eps * size
        return float(found.copy_sign(x))


def wide_range(dtype):
    """0, and values of either sign from 1e-6 to 1e6."""
    size = torch.logspace(-6, 6, 49, dtype=dtype)
    return torch.cat([-size.flip(0), torch.zeros(1, dtype=dtype), size])


# --- against rlax --------------------------------------------------------------------------------


def rlax_hyperbolic(x, *, eps):
    import rlax

    return rlax.signed_hyperbolic(x, eps)


def rlax_parabolic(z, *, eps):
    import rlax

    return rlax.signed_parabolic(z, eps)


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
def test_both_directions_are_those_of_rlax(eps, inverse, apart):
    x = np.random.default_rng(0).standard_normal(CASES) * 30
    ours = inverse_signed_hyperbolic if inverse else signed_hyperbolic
    theirs = rlax_parabolic if inverse else rlax_hyperbolic
    assert_agrees_with_rlax(apart, lambda x: ours(x, eps), partial(theirs, eps=eps), [x])


# --- exactness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_directions_are_exact_to_a_few_roundings(eps, inverse, dtype):
    """The formulas of the papers lose half of the digits in float32."""
    x = wide_range(dtype)
    found = (inverse_signed_hyperbolic if inverse else signed_hyperbolic)(x, eps)
    expected = torch.tensor([exact(e, eps, inverse) for e in x.tolist()], dtype=torch.float64)
    assert found.dtype == dtype
    roundings = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=roundings, atol=0.0)


@pytest.mark.parametrize("eps", [0.0, *EPS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_undoes(eps, dtype):
    x = wide_range(dtype)
    roundings = 16 * torch.finfo(dtype).eps
    back = inverse_signed_hyperbolic(signed_hyperbolic(x, eps), eps)
    torch.testing.assert_close(back, x, rtol=roundings, atol=0.0)
    back = signed_hyperbolic(inverse_signed_hyperbolic(x, eps), eps)
    torch.testing.assert_close(back, x, rtol=roundings, atol=0.0)


@pytest.mark.parametrize("function", [signed_hyperbolic, inverse_signed_hyperbolic])
def test_odd_increasing_and_zero_at_zero(function):
    x = wide_range(torch.float64)
    found = function(x)
    assert torch.equal(found.flip(0), -found)
    assert (found.diff() > 0.0).all()
    assert function(torch.zeros(1)).item() == 0.0


def test_by_hand():
    x = torch.tensor([0.0, 3.0, -8.0, 99.0])
    assert signed_hyperbolic(x, 0.0).tolist() == [0.0, 1.0, -2.0, 9.0]
    assert signed_hyperbolic(x, 0.5).tolist() == [0.0, 2.5, -6.0, 58.5]
    assert inverse_signed_hyperbolic(torch.tensor([2.5, -6.0]), 0.5).tolist() == [3.0, -8.0]


def test_slopes_at_zero_are_reciprocal():
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (forward,) = torch.autograd.grad(signed_hyperbolic(zero, 0.1), zero)
    (back,) = torch.autograd.grad(inverse_signed_hyperbolic(zero, 0.1), zero)
    assert forward.item() == pytest.approx(0.6)
    assert back.item() == pytest.approx(1.0 / 0.6)


@pytest.mark.parametrize("function", [signed_hyperbolic, inverse_signed_hyperbolic])
def test_gradients_by_differences(function):
    (x,) = random_tensors((40,), scale=5.0)
    assert torch.autograd.gradcheck(function, x)


# --- targets -------------------------------------------------------------------------------------


def test_targets_are_the_formula():
    return_, next_discount, next_value = random_tensors((50,), (50,), (50,), scale=3.0)
    unscaled = return_ + next_discount * inverse_signed_hyperbolic(next_value)
    found = transformed_target(return_, next_discount, next_value)
    assert_same(found, signed_hyperbolic(unscaled), [return_, next_discount, next_value])


def test_targets_are_plain_ones_on_another_scale():
    """Scaling is increasing, so it changes no greedy action: double Q-learning commutes with it."""
    return_, next_discount, next_q, selector = random_tensors((50,), (50,), (50, 4), (50, 4))
    plain = return_ + next_discount * at_action(next_q, greedy_action(selector))
    next_action = greedy_action(signed_hyperbolic(selector))
    scaled_value = at_action(signed_hyperbolic(next_q), next_action)
    found = inverse_signed_hyperbolic(transformed_target(return_, next_discount, scaled_value))
    torch.testing.assert_close(found, plain, rtol=1e-11, atol=1e-12)


def test_a_terminal_target_is_the_scaled_return():
    return_ = torch.tensor([3.0, -8.0])
    found = transformed_target(return_, torch.zeros(2), torch.tensor([100.0, -50.0]))
    assert torch.equal(found, signed_hyperbolic(return_))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_graph_gives_the_same(dtype):
    inputs = random_tensors((6, 3), (6, 3), (6, 3), dtype=dtype)
    assert_compiles(transformed_target, *inputs)
