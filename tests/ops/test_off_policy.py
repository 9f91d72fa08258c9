"""Multi-step off-policy returns: by hand, against loops over sub-sequences and against rlax."""

from functools import partial

import numpy as np
import pytest
import torch
from ops_checks import assert_agrees_with_rlax, assert_compiles, assert_same

from rlpyt.ops.off_policy import (
    n_step_return,
    off_policy_return,
    q_lambda_return,
    retrace_return,
    vtrace,
)
from rlpyt.ops.returns import generalized_advantage_estimation, next_values

DISCOUNT, LAMBDA = 0.97, 0.85
CASES, ACTIONS = 200, 4
HORIZONS = (1, 9)


def random_case(T, B=CASES, ends=0.15):
    """Arrays [T, B]: reward, value, bootstrap value, ratio, terminated, truncated."""
    rng = np.random.default_rng(T)
    reward, value, bootstrap = rng.standard_normal((3, T, B)) * 2
    ratio = np.exp(rng.standard_normal((T, B)))
    terminated, truncated = rng.random((2, T, B)) < ends
    return reward, value, bootstrap, ratio, terminated, truncated


def tensors(arrays):
    return [torch.tensor(each, requires_grad=each.dtype == np.float64) for each in arrays]


def ended(value, bootstrap, terminated, truncated):
    return next_values(value, bootstrap, terminated, truncated), terminated | truncated


# --- against rlax --------------------------------------------------------------------------------
#
# rlax knows terminations only. A time limit is, for it, a reward of r + γ V(final observation) and
# a discount of 0.


def as_rlax_knows_it(reward, value, bootstrap, terminated, truncated):
    """Reward and discount with time limits folded in, and V(s_{t+1})."""
    import jax.numpy as jnp

    reward = reward + DISCOUNT * jnp.where(truncated & ~terminated, bootstrap, 0.0)
    discount = jnp.where(terminated | truncated, 0.0, DISCOUNT)
    return reward, discount, jnp.concatenate([value[1:], bootstrap[-1:]])


def rlax_n_step(reward, value, bootstrap, ratio, terminated, truncated, *, n_step):
    import rlax

    reward, discount, following = as_rlax_knows_it(reward, value, bootstrap, terminated, truncated)
    return rlax.n_step_bootstrapped_returns(reward, discount, following, n_step)


def rlax_q_lambda(reward, q, final_q, greedy, terminated, truncated, *, watkins):
    """As the error of an estimate of 0, with max_a Q taken there."""
    import jax.numpy as jnp
    import rlax

    bootstrap = final_q.max(-1)
    reward, discount, _ = as_rlax_knows_it(reward, bootstrap, bootstrap, terminated, truncated)
    next_q = jnp.concatenate([q[1:], final_q[-1:]])
    lambdas = LAMBDA * jnp.concatenate([greedy[1:], greedy[-1:]]) if watkins else LAMBDA
    return rlax.q_lambda(
        jnp.zeros_like(q),
        jnp.zeros(len(reward), dtype=int),
        reward,
        discount,
        next_q,
        lambdas * jnp.ones(len(reward)),
        stop_target_gradients=False,
    )


def rlax_general(reward, value, bootstrap, ratio, q_value, terminated, truncated, *, clip):
    import jax.numpy as jnp
    import rlax

    reward, discount, following = as_rlax_knows_it(reward, value, bootstrap, terminated, truncated)
    trace = LAMBDA * jnp.minimum(1.0, ratio) if clip else ratio * 0.4
    return rlax.general_off_policy_returns_from_q_and_v(
        q_value[1:], following, reward, discount, trace[1:]
    )


def rlax_retrace(reward, q, last_q, logits, behaviour, action, last_action, terminated):
    """Retrace errors of whole action values and policies."""
    import jax
    import jax.numpy as jnp
    import rlax

    prob = jax.nn.softmax(logits)
    next_q = jnp.concatenate([q[1:], last_q[-1:]])
    next_prob = jnp.concatenate([prob[1:], prob[-1:]])
    next_action = jnp.concatenate([action[1:], last_action[-1:]])
    next_behaviour = jnp.concatenate([behaviour[1:], behaviour[-1:]])
    discount = jnp.where(terminated, 0.0, DISCOUNT)
    return rlax.retrace(
        *(q, next_q, action, next_action, reward, discount, next_prob, next_behaviour, LAMBDA),
        eps=0.0,
        stop_target_gradients=False,
    )


