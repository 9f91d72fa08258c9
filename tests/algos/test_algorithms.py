"""What holds for every policy-gradient algorithm, whatever the spaces and the model."""

import copy
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_envs import ACTIONS, MASK_SIZES, copied, gradients, make, parameters, walk

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.a2c import A2C, A2cLoss
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.impala import IMPALA, ImpalaLoss
from rlpyt.algos.pg.ppo import PPO, PpoLoss, SurrogateAlgorithm
from rlpyt.data import BatchSpec
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

ALGOS = {
    "a2c": A2C(),
    "appo": APPO(epochs=2, minibatches=2),
    "impala": IMPALA(),
    "ppo": PPO(epochs=2, minibatches=2),
}
REPORTED = {A2C: A2cLoss, IMPALA: ImpalaLoss}
MODELS = {
    "feed_forward": {},
    "lstm": {"recurrent": "lstm", "rnn_size": 8, "hidden_sizes": (8,)},
    "gru": {"recurrent": "gru", "rnn_size": 8, "hidden_sizes": (8,)},
}
T, B = 10, 4


def one_batch(algo, env, **kwargs):
    """Initialised agent, and a batch in the middle of a run, in which episodes end both ways."""
    agent, sampler = make(algo, env, T=T, B=B, **kwargs)
    for itr in range(20):
        samples, _trajs = sampler.obtain_samples(itr)
        if itr > 0 and samples.terminated.any() and samples.truncated.any():
            break
    else:
        pytest.fail("no batch with both kinds of end")
    sampler.shutdown()
    return agent, copied(samples)


def fresh(algo, agent, n_itr=10):
    """Copies of both, the algorithm initialised anew: as if nothing had been learned since."""
    algo, agent = replace(algo), copy.deepcopy(agent)
    algo.initialize(agent, n_itr=n_itr, batch_spec=BatchSpec(T, B), seed=0)
    return algo, agent


def updated(algo, agent, samples, itr=0):
    """The parameters after one iteration; what was passed in stays as it was."""
    algo, agent = fresh(algo, agent)
    algo.optimize_agent(itr, samples)
    return parameters(agent)


def assert_equal_parameters(first, second):
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("action", [*ACTIONS, *(f"masked {name}" for name in MASK_SIZES)])
@pytest.mark.parametrize("algo", ALGOS)
def test_one_iteration_moves_every_parameter(algo, action, model, mid_batch_reset):
    algo = replace(ALGOS[algo])
    env = walk(action.split()[-1], masked=action.startswith("masked"))
    agent, samples = one_batch(algo, env, mid_batch_reset=mid_batch_reset, **MODELS[model])
    assert (samples.valid is None) == mid_batch_reset
    before = parameters(agent)
    opt_info = algo.optimize_agent(0, samples)
    fields = REPORTED.get(type(algo), PpoLoss)._fields
    assert tuple(opt_info) == (*fields, "gradNorm")
    assert {len(column) for column in opt_info.values()} == {algo.updates_per_itr()}
    assert np.isfinite(list(opt_info.values())).all()
    assert all(norm > 0 for norm in opt_info["gradNorm"])
    assert [name for name, gradient in gradients(agent).items() if not gradient.any()] == []
    after = parameters(agent)
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert all(torch.isfinite(parameter).all() for parameter in after.values())


def scrambled(samples):
    """``samples`` with other contents where they are not valid; ends and resets stay."""
    valid = samples.valid

    def scramble(leaf):
        if leaf.dtype.is_floating_point:
            noise = torch.randn(leaf.shape) / 3  # of any size, as long as no exponential overflows
        else:
            noise = torch.randint(0, 2, leaf.shape)
        keep = valid.reshape(T, B, *[1] * (leaf.dim() - 2))
        return torch.where(keep, leaf, noise.to(leaf.dtype))

    changed = {
        name: buffer_map(scramble, getattr(samples, name))
        for name in ("observation", "agent_info", "reward", "bootstrap_value")
    }
    # one array, two views, as in the sampler: what was done at an invalid step is the previous
    # action of a step that is invalid too, or at which an episode starts
    action, reward = buffer_map(scramble, samples.action), changed["reward"]
    earlier = buffer_map(
        lambda old, new: torch.cat([old[:1], new[:-1]]), samples.prev_action, action
    )
    prev_reward = torch.cat([samples.prev_reward[:1], reward[:-1]])
    return samples._replace(action=action, prev_action=earlier, prev_reward=prev_reward, **changed)


