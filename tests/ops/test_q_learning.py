"""Q-learning targets, errors and priorities: by hand, against loops and against rlax."""

import numpy as np
import pytest
import torch
from ops_checks import (
    assert_agrees_with_rlax,
    assert_compiles,
    assert_same,
    gradients,
    random_tensors,
)

from rlpyt.ops.q_learning import (
    at_action,
    double_q_learning_target,
    greedy_action,
    huber,
    q_learning_target,
    sequence_priority,
    td_error,
)

CASES, ACTIONS = 1000, 6


def random_case(seed=0, cases=CASES, ends=0.2):
    """Arrays: return [N], next discount [N], q, next q, next selector [N, A], action [N]."""
    rng = np.random.default_rng(seed)
    return_ = rng.standard_normal(cases) * 3
    next_discount = np.where(rng.random(cases) < ends, 0.0, 0.99 ** rng.integers(1, 6, cases))
    q, next_q, selector = rng.standard_normal((3, cases, ACTIONS)) * 5
    return return_, next_discount, q, next_q, selector, rng.integers(0, ACTIONS, cases)


def tensors(arrays):
    return [torch.tensor(each, requires_grad=each.dtype == np.float64) for each in arrays]


def masks(seed=1, cases=CASES):
    """Random action masks that always allow one, [N, A]."""
    rng = np.random.default_rng(seed)
    mask = rng.random((cases, ACTIONS)) < 0.5
    mask[np.arange(cases), rng.integers(0, ACTIONS, cases)] = True
    return torch.tensor(mask)


def loop_target(return_, next_discount, next_q, selector, mask=None):
    rows = []
    for n in range(len(return_)):
        best = None
        for a in range(next_q.shape[1]):
            if mask is not None and not mask[n, a]:
                continue
            if best is None or selector[n, a] > selector[n, best]:
                best = a
        rows.append(return_[n] + next_discount[n] * next_q[n, best])
    return torch.stack(rows)


# --- against rlax --------------------------------------------------------------------------------


def rlax_target(return_, next_discount, q, next_q, selector, action):
    import rlax

    return rlax.q_learning(
        q * 0.0, action, return_, next_discount, next_q, stop_target_gradients=False
    )


def rlax_double_target(return_, next_discount, q, next_q, selector, action):
    import rlax

    return rlax.double_q_learning(
        q * 0.0, action, return_, next_discount, next_q, selector, stop_target_gradients=False
    )


def rlax_error(return_, next_discount, q, next_q, selector, action):
    import rlax

    return rlax.q_learning(q, action, return_, next_discount, next_q)


def rlax_double_error(return_, next_discount, q, next_q, selector, action):
    import rlax

    return rlax.double_q_learning(q, action, return_, next_discount, next_q, selector)


def rlax_huber(x):
    import rlax

    return rlax.huber_loss(x, 1.7)


def test_targets_are_those_of_rlax(apart):
    def ours(return_, next_discount, q, next_q, selector, action):
        return q_learning_target(return_, next_discount, next_q)

    assert_agrees_with_rlax(apart, ours, rlax_target, random_case())


def test_double_targets_are_those_of_rlax(apart):
    def ours(return_, next_discount, q, next_q, selector, action):
        return double_q_learning_target(return_, next_discount, next_q, selector)

    assert_agrees_with_rlax(apart, ours, rlax_double_target, random_case(1))


def test_errors_are_those_of_rlax(apart):
    def ours(return_, next_discount, q, next_q, selector, action):
        return td_error(q, action, q_learning_target(return_, next_discount, next_q))

    assert_agrees_with_rlax(apart, ours, rlax_error, random_case(2))


def test_double_errors_are_those_of_rlax(apart):
    def ours(return_, next_discount, q, next_q, selector, action):
        target = double_q_learning_target(return_, next_discount, next_q, selector)
        return td_error(q, action, target)

    assert_agrees_with_rlax(apart, ours, rlax_double_error, random_case(3))


def test_huber_is_that_of_rlax(apart):
    x = np.random.default_rng(4).standard_normal(CASES) * 3
    assert_agrees_with_rlax(apart, lambda x: huber(x, 1.7), rlax_huber, [x])


# --- against loops -------------------------------------------------------------------------------


def test_targets_equal_a_loop():
    return_, next_discount, _q, next_q, selector, _action = case = tensors(random_case(5, cases=60))
    ours = q_learning_target(return_, next_discount, next_q)
    assert_same(ours, loop_target(return_, next_discount, next_q, next_q), case)
    ours = double_q_learning_target(return_, next_discount, next_q, selector)
    assert_same(ours, loop_target(return_, next_discount, next_q, selector), case)


def test_masked_targets_equal_a_loop():
    return_, next_discount, _q, next_q, selector, _action = case = tensors(random_case(6, cases=60))
    mask = masks(cases=60)
    ours = q_learning_target(return_, next_discount, next_q, mask)
    assert_same(ours, loop_target(return_, next_discount, next_q, next_q, mask), case)
    ours = double_q_learning_target(return_, next_discount, next_q, selector, mask)
    assert_same(ours, loop_target(return_, next_discount, next_q, selector, mask), case)


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