def rlax_vtrace(reward, value, bootstrap, ratio, terminated, truncated, *, part, lambda_, rho_clip):
    import rlax

    reward, discount, following = as_rlax_knows_it(reward, value, bootstrap, terminated, truncated)
    found = rlax.vtrace_td_error_and_advantage(
        *(value, following, reward, discount, ratio, lambda_, rho_clip, 1.3),
        stop_target_gradients=False,
    )
    return found.errors + value if part == "return_" else found.pg_advantage


@pytest.mark.parametrize(("T", "n_step"), [(1, 1), (9, 3), (5, 9)])
def test_n_step_returns_are_those_of_rlax(T, n_step, apart):
    def ours(reward, value, bootstrap, ratio, terminated, truncated):
        following, done = ended(value, bootstrap, terminated, truncated)
        return n_step_return(reward, following, done, DISCOUNT, n_step)

    theirs = partial(rlax_n_step, n_step=n_step)
    assert_agrees_with_rlax(apart, ours, theirs, random_case(T), axis=1)


@pytest.mark.parametrize("T", HORIZONS)
@pytest.mark.parametrize("watkins", [False, True], ids=["peng", "watkins"])
def test_q_lambda_returns_are_those_of_rlax(T, watkins, apart):
    rng = np.random.default_rng(T)
    q, final_q = rng.standard_normal((2, T, CASES, ACTIONS)) * 2
    greedy = rng.random((T, CASES)) < 0.7
    reward, *_, terminated, truncated = random_case(T)

    def ours(reward, q, final_q, greedy, terminated, truncated):
        following, done = ended(q.amax(-1), final_q.amax(-1), terminated, truncated)
        cut_at = greedy if watkins else None
        return q_lambda_return(reward, following, done, DISCOUNT, LAMBDA, cut_at)

    case = [reward, q, final_q, greedy, terminated, truncated]
    assert_agrees_with_rlax(apart, ours, partial(rlax_q_lambda, watkins=watkins), case, axis=1)


@pytest.mark.parametrize("T", HORIZONS)
@pytest.mark.parametrize("clip", [False, True], ids=["any trace", "retrace"])
def test_off_policy_returns_are_those_of_rlax(T, clip, apart):
    reward, value, bootstrap, ratio, terminated, truncated = random_case(T)
    q_value = np.random.default_rng(T + 100).standard_normal(reward.shape)

    def ours(reward, value, bootstrap, ratio, q_value, terminated, truncated):
        following, done = ended(value, bootstrap, terminated, truncated)
        if clip:
            return retrace_return(reward, q_value, following, ratio, done, DISCOUNT, LAMBDA)
        return off_policy_return(reward, q_value, following, ratio * 0.4, done, DISCOUNT)

    case = [reward, value, bootstrap, ratio, q_value, terminated, truncated]
    assert_agrees_with_rlax(apart, ours, partial(rlax_general, clip=clip), case, axis=1)


@pytest.mark.parametrize("T", HORIZONS)
def test_retrace_from_policies_is_that_of_rlax(T, apart):
    rng = np.random.default_rng(T)
    q, last_q, logits = rng.standard_normal((3, T, CASES, ACTIONS)) * 2
    behaviour = rng.uniform(0.1, 1.0, (T, CASES))
    action, last_action = rng.integers(0, ACTIONS, (2, T, CASES))
    reward, *_, terminated, _truncated = random_case(T)

    def ours(reward, q, last_q, logits, behaviour, action, last_action, terminated):
        prob = logits.softmax(-1)
        taken = action.unsqueeze(-1)
        q_value, ratio = q.gather(-1, taken)[..., 0], prob.gather(-1, taken)[..., 0] / behaviour
        value = (prob * q).sum(-1)
        last_value = (prob * last_q).sum(-1)
        following, done = ended(value, last_value, terminated, torch.zeros_like(terminated))
        target = retrace_return(reward, q_value, following, ratio, done, DISCOUNT, LAMBDA)
        return target - q_value

    case = [reward, q, last_q, logits, behaviour, action, last_action, terminated]
    assert_agrees_with_rlax(apart, ours, rlax_retrace, case, axis=1)


@pytest.mark.parametrize("T", HORIZONS)
@pytest.mark.parametrize(
    ("part", "lambda_", "rho_clip"),
    [
        ("return_", 1.0, 1.0),
        ("return_", 0.8, 1.5),
        ("advantage", 1.0, 1.5),
        ("advantage", 0.8, 1.5),
    ],
)
def test_vtrace_is_that_of_rlax(T, part, lambda_, rho_clip, apart):
    def ours(reward, value, bootstrap, ratio, terminated, truncated):
        following, done = ended(value, bootstrap, terminated, truncated)
        options = {"vtrace_lambda": lambda_, "rho_clip": rho_clip, "pg_rho_clip": 1.3}
        found = vtrace(reward, value, following, ratio, done, DISCOUNT, **options)
        return found._asdict()[part]

    theirs = partial(rlax_vtrace, part=part, lambda_=lambda_, rho_clip=rho_clip)
    assert_agrees_with_rlax(apart, ours, theirs, random_case(T), axis=1)


