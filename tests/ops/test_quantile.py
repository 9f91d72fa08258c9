"""Quantile regression: by hand, against the papers' double sum and against rlax."""

from functools import partial

import numpy as np
import pytest
import torch
from ops_checks import assert_agrees_with_rlax, assert_compiles, assert_same, random_tensors

from rlpyt.ops.q_learning import at_action, greedy_action
from rlpyt.ops.quantile import quantile_huber_loss, quantile_midpoints, quantile_target

CASES = 300
KAPPAS = (0.0, 0.3, 1.0, 2.5)


def random_case(seed, n_estimates, n_targets):
    """Arrays: estimates [N, M], fractions [N, M], targets [N, M']."""
    rng = np.random.default_rng(seed)
    quantiles = rng.standard_normal((CASES, n_estimates)) * 2
    target = rng.standard_normal((CASES, n_targets)) * 2
    return quantiles, rng.random((CASES, n_estimates)), target


def loop_loss(quantiles, fractions, target, kappa):
    rows = []
    for n in range(len(quantiles)):
        total = 0.0
        for i in range(quantiles.shape[1]):
            for j in range(target.shape[1]):
                u = target[n, j].detach() - quantiles[n, i]
                weight = abs(fractions[n, i] - (1.0 if u < 0 else 0.0))
                if kappa == 0.0:
                    size = abs(u)
                elif abs(u) <= kappa:
                    size = 0.5 * u**2 / kappa
                else:
                    size = abs(u) - 0.5 * kappa
                total = total + weight * size / target.shape[1]
        rows.append(total)
    return torch.stack(rows)


# --- against rlax --------------------------------------------------------------------------------


def rlax_loss(quantiles, fractions, target, *, kappa):
    """rlax does not divide by κ, nor stop the gradient at the target."""
    import jax
    import rlax

    target = jax.lax.stop_gradient(target)
    found = rlax.quantile_regression_loss(quantiles, fractions, target, kappa)
    return found.reshape(1) / (kappa or 1.0)


def rlax_q_learning(return_, next_discount, quantiles, next_quantiles, selector, action):
    import jax.numpy as jnp
    import rlax

    n = quantiles.shape[-1]
    fractions = (jnp.arange(n) + 0.5) / n
    return rlax.quantile_q_learning(
        quantiles.T, fractions, action, return_, next_discount, selector.T, next_quantiles.T, 1.0
    ).reshape(1)


def our_loss(return_, next_discount, quantiles, next_quantiles, selector, action):
    """The QR-DQN loss from the pieces, [N, 1]; quantiles are [N, A, M]."""
    fractions = quantile_midpoints(quantiles.shape[-1], quantiles.dtype)
    next_quantiles = at_action(next_quantiles, greedy_action(selector.mean(-1)))
    target = quantile_target(return_, next_discount, next_quantiles)
    return quantile_huber_loss(at_action(quantiles, action), fractions, target).unsqueeze(-1)


def transitions(seed, n_quantiles, n_actions=4):
    rng = np.random.default_rng(seed)
    return_ = rng.standard_normal(CASES) * 3
    next_discount = np.where(rng.random(CASES) < 0.2, 0.0, 0.99 ** rng.integers(1, 6, CASES))
    quantiles = rng.standard_normal((3, CASES, n_actions, n_quantiles)) * 2
    return return_, next_discount, *quantiles, rng.integers(0, n_actions, CASES)


@pytest.mark.parametrize("kappa", KAPPAS)
@pytest.mark.parametrize(("n_estimates", "n_targets"), [(1, 1), (5, 13)])
def test_losses_are_those_of_rlax(n_estimates, n_targets, kappa, apart):
    def ours(quantiles, fractions, target):
        return quantile_huber_loss(quantiles, fractions, target, kappa).unsqueeze(-1)

    case = random_case(n_targets, n_estimates, n_targets)
    assert_agrees_with_rlax(apart, ours, partial(rlax_loss, kappa=kappa), case)


@pytest.mark.parametrize("n_quantiles", [1, 8])
def test_q_learning_with_quantiles_is_that_of_rlax(n_quantiles, apart):
    assert_agrees_with_rlax(apart, our_loss, rlax_q_learning, transitions(0, n_quantiles))


# --- against loops -------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", KAPPAS)
def test_losses_equal_the_double_sum(kappa):
    case = [torch.tensor(x[:20], requires_grad=True) for x in random_case(3, 3, 4)]
    assert_same(quantile_huber_loss(*case, kappa), loop_loss(*case, kappa), case)


# --- properties ----------------------------------------------------------------------------------


def test_midpoints():
    assert quantile_midpoints(4).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert quantile_midpoints(200, torch.float64).mean().item() == pytest.approx(0.5, rel=1e-15)


