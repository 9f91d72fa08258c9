"""The off-policy actor-critic agent: bounds, warm-up, noise, densities, and the same actions
whatever the grouping.
"""

import pickle

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from rlpyt.agents.base import Actor, Exploration
from rlpyt.agents.qpg import QpgAgent, QpgAgentInfo
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.data import AgentInputs, EnvSpaces, NoState
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.spaces import tree_class
from rlpyt.models.policy import PolicyModel
from rlpyt.samplers import CpuSampler, SerialSampler
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

CPU = torch.device("cpu")
VECTOR = spaces.Box(-np.inf, np.inf, (3,), np.float32)
LOW, HIGH = np.array([-2, 0, -0.1]), np.array([1, 0.5, 0.1])  # ±0.1 rounds outwards in float32
BOX = spaces.Box(LOW.astype(np.float32), HIGH.astype(np.float32))
UNIT = spaces.Box(-1, 1, (3,), np.float32)
DISCRETE = spaces.Discrete(4, start=1)
MASKED = spaces.Dict(action_mask=spaces.MultiBinary(4), x=VECTOR)
KINDS = {"deterministic": BOX, "gaussian": BOX, "categorical": DISCRETE}
TRAINING = Exploration(0, 1, 1_000_000)  # long after the warm-up
N = 4000


def made(policy="gaussian", action=None, observation=VECTOR, *, seed=0, hidden=(8,), **kwargs):
    model_kwargs = {"hidden_sizes": hidden, **kwargs.pop("model_kwargs", {})}
    agent = QpgAgent(policy=policy, model_kwargs=model_kwargs, **kwargs)
    action = KINDS[policy] if action is None else action
    agent.initialize(EnvSpaces(observation, action), seed=seed, device=CPU)
    return agent


def inputs(observation):
    leading = leaves(observation)[-1].shape[:-1]
    return AgentInputs(observation, None, torch.zeros(leading), torch.zeros(leading).bool())


def vectors(*leading, seed=0, scale=1.0):
    drawn = np.random.default_rng(seed).standard_normal((*leading, 3), dtype=np.float32)
    return inputs(torch.from_numpy(scale * drawn))


def noise_for(agent, n, where=TRAINING, seed=0):
    return torch.from_numpy(agent.draw_noise(np.random.default_rng(seed), (n,), where))


@torch.no_grad()
def acted(agent, given, noise):
    step, state = agent.step(given, NoState(), noise)
    assert state == NoState()
    assert step.agent_info == QpgAgentInfo(None)
    return step.action


def unit_of(action, low=LOW, high=HIGH):
    return (action.double().numpy() - (high + low) / 2) / ((high - low) / 2)


# --- bounds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bounds", [(LOW, HIGH), (-np.ones(3), np.ones(3))], ids=["own", "unit"])
@pytest.mark.parametrize("policy", ["deterministic", "gaussian"])
def test_no_action_passes_its_bounds_and_all_are_reached(policy, bounds, dtype):
    low, high = (bound.astype(dtype) for bound in bounds)
    agent = made(
        policy, spaces.Box(low, high, dtype=dtype), exploration=QpgExploration(noise_std=0.5)
    )
    given = vectors(N, scale=300.0)  # tanh saturates
    for noise in (noise_for(agent, N), None):
        action = acted(agent, given, noise)
        assert action.shape == (N, 3)
        assert action.dtype == torch.float32
        found = action.double().numpy()
        assert (found >= low).all()
        assert (found <= high).all()
        np.testing.assert_allclose(found.min(0), low, atol=1e-6)
        np.testing.assert_allclose(found.max(0), high, atol=1e-6)


def test_an_action_has_the_shape_of_its_space():
    space = spaces.Box(-3, 1, (2, 2), np.float32)
    for policy in ("deterministic", "gaussian"):
        agent = made(policy, space)
        assert agent.noise_size == 5
        for noise in (noise_for(agent, 6), None):
            assert acted(agent, vectors(6), noise).shape == (6, 2, 2)