# --- against loops -------------------------------------------------------------------------------


def loop_n_step(reward, following, done, n_step):
    T, rows = len(reward), []
    for t in range(T):
        row = []
        for b in range(reward.shape[1]):
            total, k = torch.zeros((), dtype=torch.float64), 0
            while True:
                total = total + DISCOUNT**k * reward[t + k, b]
                k += 1
                if k == n_step or done[t + k - 1, b] or t + k == T:
                    break
            row.append(total + DISCOUNT**k * following[t + k - 1, b])
        rows.append(torch.stack(row))
    return torch.stack(rows)


def loop_off_policy(reward, q_value, following, trace, done):
    """The sum of eq. 3 itself."""
    T, rows = len(reward), []
    for t in range(T):
        row = []
        for b in range(reward.shape[1]):
            total, weight = q_value[t, b], torch.ones((), dtype=torch.float64)
            for k in range(t, T):
                if k > t:
                    weight = weight * DISCOUNT * trace[k, b]
                error = reward[k, b] + DISCOUNT * following[k, b] - q_value[k, b]
                total = total + weight * error
                if done[k, b]:
                    break
            row.append(total)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def loop_q_lambda(reward, following, done, greedy):
    """As a mixture of n-step returns, by recursion from the end."""
    T, B = reward.shape
    rows = [[None] * B for _ in range(T)]
    for b in range(B):
        for t in reversed(range(T)):
            ends = done[t, b] or t == T - 1 or (greedy is not None and not greedy[t + 1, b])
            later = following[t, b]
            if not ends:
                later = (1 - LAMBDA) * following[t, b] + LAMBDA * rows[t + 1][b]
            rows[t][b] = reward[t, b] + DISCOUNT * later
    return torch.stack([torch.stack(row) for row in rows])


def loop_vtrace(reward, value, following, ratio, done):
    """Eq. 1 of IMPALA, then its advantage, of which the later value is mixed as the λ-return's;
    with ρ̄ = 1.5, c̄ = 0.9, ρ̄_pg = 2.
    """
    T, B = reward.shape
    returns, advantages = [[None] * B for _ in range(T)], [[None] * B for _ in range(T)]
    for b in range(B):
        for t in reversed(range(T)):
            total, weight = value[t, b], torch.ones((), dtype=torch.float64)
            for k in range(t, T):
                error = reward[k, b] + DISCOUNT * following[k, b] - value[k, b]
                total = total + weight * min(ratio[k, b], 1.5) * error
                if done[k, b]:
                    break
                weight = weight * DISCOUNT * LAMBDA * min(ratio[k, b], 0.9)
            returns[t][b] = total
            ends = done[t, b] or t == T - 1
            later = following[t, b]
            if not ends:
                later = (1 - LAMBDA) * later + LAMBDA * returns[t + 1][b]
            error = reward[t, b] + DISCOUNT * later - value[t, b]
            advantages[t][b] = min(ratio[t, b], 2.0) * error
    return [torch.stack([torch.stack(row) for row in rows]) for rows in (returns, advantages)]


@pytest.mark.parametrize(("T", "n_step"), [(1, 1), (6, 1), (6, 3), (6, 6), (6, 8)])
def test_n_step_returns_equal_a_loop(T, n_step):
    reward, value, bootstrap, _ratio, terminated, truncated = case = tensors(random_case(T, B=9))
    following, done = ended(value, bootstrap, terminated, truncated)
    ours = n_step_return(reward, following, done, DISCOUNT, n_step)
    assert_same(ours, loop_n_step(reward, following, done, n_step), case)


@pytest.mark.parametrize("T", [1, 2, 7])
def test_q_lambda_returns_equal_a_loop(T):
    reward, value, bootstrap, _ratio, terminated, truncated = case = tensors(random_case(T, B=9))
    following, done = ended(value, bootstrap, terminated, truncated)
    for greedy in (None, torch.rand(T, 9) < 0.6):
        ours = q_lambda_return(reward, following, done, DISCOUNT, LAMBDA, greedy)
        assert_same(ours, loop_q_lambda(reward, following, done, greedy), case)