def test_targets_by_hand():
    next_quantiles = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    found = quantile_target(torch.tensor([10.0, 10.0]), torch.tensor([0.5, 0.0]), next_quantiles)
    assert found.tolist() == [[10.5, 11.0, 12.0], [10.0, 10.0, 10.0]]


def test_an_estimate_below_its_target_costs_its_fraction_and_one_above_the_rest():
    quantiles, target = torch.tensor([[0.0], [0.0]]), torch.tensor([[3.0], [-3.0]])
    loss = quantile_huber_loss(quantiles, torch.tensor([0.9]), target)
    assert loss.tolist() == pytest.approx([0.9 * 2.5, 0.1 * 2.5])
    loss = quantile_huber_loss(quantiles, torch.tensor([0.9]), target, kappa=0.0)
    assert loss.tolist() == pytest.approx([0.9 * 3.0, 0.1 * 3.0])


def test_the_sum_is_over_estimates_and_the_mean_over_targets():
    quantiles, fractions, target = (torch.tensor(x) for x in random_case(4, 5, 7))
    loss = quantile_huber_loss(quantiles, fractions, target)
    repeated = quantile_huber_loss(quantiles, fractions, target.repeat(1, 3))
    torch.testing.assert_close(repeated, loss, rtol=1e-12, atol=1e-12)
    repeated = quantile_huber_loss(quantiles.repeat(1, 3), fractions.repeat(1, 3), target)
    torch.testing.assert_close(repeated, 3.0 * loss, rtol=1e-12, atol=1e-12)


def test_neither_order_matters():
    quantiles, fractions, target = (torch.tensor(x) for x in random_case(5, 5, 7))
    i, j = torch.randperm(5), torch.randperm(7)
    found = quantile_huber_loss(quantiles[:, i], fractions[:, i], target[:, j])
    expected = quantile_huber_loss(quantiles, fractions, target)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_small_kappa_tends_to_plain_quantile_regression():
    case = [torch.tensor(x) for x in random_case(6, 5, 7)]
    plain = quantile_huber_loss(*case, 0.0)
    torch.testing.assert_close(quantile_huber_loss(*case, 1e-9), plain, rtol=1e-6, atol=1e-6)


def test_one_median_with_large_kappa_is_half_of_squared_regression():
    quantiles, _fractions, target = (torch.tensor(x) for x in random_case(7, 1, 9))
    found = quantile_huber_loss(quantiles, torch.tensor([0.5]).double(), target, 1e3) * 1e3
    expected = 0.25 * (target - quantiles).square().mean(-1)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_the_minimum_is_at_the_quantiles_of_the_targets():
    """At τ = (2i + 1) / 2M every quantile of M samples is one of them."""
    target = torch.tensor([[4.0, -1.0, 0.5, 9.0, 2.0]], dtype=torch.float64)
    best = target.sort(-1).values
    fractions = quantile_midpoints(5, torch.float64)
    lowest = quantile_huber_loss(best, fractions, target, 0.0)
    for step in torch.randn(200, 5, dtype=torch.float64):
        assert quantile_huber_loss(best + step, fractions, target, 0.0) > lowest


def test_no_gradient_reaches_the_target():
    quantiles, target = random_tensors((4, 5), (4, 7))
    loss = quantile_huber_loss(quantiles, quantile_midpoints(5, torch.float64), target).sum()
    by_quantiles, by_target = torch.autograd.grad(loss, [quantiles, target], allow_unused=True)
    assert by_target is None
    assert by_quantiles.all()


def test_fractions_may_be_shared_and_leading_dimensions_any():
    quantiles, target = random_tensors((2, 3, 5), (2, 3, 7))
    fractions = quantile_midpoints(5, torch.float64)
    found = quantile_huber_loss(quantiles, fractions, target)
    assert found.shape == (2, 3)
    own = fractions.expand(6, 5)
    flat = quantile_huber_loss(quantiles.reshape(6, 5), own, target.reshape(6, 7))
    assert torch.equal(found.reshape(6), flat)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_graph_gives_the_same(dtype, kappa):
    return_, next_discount, quantiles, next_quantiles, _selector, action = transitions(2, 5)
    floats = [
        torch.tensor(x[:6], dtype=dtype, requires_grad=True)
        for x in (return_, next_discount, quantiles, next_quantiles)
    ]

    def loss(return_, next_discount, quantiles, next_quantiles, action):
        fractions = quantile_midpoints(5, dtype)
        next_quantiles = at_action(next_quantiles, greedy_action(next_quantiles.mean(-1)))
        target = quantile_target(return_, next_discount, next_quantiles)
        found = quantile_huber_loss(at_action(quantiles, action), fractions, target, kappa)
        return torch.cat([found, target.sum(-1)])

    assert_compiles(loss, *floats, torch.tensor(action[:6]))