@pytest.mark.parametrize("policy", ["deterministic", "gaussian"])
@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0, np.inf), (-np.inf, 5)])
def test_an_unbounded_box_is_refused(policy, low, high):
    with pytest.raises(RlpytError, match=r"has an infinite one.*TransformAction.*or choose ppo"):
        made(policy, spaces.Box(low, high, (2,), np.float32))


# --- what explores -----------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["deterministic", "gaussian"])
def test_warm_up_actions_are_uniform_over_the_box(policy):
    agent = made(policy, exploration=QpgExploration(random_steps=10 * N))
    noise = noise_for(agent, N, Exploration(0, 1, 0))
    action = acted(agent, vectors(N, scale=300.0), noise)
    unit = unit_of(action)
    for dimension in range(3):
        assert stats.kstest(unit[:, dimension], stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(unit.T) - np.eye(3)).max() < 0.06
    assert abs(np.corrcoef(unit[1:, 0], unit[:-1, 0])[0, 1]) < 0.06


@pytest.mark.parametrize("allowed", [[0, 1, 2, 3], [0, 3]])
def test_warm_up_actions_are_uniform_over_the_allowed_ones(allowed):
    agent = made("categorical", observation=MASKED, exploration=QpgExploration(random_steps=N))
    mask = torch.zeros(N, 4, dtype=torch.int8)
    mask[:, allowed] = 1
    observation = observe_masked(mask, vectors(N, scale=300.0).observation)
    action = acted(agent, inputs(observation), noise_for(agent, N, Exploration(0, 1, 0)))
    counts = torch.bincount(action, minlength=4).numpy()
    assert counts.sum() == counts[allowed].sum() == N
    assert stats.chisquare(counts[allowed]).pvalue > 1e-3


def observe_masked(mask, x):
    return tree_class(MASKED)(mask, x)


def test_random_steps_are_counted_over_all_environments_step_by_step():
    exploration = QpgExploration(random_steps=100)

    def flags(policy, T, n_envs, steps):
        agent = made(policy, exploration=exploration)
        where = Exploration(n_envs - 1, n_envs, steps)
        return agent.draw_noise(np.random.default_rng(0), (T,), where)[:, 0]

    for policy in KINDS:
        assert flags(policy, 200, 1, 0).sum() == 100
        assert flags(policy, 50, 8, 0).tolist() == [1.0] * 13 + [0.0] * 37  # 12 * 8 < 100
        assert flags(policy, 50, 8, 90).tolist() == [1.0] * 2 + [0.0] * 48
        assert flags(policy, 5, 8, 100).sum() == flags(policy, 5, 8, 9999).sum() == 0
        assert flags(policy, 5, 1, 0).sum() == 5
        assert flags(policy, 5, 1, None).sum() == 0  # in an evaluation


def test_a_deterministic_policy_s_noise_is_normal_of_the_given_std_in_half_widths():
    agent = made("deterministic", exploration=QpgExploration(noise_std=0.2))
    given = vectors(1).observation.expand(N, 3)
    mean = unit_of(acted(agent, inputs(given), None))
    assert np.abs(mean).max() < 0.5  # far from the clip
    noise = unit_of(acted(agent, inputs(given), noise_for(agent, N))) - mean
    inside = np.abs(mean + noise).max(1) < 1 - 1e-6
    assert inside.mean() > 0.95
    drawn = noise_for(agent, N)[:, 1:].numpy()
    np.testing.assert_allclose(noise[inside], drawn[inside], atol=1e-6)
    for dimension in range(3):
        assert stats.kstest(drawn[:, dimension], stats.norm(0, 0.2).cdf).pvalue > 1e-3