@pytest.mark.parametrize("T", [1, 2, 7])
def test_off_policy_returns_equal_a_loop(T):
    reward, value, bootstrap, ratio, terminated, truncated = case = tensors(random_case(T, B=9))
    following, done = ended(value.roll(1, 1), bootstrap, terminated, truncated)
    ours = off_policy_return(reward, value, following, ratio / 3.0, done, DISCOUNT)
    assert_same(ours, loop_off_policy(reward, value, following, ratio / 3.0, done), case)
    ours = retrace_return(reward, value, following, ratio, done, DISCOUNT, LAMBDA)
    trace = LAMBDA * torch.minimum(ratio, torch.ones_like(ratio))
    assert_same(ours, loop_off_policy(reward, value, following, trace, done), case)


@pytest.mark.parametrize("T", [1, 2, 7])
def test_vtrace_equals_a_loop(T):
    reward, value, bootstrap, ratio, terminated, truncated = case = tensors(random_case(T, B=9))
    following, done = ended(value, bootstrap, terminated, truncated)
    options = {"vtrace_lambda": LAMBDA, "rho_clip": 1.5, "c_clip": 0.9, "pg_rho_clip": 2.0}
    ours = vtrace(reward, value, following, ratio, done, DISCOUNT, **options)
    returns, advantages = loop_vtrace(reward, value, following, ratio, done)
    assert_same(ours.return_, returns, case)
    assert_same(ours.advantage, advantages, case)


# --- properties ----------------------------------------------------------------------------------

SAME = {"rtol": 1e-11, "atol": 1e-11}


def plain_case(T=13):
    reward, value, bootstrap, ratio, terminated, truncated = (
        torch.tensor(each) for each in random_case(T)
    )
    return reward, value, *ended(value, bootstrap, terminated, truncated), ratio


def every_return(reward, value, following, done, ratio):
    """Each function's return, on the same data."""
    return {
        "n-step": n_step_return(reward, following, done, DISCOUNT, 4),
        "q(lambda)": q_lambda_return(reward, following, done, DISCOUNT, LAMBDA),
        "retrace": retrace_return(reward, value, following, ratio, done, DISCOUNT, LAMBDA),
        "v-trace": vtrace(reward, value, following, ratio, done, DISCOUNT).return_,
        "advantage": vtrace(reward, value, following, ratio, done, DISCOUNT).advantage,
    }


def test_one_step_returns():
    reward, value, following, done, ratio = plain_case()
    one_step = reward + DISCOUNT * following
    torch.testing.assert_close(n_step_return(reward, following, done, DISCOUNT, 1), one_step)
    torch.testing.assert_close(q_lambda_return(reward, following, done, DISCOUNT, 0.0), one_step)
    found = retrace_return(reward, value, following, ratio, done, DISCOUNT, 0.0)
    torch.testing.assert_close(found, one_step, **SAME)
    found = vtrace(
        reward, value, following, torch.ones_like(ratio), done, DISCOUNT, vtrace_lambda=0.0
    )
    torch.testing.assert_close(found.return_, one_step, **SAME)


def test_returns_of_the_whole_sequence():
    reward, value, following, done, ratio = plain_case()
    whole = q_lambda_return(reward, following, done, DISCOUNT, 1.0)
    torch.testing.assert_close(n_step_return(reward, following, done, DISCOUNT, 13), whole, **SAME)
    found = vtrace(reward, value, following, torch.ones_like(ratio), done, DISCOUNT)
    torch.testing.assert_close(found.return_, whole, **SAME)
    torch.testing.assert_close(found.advantage, whole - value, **SAME)


def test_on_policy_they_are_advantage_estimation():
    """π = μ and Q = V: then λ-return, Retrace and V-trace are V + GAE."""
    reward, value, following, done, ratio = plain_case()
    ones = torch.ones_like(ratio)
    expected = value + generalized_advantage_estimation(
        reward, value, following, done, DISCOUNT, LAMBDA
    )
    found = [
        q_lambda_return(reward, following, done, DISCOUNT, LAMBDA),
        retrace_return(reward, value, following, ones, done, DISCOUNT, LAMBDA),
        vtrace(reward, value, following, ones, done, DISCOUNT, vtrace_lambda=LAMBDA).return_,
    ]
    for each in found:
        torch.testing.assert_close(each, expected, **SAME)


def test_ratios_above_the_clip_count_as_the_clip():
    reward, value, following, done, ratio = plain_case()
    higher = torch.where(ratio > 1.0, ratio * 10.0, ratio)
    one = every_return(reward, value, following, done, ratio)
    other = every_return(reward, value, following, done, higher)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_advantage_without_its_weight_is_for_a_loss_that_has_the_ratio():
    reward, value, following, done, ratio = plain_case()
    options = {"vtrace_lambda": LAMBDA, "rho_clip": 1.5}
    plain, weighted = (
        vtrace(reward, value, following, ratio, done, DISCOUNT, pg_rho_clip=clip, **options)
        for clip in (None, 1.5)
    )
    torch.testing.assert_close(plain.advantage * ratio.clamp(max=1.5), weighted.advantage, **SAME)
    assert torch.equal(plain.return_, weighted.return_)


