"""Pieces of Q-learning: by hand, against loops and against rlax."""

import numpy as np
import pytest
import torch
from ops_checks import (
    assert_agrees_with_rlax,
    assert_compiles,
    assert_same,
    random_tensors,
)

from rlpyt.ops.q_learning import (
    at_action,
    greedy_action,
    huber,
    sequence_priority,
)

CASES, ACTIONS = 1000, 6


def masks(cases):
    """Random action masks that always allow one, [N, A]."""
    rng = np.random.default_rng(1)
    mask = rng.random((cases, ACTIONS)) < 0.5
    mask[np.arange(cases), rng.integers(0, ACTIONS, cases)] = True
    return torch.tensor(mask)


# --- against rlax --------------------------------------------------------------------------------


def rlax_huber(x):
    import rlax

    return rlax.huber_loss(x, 1.7)


def test_huber_is_that_of_rlax(apart):
    x = np.random.default_rng(4).standard_normal(CASES) * 3
    assert_agrees_with_rlax(apart, lambda x: huber(x, 1.7), rlax_huber, [x])


# --- against loops -------------------------------------------------------------------------------


def test_the_greedy_action_is_that_of_a_loop_over_what_is_allowed():
    (q,) = random_tensors((60, ACTIONS))
    mask = masks(60)
    allowed = [[a for a in range(ACTIONS) if mask[n, a]] for n in range(60)]
    best = [max(each, key=lambda a, n=n: q[n, a].item()) for n, each in enumerate(allowed)]
    assert greedy_action(q, mask).tolist() == best
    assert greedy_action(q, mask.to(torch.int8)).tolist() == best
    assert torch.equal(greedy_action(q), q.argmax(-1))
    assert torch.equal(greedy_action(q, torch.ones_like(q)), q.argmax(-1))


@pytest.mark.parametrize("worth", [1e30, -1e30, float("inf"), float("nan")])
def test_what_forbidden_actions_are_worth_does_not_matter(worth):
    (q,) = random_tensors((60, ACTIONS))
    mask = masks(60)
    found = greedy_action(torch.where(mask, q, worth), mask)
    assert torch.equal(found, greedy_action(q, mask))


@pytest.mark.parametrize("leading", [(), (5,), (3, 4)])
@pytest.mark.parametrize("trailing", [(), (7,)])
def test_at_action_takes_the_entry_of_the_action(leading, trailing):
    (values,) = random_tensors((*leading, ACTIONS, *trailing))
    action = torch.randint(ACTIONS, leading)
    rows = [values[(*index, int(action[index]))] for index in np.ndindex(*leading)]
    reference = torch.stack(rows).reshape((*leading, *trailing))
    assert_same(at_action(values, action), reference, [values])


@pytest.mark.parametrize("delta", [0.1, 1.0, 4.0])
def test_huber_equals_its_definition(delta):
    (x,) = random_tensors((50,), scale=3.0)
    rows = [0.5 * e**2 if abs(e) <= delta else delta * (abs(e) - 0.5 * delta) for e in x]
    assert_same(huber(x, delta), torch.stack(rows), [x])


@pytest.mark.parametrize("masked", [False, True])
def test_priorities_equal_a_loop(masked):
    (error,) = random_tensors((9, 5))
    valid = torch.rand(9, 5) < 0.6 if masked else None
    expected = []
    for b in range(5):
        sizes = [abs(error[t, b].item()) for t in range(9) if valid is None or valid[t, b]]
        expected.append(0.8 * max(sizes) + 0.2 * sum(sizes) / len(sizes))
    found = sequence_priority(error, 0.8, valid)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    assert not found.requires_grad


# --- properties ----------------------------------------------------------------------------------


def test_equal_values_choose_the_first_action():
    assert greedy_action(torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])).tolist() == [0, 1]


def test_the_slope_of_huber_is_the_clipped_error():
    (x,) = random_tensors((200,), scale=3.0)
    (slope,) = torch.autograd.grad(huber(x, 1.5).sum(), x)
    torch.testing.assert_close(slope, x.detach().clamp(-1.5, 1.5), rtol=1e-12, atol=1e-12)


def test_huber_without_a_limit_is_half_the_square():
    (x,) = random_tensors((50,), scale=3.0)
    assert_same(huber(x, None), huber(x, 1e6), [x])
    assert_same(huber(x, None), 0.5 * x**2, [x])


def test_priorities_lie_between_mean_and_maximum():
    (error,) = random_tensors((9, 50))
    size = error.detach().abs()
    assert torch.equal(sequence_priority(error, 1.0), size.amax(0))
    assert torch.equal(sequence_priority(error, 0.0), size.mean(0))
    found = sequence_priority(error)
    assert (found > size.mean(0)).all()
    assert (found < size.amax(0)).all()


def test_priorities_ignore_what_is_not_valid():
    (error,) = random_tensors((9, 3))
    valid = torch.ones(9, 3, dtype=torch.bool)
    valid[4:, 0] = False
    valid[:, 1] = False
    spoilt = torch.where(valid, error, float("nan"))
    found = sequence_priority(spoilt, 0.9, valid)
    assert found[0] == sequence_priority(error[:4, :1], 0.9)
    assert found[1] == 0.0
    torch.testing.assert_close(found[2:], sequence_priority(error[:, 2:], 0.9))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_graph_gives_the_same(dtype):
    q, next_q = random_tensors((8, ACTIONS), (8, ACTIONS), dtype=dtype)
    action, mask, valid = torch.randint(ACTIONS, (8,)), masks(8), torch.rand(8) < 0.7

    def loss(q, next_q, action, mask, valid):
        target = at_action(next_q, greedy_action(next_q, mask))
        error = target - at_action(q, action)
        priority = sequence_priority(error.reshape(4, 2), 0.9, valid.reshape(4, 2))
        return torch.cat([huber(error), huber(error, None), priority])

    assert_compiles(loss, q, next_q, action, mask, valid)
