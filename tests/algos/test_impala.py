"""IMPALA: its loss against rlax and closed forms, ends of episodes, memory, lag, settings."""

import math
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from pg_lag import learn, moved
from test_learns import Identity, Recall
from toy_envs import copied, make, walk

from rlpyt.algos.pg.batch import log_ratio
from rlpyt.algos.pg.impala import IMPALA, impala_loss
from rlpyt.algos.pg.vtrace import Correction, VTraceInputs
from rlpyt.distributions.categorical import Categorical
from rlpyt.envs.build import EnvConfig
from rlpyt.ops.off_policy import n_step_return, q_lambda_return
from rlpyt.ops.returns import next_values
from rlpyt.utils.errors import RlpytError

ORACLE = pytest.mark.skipif(
    find_spec("rlax") is None, reason='the oracle is not here: pip install "rlpyt[oracles]"'
)
T, B, ACTIONS = 9, 60, 4
DISCOUNT, LAMBDA = 0.97, 0.85
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
LSTM = {"recurrent": "lstm", "rnn_size": 8, "hidden_sizes": (8,)}
ADAM = {"OptimCls": torch.optim.Adam, "optim_kwargs": {"eps": 1e-5}, "clip_grad_norm": 0.5}
FAST = {"learning_rate": 3e-3, "discount": 0.9, **ADAM}


def correction(**settings):
    defaults = {"vtrace_lambda": LAMBDA, "rho_clip": 1.7, "c_clip": 1.0, "pg_rho_clip": 1.3}
    return Correction(discount=DISCOUNT, **{**defaults, **settings})