def test_the_noise_decays_with_the_steps_of_the_run():
    exploration = QpgExploration(
        random_steps=100, noise_std=0.4, noise_std_final=0.1, noise_steps=300
    )
    std = exploration.noise_std_at(200, Exploration(0, 2, 0))
    np.testing.assert_allclose(std[[0, 50, 125, 199]], [0.4, 0.4, 0.25, 0.102], rtol=1e-6)
    late = exploration.noise_std_at(3, Exploration(0, 2, 10_000))
    np.testing.assert_allclose(late, 0.1)
    assert not exploration.noise_std_at(3, Exploration(0, 2, None)).any()
    constant = QpgExploration(noise_std=0.3).noise_std_at(3, Exploration(0, 2, 10_000))
    np.testing.assert_allclose(constant, 0.3)
    agent = made("deterministic", exploration=exploration)
    drawn = agent.draw_noise(np.random.default_rng(0), (N,), Exploration(0, 1, 10_000))
    np.testing.assert_allclose(drawn[:, 1:].std(), 0.1, rtol=0.03)
    quiet = noise_for(agent, 6, Exploration(0, 1, None))
    assert torch.equal(acted(agent, vectors(6), quiet), acted(agent, vectors(6), None))


def test_a_gaussian_policy_s_samples_have_its_mean_and_std():
    agent = made("gaussian", UNIT)
    given = vectors(1).observation.expand(N, 3)
    action = acted(agent, inputs(given), noise_for(agent, N))
    mean, log_std = agent.model(*vectors(1), NoState())[0].detach().numpy().reshape(2, 3)
    u = np.arctanh(action.double().numpy())
    for dimension in range(3):
        normal = stats.norm(mean[dimension], np.exp(log_std[dimension]))
        assert stats.kstest(u[:, dimension], normal.cdf).pvalue > 1e-3


