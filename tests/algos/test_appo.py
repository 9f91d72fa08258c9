"""APPO: PPO where there is no lag, V-trace where there is."""

from dataclasses import fields, replace
from functools import partial

import pytest
import torch
from pg_lag import learn, moved
from test_learns import Identity, Recall
from toy_envs import copied, make, parameters, walk

from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.ppo import PPO, SurrogateAlgorithm
from rlpyt.data import BatchSpec
from rlpyt.envs.build import EnvConfig
from rlpyt.ops.off_policy import vtrace
from rlpyt.ops.returns import next_values
from rlpyt.utils.errors import RlpytError

T, B = 12, 6
LSTM = {"recurrent": "lstm", "rnn_size": 8, "hidden_sizes": (8,)}
FAST = {"learning_rate": 3e-3, "learning_rate_schedule": "linear", "discount": 0.9}


def one_batch(algo, model, *, lag=False, **kwargs):
    """A learner and the batch of an iteration in the middle of episodes; with ``lag`` the learner
    has gone on.
    """
    env = walk(end=0.05, time_limit=9)
    agent, sampler = make(algo, env, T=T, B=B, **model, **kwargs)
    moved(agent)
    for itr in range(2):
        samples = copied(sampler.obtain_samples(itr)[0])
    sampler.shutdown()
    assert samples.truncated.any()
    assert samples.terminated.any()
    if lag:
        moved(agent, seed=2)
    return agent, samples


def as_ppo(algo):
    """The PPO of the same settings."""
    shared = {each.name: getattr(algo, each.name) for each in fields(SurrogateAlgorithm)}
    return PPO(**shared, gae_lambda=algo.vtrace_lambda)


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("model", [{}, LSTM], ids=["feed_forward", "lstm"])
@pytest.mark.parametrize("vtrace_lambda", [0.0, 0.8, 1.0])
def test_without_lag_it_is_ppo(vtrace_lambda, model, mid_batch_reset):
    sgd = {"OptimCls": torch.optim.SGD, "optim_kwargs": {}, "learning_rate": 0.05}
    settings = {"epochs": 3, "minibatches": 2, "normalize_reward": True, **sgd}
    algo = APPO(vtrace_lambda=vtrace_lambda, **settings)
    agent, samples = one_batch(algo, model, mid_batch_reset=mid_batch_reset)
    start = agent.state_dict()["model"]
    start = {name: value.clone() for name, value in start.items()}
    results = []
    for each in (replace(algo), as_ppo(algo)):
        agent.load_state_dict({"model": start})
        each.initialize(agent, n_itr=5, batch_spec=BatchSpec(T, B), seed=0)
        opt_info = each.optimize_agent(0, samples)
        results.append((parameters(agent), opt_info))
    (ours, info), (theirs, expected) = results
    for name, parameter in theirs.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-5, atol=1e-6)
    for name, column in expected.items():
        assert info[name] == pytest.approx(column, rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("model", [{}, LSTM], ids=["feed_forward", "lstm"])
def test_with_lag_advantages_and_targets_are_v_trace_by_the_present_parameters(model):
    algo = APPO(vtrace_lambda=0.9, rho_clip=1.15, c_clip=1.1)
    agent, samples = one_batch(algo, model, lag=True)
    batch, state = algo.inputs(samples, samples.reward)
    with torch.no_grad():
        dist_info, value, _own = agent.evaluate(samples.agent_inputs, state)
    log_prob = agent.distribution.log_prob
    recorded = log_prob(samples.agent_info.dist_info, samples.action)
    ratio = torch.exp(log_prob(dist_info, samples.action) - recorded)
    assert (ratio > 1.15).any()
    ends = samples.terminated, samples.truncated
    found = vtrace(
        samples.reward,
        value,
        next_values(value, samples.bootstrap_value, *ends),
        ratio,
        samples.done,
        algo.discount,
        vtrace_lambda=0.9,
        rho_clip=1.15,
        c_clip=1.1,
        pg_rho_clip=None,
    )
    torch.testing.assert_close(batch.return_, found.return_)
    torch.testing.assert_close(batch.advantage, found.advantage)
    torch.testing.assert_close(batch.old_value, value)
    torch.testing.assert_close(batch.old_log_prob, recorded)  # the surrogate is against μ


def test_the_ratio_of_the_surrogate_is_to_the_policy_that_acted():
    algo = APPO(epochs=1, minibatches=1, learning_rate=0.0)
    _agent, samples = one_batch(algo, {}, lag=True)
    opt_info = algo.optimize_agent(0, samples)
    assert opt_info["approxKl"][0] > 0.01
    assert 0.2 < opt_info["clipFraction"][0] < 1.0


def test_a_kl_limit_counts_the_lag_and_leaves_one_epoch():
    algo = APPO(epochs=4, minibatches=2, target_kl=1e-4)
    _agent, samples = one_batch(algo, {}, lag=True)
    assert len(algo.optimize_agent(0, samples)["loss"]) == 2


LITTLE_LAG = [pytest.param(lag, marks=pytest.mark.learning) for lag in (0, 1)]


@pytest.mark.parametrize("lag", [*LITTLE_LAG, 8])
def test_names_an_index_however_old_the_samples(lag):
    found, kl = learn(APPO(**FAST), EnvConfig(id=Identity), lag=lag, n_itr=40, T=32, B=16)
    assert found == 10.0
    if lag > 1:
        assert max(kl) > 1e-2


def test_names_a_number_from_old_samples():
    env = EnvConfig(id=partial(Identity, continuous=True))
    found, _kl = learn(APPO(**FAST), env, lag=3, n_itr=60, T=32, B=16, init_log_std=-1.0)
    assert found > -0.1  # at random: -6.7


@pytest.mark.parametrize("lag", [LITTLE_LAG[0], 4])
def test_recalls_a_bit_however_old_the_samples(lag):
    model = {"recurrent": "lstm", "rnn_size": 16, "hidden_sizes": (16,)}
    found, _kl = learn(APPO(**FAST), EnvConfig(id=Recall), lag=lag, n_itr=30, T=32, B=16, **model)
    assert found == 1.0


@pytest.mark.parametrize(
    "setting",
    [{"rho_clip": 0.0}, {"c_clip": 1.5}, {"vtrace_lambda": -0.1}, {"ratio_clip": 0.0}],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(setting):
    (name,) = setting
    with pytest.raises(RlpytError, match=rf"algo\.{name}=") as caught:
        make(APPO(**setting), walk(), T=4, B=2)
    assert caught.value.code == "config"


def test_it_may_learn_from_older_samples():
    assert APPO.off_policy
    assert not PPO.off_policy