def test_by_hand():
    next_q = torch.tensor([[1.0, 3.0], [5.0, 2.0], [4.0, 6.0]])
    online = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    return_, next_discount = torch.tensor([10.0, 20.0, 30.0]), torch.tensor([0.5, 0.5, 0.0])
    assert q_learning_target(return_, next_discount, next_q).tolist() == [11.5, 22.5, 30.0]
    double = double_q_learning_target(return_, next_discount, next_q, online)
    assert double.tolist() == [10.5, 21.0, 30.0]
    error = td_error(next_q, torch.tensor([1, 0, 1]), double)
    assert error.tolist() == [7.5, 16.0, 24.0]  # target minus estimate


def test_a_double_target_that_selects_by_its_own_values_is_a_plain_one():
    return_, next_discount, _q, next_q, _selector, _action = tensors(random_case(8))
    double = double_q_learning_target(return_, next_discount, next_q, next_q)
    assert torch.equal(double, q_learning_target(return_, next_discount, next_q))


def test_a_double_target_is_never_above_a_plain_one():
    return_, next_discount, _q, next_q, selector, _action = tensors(random_case(9))
    double = double_q_learning_target(return_, next_discount, next_q, selector)
    plain = q_learning_target(return_, next_discount, next_q)
    assert (double <= plain).all()
    assert (double < plain).any()


def test_only_the_order_of_the_selector_counts():
    return_, next_discount, _q, next_q, selector, _action = tensors(random_case(10))
    plain = double_q_learning_target(return_, next_discount, next_q, selector)
    other = double_q_learning_target(return_, next_discount, next_q, selector * 7.0 - 100.0)
    assert torch.equal(plain, other)


def test_raising_all_next_values_raises_the_target_by_the_discounted_amount():
    return_, next_discount, _q, next_q, _selector, _action = tensors(random_case(11))
    raised = q_learning_target(return_, next_discount, next_q + 2.5)
    plain = q_learning_target(return_, next_discount, next_q)
    torch.testing.assert_close(raised, plain + 2.5 * next_discount, rtol=1e-12, atol=1e-12)


def test_the_order_of_actions_does_not_matter():
    return_, next_discount, _q, next_q, selector, _action = tensors(random_case(12))
    order = torch.randperm(ACTIONS)
    mask = masks()
    plain = double_q_learning_target(return_, next_discount, next_q, selector, mask)
    other = double_q_learning_target(
        return_, next_discount, next_q[:, order], selector[:, order], mask[:, order]
    )
    assert torch.equal(plain, other)


def test_what_forbidden_actions_are_worth_does_not_matter():
    return_, next_discount, _q, next_q, selector, _action = tensors(random_case(13))
    mask = masks()
    plain = double_q_learning_target(return_, next_discount, next_q, selector, mask)
    for other in (1e30, -1e30, float("inf"), float("nan")):
        found = double_q_learning_target(
            return_,
            next_discount,
            torch.where(mask, next_q, other),
            torch.where(mask, selector, other),
            mask,
        )
        assert torch.equal(plain, found)


def test_a_mask_of_all_actions_is_no_mask():
    _return, _discount, _q, next_q, _selector, _action = tensors(random_case(14))
    assert torch.equal(greedy_action(next_q, torch.ones_like(next_q)), greedy_action(next_q))


def test_a_terminal_state_that_allows_no_action_adds_nothing():
    next_q = torch.randn(3, ACTIONS)
    return_, none = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3, ACTIONS, dtype=torch.bool)
    target = q_learning_target(return_, torch.zeros(3), next_q, none)
    assert torch.equal(target, return_)


def test_equal_values_choose_the_first_action():
    assert greedy_action(torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])).tolist() == [0, 1]


def test_no_gradient_reaches_the_target_or_the_other_actions():
    return_, next_discount, q, next_q, _selector, action = case = tensors(random_case(15, cases=7))
    error = td_error(q, action, q_learning_target(return_, next_discount, next_q))
    by_return, by_discount, by_q, by_next_q, _ = gradients(error, case)
    assert not by_return.any()
    assert not by_discount.any()
    assert not by_next_q.any()
    assert torch.equal(by_q != 0, torch.nn.functional.one_hot(action, ACTIONS).bool())


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
    arrays = tensors(random_case(16, cases=8))
    action, mask, valid = arrays[-1], masks(cases=8), torch.rand(8) < 0.7
    floats = [each.detach().to(dtype).requires_grad_() for each in arrays[:-1]]

    def loss(return_, next_discount, q, next_q, selector, action, mask, valid):
        plain = q_learning_target(return_, next_discount, next_q, mask)
        double = double_q_learning_target(return_, next_discount, next_q, selector, mask)
        error = td_error(q, action, plain + double)
        priority = sequence_priority(error.reshape(4, 2), 0.9, valid.reshape(4, 2))
        return torch.cat([huber(error), huber(error, None), priority])

    assert_compiles(loss, *floats, action, mask, valid)
