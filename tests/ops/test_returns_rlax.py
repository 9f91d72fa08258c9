"""Returns and advantages against rlax: values and gradients of 1000 random cases in float64."""

from functools import partial

import numpy as np
import pytest
import torch

from rlpyt.ops.returns import generalized_advantage_estimation, next_values

jax = pytest.importorskip("jax", reason='the oracle is not here: pip install "rlpyt[oracles]"')
rlax = pytest.importorskip("rlax", reason='the oracle is not here: pip install "rlpyt[oracles]"')
jnp = jax.numpy

DISCOUNT = 0.97
CASES = 200  # for each of five horizons
HORIZONS = (1, 2, 5, 16, 37)
TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}


def random_case(T, ends=0.15):
    """Arrays [T, CASES]: reward, value, bootstrap value, terminated, truncated, weight."""
    rng = np.random.default_rng(T)
    reward, value, bootstrap, weight = rng.standard_normal((4, T, CASES))
    terminated, truncated = rng.random((2, T, CASES)) < ends
    return reward, value, bootstrap, terminated, truncated, weight


def true_next_values(value, bootstrap, terminated, truncated):
    """What stands for V(s_{t+1}), written for one sequence [T] in jax."""
    following = jnp.concatenate([value[1:], bootstrap[-1:]])
    return jnp.where(terminated, 0.0, jnp.where(truncated, bootstrap, following))


def rlax_values_and_gradients(function, case):
    """``function`` of one sequence, over all cases: its values, and the gradients of their weighted
    sum by reward, value and bootstrap value.
    """
    reward, value, bootstrap, terminated, truncated, weight = case

    def total(reward, value, bootstrap):
        over_cases = jax.vmap(function, in_axes=1, out_axes=1)
        found = over_cases(reward, value, bootstrap, terminated, truncated)
        return (found * weight).sum(), found

    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))
        (_total, values), gradients = run(reward, value, bootstrap)
        assert values.dtype == np.float64
        return np.asarray(values), [np.asarray(gradient) for gradient in gradients]


def our_values_and_gradients(function, case):
    reward, value, bootstrap = (torch.tensor(x, requires_grad=True) for x in case[:3])
    terminated, truncated, weight = (torch.tensor(x) for x in case[3:])
    values = function(reward, value, bootstrap, terminated, truncated)
    gradients = torch.autograd.grad(
        (values * weight).sum(), (reward, value, bootstrap), allow_unused=True
    )
    zeros = torch.zeros_like(weight)
    return values.detach().numpy(), [(zeros if g is None else g).numpy() for g in gradients]


@pytest.fixture
def assert_agree(apart):
    def check(ours, theirs, case):
        values, gradients = our_values_and_gradients(ours, case)
        expected_values, expected_gradients = apart(rlax_values_and_gradients, theirs, case)
        np.testing.assert_allclose(values, expected_values, **TOLERANCE)
        for found, expected in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(found, expected, **TOLERANCE)

    return check


def our_advantage(reward, value, bootstrap, terminated, truncated, *, gae_lambda):
    following = next_values(value, bootstrap, terminated, truncated)
    done = terminated | truncated
    return generalized_advantage_estimation(reward, value, following, done, DISCOUNT, gae_lambda)


def our_lambda_return(reward, value, bootstrap, terminated, truncated, *, gae_lambda):
    advantage = our_advantage(
        reward, value, bootstrap, terminated, truncated, gae_lambda=gae_lambda
    )
    return advantage + value


our_return = partial(our_lambda_return, gae_lambda=1.0)


def rlax_advantage(reward, value, bootstrap, terminated, truncated, *, gae_lambda):
    """rlax knows terminations (discount 0); a time limit is its reward plus γ V of the final state,
    then a termination.
    """
    limit = truncated & ~terminated
    reward = reward + DISCOUNT * jnp.where(limit, bootstrap, 0.0)
    discounts = jnp.where(terminated | truncated, 0.0, DISCOUNT)
    values = jnp.concatenate([value, bootstrap[-1:]])
    return rlax.truncated_generalized_advantage_estimation(reward, discounts, gae_lambda, values)


def rlax_lambda_return(reward, value, bootstrap, terminated, truncated, *, gae_lambda):
    """λ-returns take V of each true next state, and λ = 0 where an episode ends."""
    following = true_next_values(value, bootstrap, terminated, truncated)
    lambdas = jnp.where(terminated | truncated, 0.0, gae_lambda)
    return rlax.lambda_returns(reward, jnp.full(len(reward), DISCOUNT), following, lambdas)


def rlax_discounted_return(reward, value, bootstrap, terminated, truncated):
    return rlax.discounted_returns(reward, jnp.full(len(reward), DISCOUNT), bootstrap[-1])


def rlax_n_step_return(reward, value, bootstrap, terminated, truncated):
    """With n = T an n-step return runs to the end of the sequence and bootstraps there."""
    discounts = jnp.where(terminated, 0.0, DISCOUNT)
    following = jnp.concatenate([value[1:], bootstrap[-1:]])
    return rlax.n_step_bootstrapped_returns(reward, discounts, following, len(reward))


@pytest.mark.parametrize("T", HORIZONS)
def test_advantages_equal_truncated_gae(T, assert_agree):
    options = {"gae_lambda": 0.93}
    assert_agree(
        partial(our_advantage, **options), partial(rlax_advantage, **options), random_case(T)
    )


@pytest.mark.parametrize("T", HORIZONS)
@pytest.mark.parametrize("gae_lambda", [0.0, 0.8, 1.0])
def test_advantages_plus_values_are_lambda_returns(T, gae_lambda, assert_agree):
    ours = partial(our_lambda_return, gae_lambda=gae_lambda)
    assert_agree(ours, partial(rlax_lambda_return, gae_lambda=gae_lambda), random_case(T))


@pytest.mark.parametrize("T", HORIZONS)
def test_returns_without_ends_are_discounted_returns(T, assert_agree):
    assert_agree(our_return, rlax_discounted_return, random_case(T, ends=0.0))


@pytest.mark.parametrize("T", [1, 2, 5])
def test_returns_equal_n_step_returns_over_the_whole_sequence(T, assert_agree):
    reward, value, bootstrap, terminated, _truncated, weight = random_case(T)
    never = np.zeros_like(terminated)
    case = (reward, value, bootstrap, terminated, never, weight)
    assert_agree(our_return, rlax_n_step_return, case)