@pytest.mark.parametrize("lambda_", [0.0, LAMBDA, 1.0])
def test_vtrace_of_the_policy_that_acted_is_gae(lambda_):
    reward, value, following, done, ratio = plain_case()
    same = torch.ones_like(ratio)
    found = vtrace(reward, value, following, same, done, DISCOUNT, vtrace_lambda=lambda_)
    gae = generalized_advantage_estimation(reward, value, following, done, DISCOUNT, lambda_)
    torch.testing.assert_close(found.advantage, gae, **SAME)
    torch.testing.assert_close(found.return_, gae + value, **SAME)


def test_a_policy_that_never_acts_so_learns_nothing_from_it():
    reward, value, following, done, ratio = plain_case()
    never = torch.zeros_like(ratio)
    found = vtrace(reward, value, following, never, done, DISCOUNT)
    assert torch.equal(found.return_, value)
    assert not found.advantage.any()
    found = retrace_return(reward, value, following, never, done, DISCOUNT)
    torch.testing.assert_close(found, reward + DISCOUNT * following, **SAME)


def test_watkins_with_greedy_actions_is_peng_and_without_one_step():
    reward, _value, following, done, _ratio = plain_case()
    peng = q_lambda_return(reward, following, done, DISCOUNT, LAMBDA)
    always = torch.ones_like(done)
    assert torch.equal(q_lambda_return(reward, following, done, DISCOUNT, LAMBDA, always), peng)
    never = q_lambda_return(reward, following, done, DISCOUNT, LAMBDA, ~always)
    torch.testing.assert_close(never, reward + DISCOUNT * following, **SAME)


def test_an_episode_that_ends_is_a_sequence_that_ends():
    """Cutting a batch after an end gives what the whole batch gives."""
    reward, value, following, done, ratio = plain_case()
    done[6] = True
    whole = every_return(reward, value, following, done, ratio)
    parts = [
        every_return(*(each[rows] for each in (reward, value, following, done, ratio)))
        for rows in (slice(None, 7), slice(7, None))
    ]
    for name, found in whole.items():
        torch.testing.assert_close(found, torch.cat([part[name] for part in parts]), **SAME)


def test_environments_do_not_meet():
    case = plain_case()
    whole = every_return(*case)
    alone = every_return(*(each[:, 3:4] for each in case))
    for name, found in whole.items():
        torch.testing.assert_close(found[:, 3:4], alone[name], **SAME)


def test_a_time_limit_bootstraps_and_a_termination_does_not():
    """By hand: rewards 1, max_a Q 10, γ = ½, λ = 1; the middle of three steps ends an episode."""
    reward, q_max = torch.ones(3, 2), torch.full((3, 2), 10.0)
    final = torch.tensor([[0.0, 0.0], [0.0, 8.0], [6.0, 6.0]])
    terminated = torch.tensor([[False, False], [True, False], [False, False]])
    truncated = torch.tensor([[False, False], [False, True], [False, False]])
    following, done = ended(q_max, final, terminated, truncated)
    expected = [[1.5, 3.5], [1.0, 5.0], [4.0, 4.0]]
    assert q_lambda_return(reward, following, done, 0.5, 1.0).tolist() == expected
    assert n_step_return(reward, following, done, 0.5, 2).tolist() == expected
    mixed = q_lambda_return(reward, following, done, 0.5, 0.5)
    assert mixed.tolist() == [[3.75, 4.75], [1.0, 5.0], [4.0, 4.0]]


def test_the_inputs_are_left_as_they_were():
    case = plain_case()
    before = [each.clone() for each in case]
    every_return(*case)
    assert all(torch.equal(one, other) for one, other in zip(case, before, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_graph_gives_the_same(dtype):
    reward, value, bootstrap, ratio, terminated, truncated = random_case(6, B=3)
    floats = [
        torch.tensor(each, dtype=dtype, requires_grad=True)
        for each in (reward, value, bootstrap, ratio)
    ]

    def returns(reward, value, bootstrap, ratio, terminated, truncated):
        following, done = ended(value, bootstrap, terminated, truncated)
        return torch.cat(list(every_return(reward, value, following, done, ratio).values()))

    assert_compiles(returns, *floats, torch.tensor(terminated), torch.tensor(truncated))
