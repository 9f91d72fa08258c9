"""Returns and advantages against plain loops over time, values and gradients, in float64."""

import pytest
import torch

from rlpyt.ops.returns import (
    generalized_advantage_estimation,
    next_values,
    reverse_linear_recurrence,
)

HORIZONS = (1, 2, 3, 7, 8, 13, 64)
DISCOUNT, LAMBDA = 0.97, 0.9


def loop_next_values(value, bootstrap, terminated, truncated):
    T, B = value.shape
    rows = []
    for t in range(T):
        row = []
        for b in range(B):
            if terminated[t, b]:
                row.append(torch.zeros((), dtype=value.dtype))
            elif truncated[t, b] or t == T - 1:
                row.append(bootstrap[t, b])
            else:
                row.append(value[t + 1, b])
        rows.append(torch.stack(row))
    return torch.stack(rows)


def loop_advantage(reward, value, following, done, discount, gae_lambda):
    rows, carry = [], torch.zeros_like(reward[0])
    for t in reversed(range(len(reward))):
        delta = reward[t] + discount * following[t] - value[t]
        carry = delta + discount * gae_lambda * (1.0 - done[t].double()) * carry
        rows.append(carry)
    return torch.stack(rows[::-1])


def random_case(T, B=9, seed=0):
    rng = torch.Generator().manual_seed(seed)
    reward, value, bootstrap = (
        torch.randn(T, B, generator=rng, dtype=torch.float64).requires_grad_() for _ in range(3)
    )
    terminated, truncated = (torch.rand(T, B, generator=rng) < 0.2 for _ in range(2))
    weight = torch.randn(T, B, generator=rng, dtype=torch.float64)
    return reward, value, bootstrap, terminated, truncated, weight


def assert_same(ours, reference, inputs, weight):
    """Equal values, and equal gradients of one weighted sum of them."""
    torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)
    found = torch.autograd.grad((ours * weight).sum(), inputs, allow_unused=True)
    expected = torch.autograd.grad((reference * weight).sum(), inputs, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        zero = torch.zeros_like(weight)
        torch.testing.assert_close(
            zero if one is None else one, zero if other is None else other, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("T", HORIZONS)
def test_next_values_equal_a_loop(T):
    _reward, value, bootstrap, terminated, truncated, weight = random_case(T)
    ours = next_values(value, bootstrap, terminated, truncated)
    reference = loop_next_values(value, bootstrap, terminated, truncated)
    assert_same(ours, reference, [value, bootstrap], weight)


@pytest.mark.parametrize("T", HORIZONS)
def test_advantages_equal_a_loop(T):
    reward, value, bootstrap, terminated, truncated, weight = random_case(T, seed=T)
    done = terminated | truncated
    following = next_values(value, bootstrap, terminated, truncated)
    ours = generalized_advantage_estimation(reward, value, following, done, DISCOUNT, LAMBDA)
    following = loop_next_values(value, bootstrap, terminated, truncated)
    reference = loop_advantage(reward, value, following, done, DISCOUNT, LAMBDA)
    assert_same(ours, reference, [reward, value, bootstrap], weight)


@pytest.mark.parametrize("T", HORIZONS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_the_recurrence_equals_a_loop_for_any_shape(T, shape):
    x = torch.randn(T, *shape, dtype=torch.float64, requires_grad=True)
    decay = (torch.rand(T, *shape, dtype=torch.float64) * 2 - 1).requires_grad_()
    rows, carry = [], torch.zeros(shape, dtype=torch.float64)
    for t in reversed(range(T)):
        carry = x[t] + decay[t] * carry
        rows.append(carry)
    weight = torch.randn(T, *shape, dtype=torch.float64)
    assert_same(reverse_linear_recurrence(x, decay), torch.stack(rows[::-1]), [x, decay], weight)


def test_the_inputs_are_left_as_they_were():
    reward, value, bootstrap, terminated, truncated, _weight = random_case(5)
    tensors = [reward, value, bootstrap, terminated, truncated]
    before = [tensor.detach().clone() for tensor in tensors]
    done = terminated | truncated
    kept = done.clone()
    following = next_values(value, bootstrap, terminated, truncated)
    generalized_advantage_estimation(reward, value, following, done, DISCOUNT, LAMBDA)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    assert torch.equal(done, kept)


def test_lambda_one_gives_returns_minus_values_and_lambda_zero_one_step_errors():
    reward, value, bootstrap, terminated, truncated, _weight = random_case(11)
    done = terminated | truncated
    following = next_values(value, bootstrap, terminated, truncated)

    def advantage(gae_lambda):
        return generalized_advantage_estimation(
            reward, value, following, done, DISCOUNT, gae_lambda
        )

    reference = loop_advantage(reward, value, following, done, DISCOUNT, 1.0)
    torch.testing.assert_close(advantage(1.0), reference, rtol=1e-12, atol=1e-12)
    error = reward + DISCOUNT * following - value
    torch.testing.assert_close(advantage(0.0), error, rtol=1e-12, atol=1e-12)


def test_a_time_limit_bootstraps_and_a_termination_does_not():
    """By hand: rewards 1, values 10, γ = ½, λ = 1; the middle of three steps ends an episode."""
    reward, value = torch.ones(3, 2), torch.full((3, 2), 10.0)
    bootstrap = torch.tensor([[0.0, 0.0], [0.0, 8.0], [6.0, 6.0]])
    terminated = torch.tensor([[False, False], [True, False], [False, False]])
    truncated = torch.tensor([[False, False], [False, True], [False, False]])
    following = next_values(value, bootstrap, terminated, truncated)
    assert following.tolist() == [[10.0, 10.0], [0.0, 8.0], [6.0, 6.0]]
    done = terminated | truncated
    advantage = generalized_advantage_estimation(reward, value, following, done, 0.5, 1.0)
    assert advantage.tolist() == [[-8.5, -6.5], [-9.0, -5.0], [-6.0, -6.0]]


def test_both_flags_at_once_count_as_a_termination():
    value, bootstrap = torch.full((2, 1), 3.0), torch.full((2, 1), 5.0)
    both = torch.tensor([[True], [True]])
    assert next_values(value, bootstrap, both, both).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_graph_gives_the_same(dtype):
    T, B = 6, 3
    value, reward, bootstrap = (torch.randn(T, B, dtype=dtype) for _ in range(3))
    terminated, truncated = (torch.rand(T, B) < 0.3 for _ in range(2))

    def advantage(reward, value, bootstrap, terminated, truncated):
        following = next_values(value, bootstrap, terminated, truncated)
        done = terminated | truncated
        gae = generalized_advantage_estimation(reward, value, following, done, DISCOUNT, LAMBDA)
        return gae, following

    inputs = (reward, value, bootstrap, terminated, truncated)
    compiled = torch.compile(advantage, fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(*inputs), advantage(*inputs), strict=True):
        torch.testing.assert_close(found, expected)
        assert found.dtype == dtype