def test_a_categorical_policy_s_samples_have_its_probabilities():
    agent = made("categorical")
    given = inputs(vectors(1).observation.expand(N, 3))
    action = acted(agent, given, noise_for(agent, N))
    assert action.dtype == torch.int64
    counts = torch.bincount(action, minlength=4).numpy()
    with torch.no_grad():
        expected = agent.log_probabilities(given, NoState())[0].exp().numpy().astype(float)
    assert stats.chisquare(counts, N * expected / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("policy", KINDS)
def test_without_noise_it_takes_the_mode(policy):
    agent, given = made(policy), vectors(6)
    found = acted(agent, given, None)
    params = agent.model(*given, NoState())[0].detach()
    if policy == "categorical":
        assert torch.equal(found, params.argmax(-1))
    else:
        np.testing.assert_allclose(unit_of(found), torch.tanh(params[:, :3]), atol=1e-6)


@pytest.mark.parametrize("policy", KINDS)
def test_noise_does_not_depend_on_how_steps_are_cut_into_batches(policy):
    agent = made(policy, exploration=QpgExploration(random_steps=30, noise_std_final=0.0))
    whole = agent.draw_noise(np.random.default_rng(5), (24,), Exploration(1, 2, 0))
    rng, parts, steps = np.random.default_rng(5), [], 0
    for T in (1, 4, 9, 2, 8):
        parts.append(agent.draw_noise(rng, (T,), Exploration(1, 2, steps)))
        steps += 2 * T
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("policy", KINDS)
def test_actions_do_not_depend_on_which_environments_share_a_group(policy):
    agent = made(policy, exploration=QpgExploration(random_steps=12), seed=3)
    T, B = 6, 4
    observations = vectors(T, B).observation

    def actions(*groups):
        found = torch.zeros(T, B, *([3] if policy != "categorical" else []))
        for group in groups:
            actor = Actor(agent, group, seed=1, n_envs=B)
            actor.begin_batch(T, 0)
            for t in range(T):
                with torch.no_grad():
                    found[t, group] = actor(inputs(observations[t, group])).action.to(found)
        return found

    whole = actions([0, 1, 2, 3])
    torch.testing.assert_close(actions([0], [1, 2, 3]), whole)
    torch.testing.assert_close(actions([3, 1], [2, 0]), whole)


# --- what learns -------------------------------------------------------------------------------


def test_log_prob_is_that_of_the_unit_action():
    agent = made("gaussian")
    given, noise = vectors(5, 7), torch.randn(5, 7, 3)
    action, log_prob = agent.sample(given, NoState(), noise)
    assert action.shape == (5, 7, 3)
    assert log_prob.shape == (5, 7)
    mean, log_std = agent.model(*given, NoState())[0].double().split(3, -1)
    base = Independent(Normal(mean, log_std.exp()), 1)
    twin = TransformedDistribution(base, [TanhTransform()])
    u = mean + log_std.exp() * noise
    torch.testing.assert_close(
        log_prob.double(), twin.log_prob(torch.tanh(u)), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(unit_of(action.detach()), torch.tanh(u).detach(), atol=1e-6)
    wide = made("gaussian", spaces.Box(-1000, 3000, (3,), np.float32))
    assert torch.equal(wide.sample(given, NoState(), noise)[1], log_prob)


def test_samples_are_reparameterised():
    agent = made("gaussian")
    given, noise = vectors(5), torch.randn(5, 3)
    action, log_prob = agent.sample(given, NoState(), noise)
    weight = torch.randn(5, 3)
    ((action * weight).sum() + log_prob.sum()).backward()
    found = [p.grad.clone() for p in agent.model.parameters()]
    agent.model.zero_grad()
    mean, log_std = agent.model(*given, NoState())[0].split(3, -1)
    u = mean + log_std.exp() * noise
    center, half = (
        torch.tensor(b, dtype=torch.float32) for b in ((HIGH + LOW) / 2, (HIGH - LOW) / 2)
    )
    density = Normal(mean, log_std.exp()).log_prob(u) - torch.log(1 - torch.tanh(u) ** 2)
    (((center + half * torch.tanh(u)) * weight).sum() + density.sum()).backward()
    for gradient, parameter in zip(found, agent.model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-4)


def test_log_std_stays_in_its_range():
    agent = made("gaussian", UNIT, log_std_range=(-1.0, -0.5))
    given, noise = vectors(50, scale=100.0), torch.ones(50, 3)
    action, _log_prob = agent.sample(given, NoState(), noise)
    mean = agent.model(*given, NoState())[0][:, :3]
    inside = mean.abs() < 1.5
    std = (torch.atanh(action) - mean)[inside]
    assert std.min() > np.exp(-1.0) - 1e-3
    assert std.max() < np.exp(-0.5) + 1e-3
    assert (std.max() - std.min()) > 0.2
    assert QpgAgent().log_std_range == (-20.0, 2.0)


def test_log_probabilities_are_normalised_and_masked():
    agent = made("categorical", observation=MASKED)
    mask = torch.tensor([[1, 0, 1, 0]] * 6, dtype=torch.int8)
    given = inputs(observe_masked(mask, vectors(6).observation))
    log_p = agent.log_probabilities(given, NoState())
    assert log_p.shape == (6, 4)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(6))
    assert (log_p.exp()[:, [1, 3]] == 0).all()
    entropy = -(log_p.exp() * log_p).sum()
    entropy.backward()
    assert torch.isfinite(entropy)
    assert all(torch.isfinite(p.grad).all() for p in agent.model.parameters())
    for noise in (noise_for(agent, 6), noise_for(agent, 6, seed=1), None):
        assert torch.isin(acted(agent, given, noise), torch.tensor([0, 2])).all()


def test_the_mean_action_has_gradient_takes_smoothing_noise_and_other_models():
    agent, target = made("deterministic"), made("deterministic", seed=1).model
    given = vectors(5, 7)
    action = agent.mean_action(given, NoState())
    with torch.no_grad():
        expected = agent.step(given, NoState(), None)[0].action
    torch.testing.assert_close(action, expected)
    action.sum().backward()
    assert all(p.grad.any() for p in agent.model.parameters())
    noise = 0.7 * torch.randn(5, 7, 3)
    smooth = unit_of(agent.mean_action(given, NoState(), noise, model=target).detach())
    pre = target(*given, NoState())[0].detach()
    np.testing.assert_allclose(smooth, (torch.tanh(pre) + noise).clamp(-1, 1), atol=1e-6)


def test_batch_statistics_are_taken_in_while_training_and_never_while_acting():
    agent = made("gaussian", model_kwargs={"batch_renorm": True})
    given = vectors(20, scale=3.0)
    before = [buffer.clone() for buffer in agent.model.buffers()]
    acted(agent, given, noise_for(agent, 20))
    for train in (False, True):
        assert all(map(torch.equal, agent.model.buffers(), before))
        agent.sample(given, NoState(), torch.zeros(20, 3), train=train)
    assert not any(map(torch.equal, agent.model.buffers(), before))


# --- masks, parameters, processes --------------------------------------------------------------


@pytest.mark.parametrize(("policy", "n"), [("categorical", 3), ("gaussian", 3)])
def test_a_mask_that_does_not_fit_is_refused(policy, n):
    observation = spaces.Dict(action_mask=spaces.MultiBinary(n), x=VECTOR)
    with pytest.raises(RlpytError, match=r"action_mask.*shape \(3,\).*takes [40] entries"):
        made(policy, observation=observation)


@pytest.mark.parametrize("policy", KINDS)
def test_parameters_come_from_the_seed_and_are_saved_and_loaded(policy):
    before = torch.get_rng_state()
    one, same, other = (made(policy, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    given = vectors(5)
    noise = noise_for(one, 5)
    assert torch.equal(acted(one, given, noise), acted(same, given, noise))
    params = [agent.model(*given, NoState())[0] for agent in (one, other)]
    assert not torch.equal(*params)
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.model(*given, NoState())[0], params[0])
    with pytest.raises(NotImplementedError):
        one.value(given, NoState())


def test_uninitialized_it_is_its_configuration():
    settings = {"policy": "deterministic", "exploration": QpgExploration(noise_std=0.2)}
    agent = QpgAgent(model_kwargs={"hidden_sizes": [8]}, **settings)
    assert agent == QpgAgent(model_kwargs={"hidden_sizes": [8]}, **settings) != QpgAgent()
    assert pickle.loads(pickle.dumps(agent)) == agent
    assert "noise_std=0.2" in repr(agent)
    assert agent.ModelCls is PolicyModel
    agent.initialize(EnvSpaces(VECTOR, BOX), seed=0, device=CPU)
    assert agent.device == CPU
    assert not agent.recurrent
    twin = pickle.loads(pickle.dumps(agent))  # with its model
    given = vectors(5)
    assert torch.equal(acted(twin, given, None), acted(agent, given, None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_kwargs": {"hiden_sizes": [8]}}, "did you mean 'hidden_sizes'"),
        ({"model_kwargs": {"kind": "gaussian"}}, "no argument 'kind'"),
        ({"policy": "gausian"}, "did you mean 'gaussian'"),
        ({"policy": "categorical"}, "over Discrete actions"),
    ],
)
def test_what_is_wrong_is_named(options, message):
    with pytest.raises(RlpytError, match=message):
        QpgAgent(**options).initialize(EnvSpaces(VECTOR, BOX), seed=0, device=CPU)


@pytest.mark.parametrize("name", ["random_steps", "noise_std", "noise_std_final", "noise_steps"])
@pytest.mark.parametrize("value", [-1, float("inf"), float("nan")])
def test_exploration_out_of_range_is_refused(name, value):
    with pytest.raises(RlpytError, match=rf"exploration.{name}=.*use 0 or more"):
        QpgExploration(**{name: value})


@pytest.mark.parametrize("policy", ["deterministic", "gaussian"])
def test_spawned_workers_sample_what_one_process_samples(policy):
    """In Pendulum, whose torques are within ±2: first uniform, then by the policy."""
    found = []
    for cls, own in ((SerialSampler, {}), (CpuSampler, {"n_workers": 1, "start_method": "spawn"})):
        sampler = cls(env=EnvConfig(id="Pendulum-v1"), batch_T=10, batch_B=2, group_size=1, **own)
        agent = QpgAgent(policy=policy, exploration=QpgExploration(random_steps=24))
        agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
        try:
            sampler.initialize(agent, seed=0)
            batches = [sampler.obtain_samples(itr)[0] for itr in range(2)]
            batches = [[leaf.clone() for leaf in leaves(batch)] for batch in batches]
        finally:
            sampler.shutdown()
        found.append([leaf for batch in batches for leaf in batch])
    assert len(found[0]) == len(found[1]) > 10
    assert all(map(torch.equal, *found))