@pytest.mark.parametrize("normalize", ["minibatch", "batch", "none"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("action", ACTIONS)
def test_invalid_steps_change_nothing_in_ppo(action, model, normalize):
    algo = PPO(epochs=2, minibatches=2, value_clip=0.2, normalize_advantage=normalize)
    agent, samples = one_batch(algo, walk(action), mid_batch_reset=False, **MODELS[model])
    assert 0.1 < samples.valid.float().mean() < 0.9
    first = updated(algo, agent, samples)
    assert_equal_parameters(first, updated(algo, agent, scrambled(samples)))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("action", ACTIONS)
def test_invalid_steps_change_nothing_in_a2c(action, model, normalize):
    algo = A2C(normalize_advantage=normalize)
    agent, samples = one_batch(algo, walk(action), mid_batch_reset=False, **MODELS[model])
    first = updated(algo, agent, samples)
    assert_equal_parameters(first, updated(algo, agent, scrambled(samples)))


@pytest.mark.parametrize("algo", ALGOS)
def test_invalid_steps_do_not_enter_observation_statistics(algo):
    algo = ALGOS[algo]
    env, options = walk(), {"normalize_observation": True}
    agent, samples = one_batch(replace(algo), env, mid_batch_reset=False, **options)
    found = []
    for batch in (samples, scrambled(samples)):
        again, learner = fresh(algo, agent)
        again.optimize_agent(0, batch)
        found.append(dict(learner.model.named_buffers()))
    assert_equal_parameters(*found)
    assert any(buffer.dtype == torch.float64 for buffer in found[0].values())


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("algo", ALGOS)
def test_the_first_policy_is_the_one_that_acted(algo, model, mid_batch_reset):
    """Replaying the recorded inputs and states gives what was recorded: a ratio of 1, no KL."""
    algo = replace(ALGOS[algo])
    agent, samples = one_batch(algo, walk("dict"), mid_batch_reset=mid_batch_reset, **MODELS[model])
    state = agent.first_state(samples.agent_info)
    with torch.no_grad():
        dist_info, value, _own = agent.evaluate(agent.learning_inputs(samples.agent_inputs), state)
    valid = torch.ones(T, B, dtype=torch.bool) if samples.valid is None else samples.valid
    log_prob = agent.distribution.log_prob(dist_info, samples.action)
    recorded = agent.distribution.log_prob(samples.agent_info.dist_info, samples.action)
    torch.testing.assert_close(log_prob[valid], recorded[valid], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(value[valid], samples.agent_info.value[valid], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("algo", ALGOS)
def test_the_same_seed_gives_the_same_parameters(algo, model):
    def run(seed):
        learner = replace(ALGOS[algo])
        agent, sampler = make(learner, walk("dict"), T=T, B=B, seed=seed, **MODELS[model])
        for itr in range(3):
            learner.optimize_agent(itr, sampler.obtain_samples(itr)[0])
        sampler.shutdown()
        return parameters(agent)

    first, second, third = run(7), run(7), run(8)
    assert_equal_parameters(first, second)
    assert any(not torch.equal(first[name], third[name]) for name in first)


@pytest.fixture
def restored_generators():
    kept = np.random.get_state(), random.getstate()
    yield
    np.random.set_state(kept[0])
    random.setstate(kept[1])


@pytest.mark.usefixtures("restored_generators")
@pytest.mark.parametrize("algo", ALGOS)
def test_global_generators_are_neither_read_nor_moved(algo):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()

    def run(seed):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = states()
        learner = replace(ALGOS[algo])
        agent, sampler = make(learner, walk(), T=T, B=B, **MODELS["gru"])
        learner.optimize_agent(0, sampler.obtain_samples(0)[0])
        sampler.shutdown()
        assert states() == before
        return parameters(agent)

    assert_equal_parameters(run(1), run(2))


@pytest.mark.parametrize("algo", ALGOS)
def test_an_algorithm_continues_from_its_state(algo):
    """Two iterations at a stretch, and with a save and a load between, end alike."""
    settings = replace(ALGOS[algo], normalize_reward=True)
    agent, samples = one_batch(replace(settings), walk())
    first, learner = fresh(settings, agent)
    first.optimize_agent(0, samples)
    saved = copy.deepcopy((first.state_dict(), learner.state_dict()))
    first.optimize_agent(1, samples)
    second, other = fresh(settings, agent)
    other.load_state_dict(saved[1])
    second.load_state_dict(saved[0])
    second.optimize_agent(1, samples)
    assert_equal_parameters(parameters(learner), parameters(other))


def test_target_kl_stops_after_the_first_epoch_beyond_it():
    algo = PPO(epochs=6, minibatches=2, learning_rate=0.01)
    agent, samples = one_batch(replace(algo), walk())
    free, _agent = fresh(algo, agent)
    opt_info = free.optimize_agent(0, samples)
    ends = opt_info["approxKl"][1::2]  # of each epoch's last step
    assert len(ends) == 6
    stop = next(i for i in range(1, 6) if ends[i] > 1.3 * max(ends[:i]))
    assert stop < 5
    target = max(ends[:stop]) / 1.25  # 1.5 times this lies between
    stopped, learner = fresh(replace(algo, target_kl=target), agent)
    found = stopped.optimize_agent(0, samples)
    assert {name: column[: 2 * stop + 2] for name, column in opt_info.items()} == found
    only, other = fresh(replace(algo, epochs=stop + 1), agent)
    only.optimize_agent(0, samples)
    assert_equal_parameters(parameters(learner), parameters(other))
    never, _agent = fresh(replace(algo, target_kl=1e6), agent)
    assert never.optimize_agent(0, samples) == opt_info


@pytest.mark.parametrize("algo", ALGOS)
def test_the_learning_rate_falls_linearly(algo):
    sgd = replace(ALGOS[algo], OptimCls=torch.optim.SGD, optim_kwargs={}, learning_rate=0.5)
    base = replace(sgd, learning_rate_schedule="constant")
    falling = replace(base, learning_rate_schedule="linear")
    agent, samples = one_batch(replace(base), walk())
    for itr, rate in ((0, 0.5), (5, 0.25), (9, 0.05)):
        expected = updated(replace(base, learning_rate=rate), agent, samples)
        found = updated(falling, agent, samples, itr)
        for name, parameter in expected.items():
            torch.testing.assert_close(found[name], parameter, rtol=1e-6, atol=1e-7)
    assert_equal_parameters(parameters(agent), updated(falling, agent, samples, 10))
    assert_equal_parameters(updated(base, agent, samples, 9), updated(base, agent, samples, 0))


def test_the_ratio_clip_falls_linearly():
    base = PPO(epochs=4, minibatches=2, learning_rate=0.01, ratio_clip=0.25)
    falling = replace(base, ratio_clip_schedule="linear")
    agent, samples = one_batch(replace(base), walk())
    for itr, clip in ((0, 0.25), (5, 0.125)):
        expected = updated(replace(base, ratio_clip=clip), agent, samples)
        assert_equal_parameters(updated(falling, agent, samples, itr), expected)
    constant = updated(base, agent, samples, 5)
    assert any(not torch.equal(constant[name], expected[name]) for name in expected)


def test_advantages_are_normalised_over_a_batch_or_over_each_minibatch():
    def after(normalize, count):
        return updated(PPO(epochs=1, minibatches=count, normalize_advantage=normalize), *batch)

    def are_close(first, second):
        return all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)

    batch = one_batch(A2C(), walk())
    assert are_close(after("batch", 1), after("minibatch", 1))
    assert not are_close(after("batch", 1), after("none", 1))
    assert not are_close(after("batch", 4), after("minibatch", 4))
    assert not are_close(after("batch", 4), after("none", 4))


@pytest.mark.parametrize("algo", ALGOS)
def test_gradients_are_clipped_by_their_norm(algo):
    """With plain SGD the step is as long as the clipped gradient."""
    for limit in (1e-3, 1e9, None):
        learner = replace(
            ALGOS[algo],
            OptimCls=torch.optim.SGD,
            optim_kwargs={},
            learning_rate=1.0,
            clip_grad_norm=limit,
        )
        if isinstance(learner, SurrogateAlgorithm):
            learner.epochs = learner.minibatches = 1
        agent, samples = one_batch(learner, walk())
        before = parameters(agent)
        norm = learner.optimize_agent(0, samples)["gradNorm"][0]
        after = parameters(agent)
        moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
        expected = norm if limit is None else min(norm, limit)
        assert moved.norm().item() == pytest.approx(expected, rel=1e-3)


def test_more_minibatches_than_units_are_refused():
    sampler_spec, agent = BatchSpec(T, B), one_batch(A2C(), walk())[0]
    PPO(minibatches=T * B).initialize(agent, n_itr=1, batch_spec=sampler_spec, seed=0)
    with pytest.raises(RlpytError, match="minibatches=41 is more than the 40 steps"):
        PPO(minibatches=T * B + 1).initialize(agent, n_itr=1, batch_spec=sampler_spec, seed=0)
    agent = one_batch(A2C(), walk(), **MODELS["lstm"])[0]
    with pytest.raises(RlpytError, match="minibatches=5 is more than the 4 whole sequences"):
        PPO(minibatches=5).initialize(agent, n_itr=1, batch_spec=sampler_spec, seed=0)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("mid_batch_reset", [True, False])
def test_tiny_minibatches_keep_parameters_finite(mid_batch_reset, size):
    """Some hold a single valid step, or none: no deviation, no mean."""
    algo = PPO(epochs=2, minibatches=T * B // size)
    agent, samples = one_batch(algo, walk(), mid_batch_reset=mid_batch_reset)
    algo.optimize_agent(0, samples)
    assert all(torch.isfinite(parameter).all() for parameter in parameters(agent).values())


@pytest.mark.parametrize("algo", ALGOS)
def test_components_print_and_compare_as_their_configuration_after_use(algo):
    used = replace(ALGOS[algo])
    agent, samples = one_batch(used, walk())
    used.optimize_agent(0, samples)
    assert used == ALGOS[algo]
    assert repr(used) == repr(ALGOS[algo])
    assert agent == PgAgent()
    assert repr(agent) == repr(PgAgent())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, by torch
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("algo", ALGOS)
def test_a_compiled_update_equals_the_eager_one(algo, model):
    agent, samples = one_batch(replace(ALGOS[algo]), walk("dict"), **MODELS[model])
    expected = updated(ALGOS[algo], agent, samples)
    with torch._inductor.config.patch(compile_threads=1):
        found = updated(replace(ALGOS[algo], compile=True), agent, samples)
    for name, parameter in expected.items():
        torch.testing.assert_close(found[name], parameter, rtol=1e-5, atol=1e-6)