def random_arrays(seed=0, masked=False):
    """What a policy μ sampled, the present logits and V; some episodes end, of both kinds."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((T, B, ACTIONS))
    value, behaviour, reward, bootstrap = rng.standard_normal((4, T, B))
    terminated, truncated = rng.random((2, T, B)) < 0.15
    valid = rng.random((T, B)) < (0.7 if masked else 2.0)
    action = rng.integers(0, ACTIONS, (T, B))
    return logits, value, action, behaviour - 1.4, reward, terminated, truncated, bootstrap, valid


def batch_of(arrays, masked=False):
    _logits, _value, action, *rest = (torch.tensor(array) for array in arrays)
    behaviour, reward, terminated, truncated, bootstrap, valid = rest
    none = valid if masked else None
    return VTraceInputs(None, action, behaviour, reward, terminated, truncated, bootstrap, none)


def whole_loss(logits, value, batch, **settings):
    policy = Categorical(ACTIONS)
    info = policy.dist_info(logits)
    return impala_loss(
        batch,
        policy.log_prob(info, batch.action),
        value,
        policy.entropy(info),
        correction=correction(**settings),
        value_loss_coeff=0.7,
        entropy_loss_coeff=0.03,
    )


def rlax_impala(cases):
    """Of each case, IMPALA's loss from rlax's parts, column by column, and its gradients by logits
    and V.

    rlax knows terminations only: a time limit is a reward of r + γ V(final observation) and a
    discount of 0.
    """
    import jax
    import jax.numpy as jnp
    import rlax

    def column(logits, value, action, behaviour, reward, terminated, truncated, bootstrap, valid):
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], 1)[:, 0]
        rho = jnp.where(valid, jnp.exp(log_prob - behaviour), 1.0)
        reward = reward + DISCOUNT * jnp.where(truncated & ~terminated, bootstrap, 0.0)
        discount = jnp.where(terminated | truncated, 0.0, DISCOUNT)
        following = jnp.concatenate([value[1:], bootstrap[-1:]])
        found = rlax.vtrace_td_error_and_advantage(
            value, following, reward, discount, rho, LAMBDA, 1.7, 1.3
        )
        same = rlax.leaky_vtrace(value, following, reward, discount, rho, 1.0, LAMBDA, 1.7)
        weight = valid.astype(value.dtype)
        policy = rlax.policy_gradient_loss(logits, action, found.pg_advantage, weight)
        entropy = rlax.entropy_loss(logits, weight)
        errors = jnp.where(valid, found.errors, 0.0)
        return policy, rlax.l2_loss(errors).mean(), entropy, jnp.abs(same - found.errors).max()

    def loss(logits, value, *rest):
        policy, error, entropy, apart = jax.vmap(column, in_axes=1)(logits, value, *rest)
        share = rest[-1].astype(value.dtype).mean()
        total = (policy.mean() + 0.7 * error.mean() + 0.03 * entropy.mean()) / share
        return total, apart.max()

    found = []
    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        for case in cases:
            (total, apart), gradients = run(*map(jnp.asarray, case))
            found.append((float(total), float(apart), [np.asarray(each) for each in gradients]))
    return found


@ORACLE
def test_the_loss_and_its_gradients_are_those_of_rlax(apart):
    masks = [False, True] * 3
    cases = [random_arrays(seed, masked) for seed, masked in enumerate(masks)]
    for masked, arrays, theirs in zip(masks, cases, apart(rlax_impala, cases), strict=True):
        logits, value = (torch.tensor(array, requires_grad=True) for array in arrays[:2])
        ours = whole_loss(logits, value, batch_of(arrays, masked))
        found = torch.autograd.grad(ours.loss, (logits, value))
        total, leaky, expected = theirs
        assert ours.loss.item() == pytest.approx(total, rel=1e-10)
        assert leaky < 1e-10  # rlax's two functions agree
        for gradient, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(gradient, wanted, **CLOSE)


def test_the_parts_add_up_and_the_lag_is_told():
    arrays = random_arrays(5, masked=True)
    batch = batch_of(arrays, masked=True)
    logits, value = (torch.tensor(array) for array in arrays[:2])
    parts = whole_loss(logits, value, batch)
    total = parts.piLoss + parts.valueLoss - 0.03 * parts.entropy
    torch.testing.assert_close(parts.loss, total, **CLOSE)
    log_prob = Categorical(ACTIONS).log_prob(Categorical(ACTIONS).dist_info(logits), batch.action)
    ratio = torch.exp(log_prob - batch.old_log_prob)[batch.valid]
    torch.testing.assert_close(parts.approxKl, (ratio - 1 - ratio.log()).mean(), **CLOSE)
    torch.testing.assert_close(parts.meanRho, ratio.clamp(max=1.7).mean(), **CLOSE)


@pytest.mark.parametrize("rho_clip", [1.7, math.inf])
def test_invalid_steps_may_hold_anything_finite(rho_clip):
    arrays = random_arrays(1, masked=True)
    batch = batch_of(arrays, masked=True)
    # what follows an end is not valid, as where environments wait
    done = batch.terminated | batch.truncated
    valid = torch.cat([torch.ones(1, B, dtype=torch.bool), done[:-1].cumsum(0) == 0])
    batch = batch._replace(valid=valid)
    logits, value = (torch.tensor(array, requires_grad=True) for array in arrays[:2])
    first = whole_loss(logits, value, batch, rho_clip=rho_clip)
    one = torch.autograd.grad(first.loss, (logits, value))
    wild = [torch.where(valid, each, -1e4) for each in (batch.old_log_prob, batch.reward)]
    other = batch._replace(old_log_prob=wild[0], reward=wild[1])
    second = whole_loss(logits, value, other, rho_clip=rho_clip)
    two = torch.autograd.grad(second.loss, (logits, value))
    assert torch.equal(torch.stack(first), torch.stack(second))
    assert 0.2 < valid.double().mean() < 0.9
    for found, expected in zip(two, one, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("vtrace_lambda", [1.0, 0.6, 0.0])
def test_on_policy_targets_are_the_returns_of_the_sequence(vtrace_lambda):
    arrays = random_arrays(2)
    batch, value = batch_of(arrays), torch.tensor(arrays[1])
    own = batch.old_log_prob  # π = μ
    found = correction(vtrace_lambda=vtrace_lambda)(batch, own, value)
    done = batch.terminated | batch.truncated
    following = next_values(value, batch.bootstrap_value, batch.terminated, batch.truncated)
    expected = q_lambda_return(batch.reward, following, done, DISCOUNT, vtrace_lambda)
    torch.testing.assert_close(found.return_, expected, **CLOSE)
    if vtrace_lambda == 1.0:
        whole = n_step_return(batch.reward, following, done, DISCOUNT, T)
        torch.testing.assert_close(found.return_, whole, **CLOSE)
        torch.testing.assert_close(found.advantage, whole - value, **CLOSE)


def test_a_time_limit_bootstraps_and_a_termination_does_not():
    """By hand, of one step that ends: γ = ½, a reward of 1, a final observation worth 8."""
    one, eight, yes, no = (torch.tensor([[x]]) for x in (1.0, 8.0, True, False))
    zero = torch.zeros(1, 1)
    half = replace(correction(rho_clip=1.0, pg_rho_clip=1.0), discount=0.5)
    ends = {(yes, no): 1.0, (no, yes): 5.0, (yes, yes): 1.0}
    for (terminated, truncated), expected in ends.items():
        batch = VTraceInputs(None, None, zero, one, terminated, truncated, eight)
        found = half(batch, zero, zero)
        assert found.return_.item() == found.advantage.item() == expected


@pytest.mark.parametrize(("rho_clip", "expected"), [(1.0, 1 / 1.2), (2.0, 0.9)])
def test_the_value_is_that_of_the_policy_between_the_two(rho_clip, expected):
    """Where V no longer moves (eq. 3): μ is uniform over two actions, worth 0 and 1, π takes the
    second with 0.9. With ρ̄ = 2 that is V of π; with 1 of min(μ, π) = (0.1, 0.5), normalised.
    """
    half, pi = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.1, 0.9]])
    yes = torch.tensor([[True, True]])
    reward = torch.tensor([[0.0, 1.0]])
    batch = VTraceInputs(None, None, half.log(), reward, yes, ~yes, torch.zeros(1, 2))
    value = torch.tensor(expected).requires_grad_()
    loss = impala_loss(
        batch,
        pi.log(),
        value.expand(1, 2),
        torch.zeros(1, 2),
        correction=correction(rho_clip=rho_clip),
        value_loss_coeff=1.0,
        entropy_loss_coeff=0.0,
    ).loss
    (gradient,) = torch.autograd.grad(loss, value)
    assert gradient.item() == pytest.approx(0.0, abs=1e-7)


def test_no_gradient_flows_through_targets_and_ratios():
    arrays = random_arrays(3)
    batch = batch_of(arrays)
    logits, value = (torch.tensor(array, requires_grad=True) for array in arrays[:2])
    policy = Categorical(ACTIONS)
    log_prob = policy.log_prob(policy.dist_info(logits), batch.action)
    found = correction()(batch, log_prob, value)
    assert not any(each.requires_grad for each in (found.return_, found.advantage, found.old_value))


# --- the algorithm -------------------------------------------------------------------------------


def one_batch(model, seed=0):
    """A learner and the batch of an iteration in the middle of episodes, recorded by its own
    parameters.
    """
    algo = IMPALA(**FAST)
    agent, sampler = make(algo, walk(end=0.05, time_limit=9), T=12, B=6, seed=seed, **model)
    moved(agent)  # so that nothing is near zero
    for itr in range(2):
        samples = copied(sampler.obtain_samples(itr)[0])
    sampler.shutdown()
    assert samples.truncated.any()
    assert samples.terminated.any()
    assert not samples.reset[0].all()
    return algo, agent, samples


def reported(algo, agent, samples):
    """What the first step would report."""
    batch, state = algo.inputs(samples, samples.reward)
    with torch.no_grad():
        return algo._loss(batch, state)[1]


def test_without_lag_ratios_are_one():
    for model in ({}, LSTM):
        parts = reported(*one_batch(model))
        assert parts.meanRho.item() == pytest.approx(1.0, abs=1e-5)
        assert parts.approxKl.item() == pytest.approx(0.0, abs=1e-6)


def test_the_initial_state_and_resets_are_those_recorded():
    algo, agent, samples = one_batch(LSTM)
    info = samples.agent_info
    assert info.prev_rnn_state.hidden[0].any()
    nothing = copied(info.prev_rnn_state)
    nothing.hidden.zero_()
    nothing.cell.zero_()
    forgotten = samples._replace(agent_info=info._replace(prev_rnn_state=nothing))
    never = samples._replace(reset=torch.zeros_like(samples.reset))
    for other in (forgotten, never):
        assert reported(algo, agent, other).approxKl > 1e-4


def test_what_comes_before_a_reset_does_not_matter_after_it():
    """A reset in the third row of all columns, where an episode ended: the loss of what follows is
    the same whatever came before.
    """
    algo, agent, samples = one_batch(LSTM)
    row = torch.zeros_like(samples.reset)
    row[3] = True
    ended = torch.zeros_like(samples.reset)
    ended[2] = True
    after = torch.ones_like(samples.reset)
    after[:3] = False
    changed = samples._replace(
        reset=samples.reset | row, terminated=samples.terminated | ended, valid=after
    )
    noise = torch.randn(samples.observation.shape)
    noise[3:] = 0.0
    other = changed._replace(observation=samples.observation + noise)
    one, two = (reported(algo, agent, each) for each in (changed, other))
    for name in ("piLoss", "valueLoss", "entropy", "approxKl"):
        torch.testing.assert_close(getattr(one, name), getattr(two, name))


def test_with_lag_the_ratios_are_of_the_present_to_the_recorded_policy():
    algo, agent, samples = one_batch({})
    moved(agent, seed=2)
    parts = reported(algo, agent, samples)
    with torch.no_grad():
        dist_info, _value, _own = agent.evaluate(samples.agent_inputs, agent.first_state(None))
    log_prob = agent.distribution.log_prob
    recorded = log_prob(samples.agent_info.dist_info, samples.action)
    ratio = torch.exp(log_ratio(log_prob(dist_info, samples.action), recorded, None))
    torch.testing.assert_close(parts.meanRho, ratio.clamp(max=1.0).mean())
    assert 0.3 < parts.meanRho < 0.95


@pytest.mark.parametrize("lag", [0, pytest.param(1, marks=pytest.mark.learning), 8])
def test_names_an_index_however_old_the_samples(lag):
    algo = IMPALA(**FAST)
    found, kl = learn(algo, EnvConfig(id=Identity), lag=lag, n_itr=150, T=8, B=16)
    assert found == 10.0
    assert (max(kl) > 1e-4) == (lag > 0)


def test_names_a_number_from_old_samples():
    env = EnvConfig(id=partial(Identity, continuous=True))
    model = {"init_log_std": -1.0}
    algo = IMPALA(**{**FAST, "entropy_loss_coeff": 0.0})
    assert learn(algo, env, lag=3, n_itr=300, T=8, B=16, **model)[0] > -0.15  # at random: -6.7


@pytest.mark.parametrize("lag", [pytest.param(0, marks=pytest.mark.learning), 4])
def test_recalls_a_bit_however_old_the_samples(lag):
    model = {"recurrent": "lstm", "rnn_size": 16, "hidden_sizes": (16,)}
    algo = IMPALA(**FAST)
    assert learn(algo, EnvConfig(id=Recall), lag=lag, n_itr=250, T=8, B=16, **model)[0] == 1.0


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ({"rho_clip": 0.0}, "use 1e-12 or more"),
        ({"c_clip": 1.5}, "use 0 to 1"),
        ({"pg_rho_clip": -1.0}, "use 1e-12 or more"),
        ({"vtrace_lambda": 1.1}, "use 0 to 1"),
        ({"discount": 1.1}, "use 0 to 1"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(setting, hint):
    (name,) = setting
    with pytest.raises(RlpytError, match=rf"algo\.{name}=.*{hint}") as caught:
        make(IMPALA(**setting), walk(), T=4, B=2)
    assert caught.value.code == "config"


def test_every_setting_of_v_trace_is_the_algorithms():
    settings = {"discount": 0.8, "vtrace_lambda": 0.9, "rho_clip": 2.0, "c_clip": 0.5}
    algo = IMPALA(**settings, pg_rho_clip=3.0)
    assert algo.correction == Correction(**settings, pg_rho_clip=3.0)


def test_it_may_learn_from_older_samples():
    assert IMPALA.off_policy
    assert IMPALA.bootstrap_value
