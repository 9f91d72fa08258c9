"""The serial sampler: configuration, seeds, ranks, and a state that goes through files."""

import pickle
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from sampler_fakes import (
    CPU,
    LSTM,
    SHARED,
    CountTrajInfo,
    ScriptEnvs,
    WalkEnv,
    assert_equal,
    copy_samples,
    make_agent,
    walk_vector,
)

from rlpyt.agents.pg import PgAgent
from rlpyt.checkpoint import read_checkpoint, write_checkpoint
from rlpyt.data import BatchSpec, EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.samplers import SerialSampler
from rlpyt.utils.errors import RlpytError

MODELS = {"separate": {}, "shared": SHARED, "lstm": LSTM}


def started(
    env=WalkEnv, *, model_kwargs=None, T=6, B=4, seed=3, rank=0, agent_env=WalkEnv, **kwargs
):
    sampler = SerialSampler(env=env, batch_T=T, batch_B=B, **kwargs)
    sampler.initialize(
        make_agent(agent_env, model_kwargs),
        seed=seed,
        rank=rank,
        discount=0.9,
        bootstrap_value=True,
    )
    return sampler


def obtain(sampler, n_batches):
    batches, trajs = [], []
    for itr in range(n_batches):
        samples, finished = sampler.obtain_samples(itr)
        batches.append(without_the_unwritten(copy_samples(samples)))
        trajs.append(finished)
    return batches, trajs


def without_the_unwritten(samples):
    written = samples.done
    written[-1] |= True if samples.valid is None else samples.valid[-1]
    samples.final_observation[~written] = 0
    return samples


def assert_same_batches(one, other):
    assert one[1] == other[1]
    for x, y in zip(one[0], other[0], strict=True):
        assert_equal(x, y)


def test_uninitialized_it_is_its_configuration():
    sampler = SerialSampler(env="CartPole-v1", batch_T=5, batch_B=3, poison=True)
    assert sampler == SerialSampler(env="CartPole-v1", batch_T=5, batch_B=3, poison=True)
    assert sampler != SerialSampler(env="CartPole-v1", batch_T=6, batch_B=3, poison=True)
    assert pickle.loads(pickle.dumps(sampler)) == sampler
    assert "_collector" not in repr(sampler)
    assert sampler.batch_spec == BatchSpec(5, 3)
    assert sampler.batch_spec.size == 15


def test_env_spaces_from_an_id_a_callable_or_all_options():
    for env in ("CartPole-v1", EnvConfig(id="CartPole-v1"), partial(gymnasium.make, "CartPole-v1")):
        found = SerialSampler(env=env, batch_T=1, batch_B=1).env_spaces()
        assert found.action == spaces.Discrete(2)
        assert found.observation.shape == (4,)


@pytest.mark.parametrize("method", ["obtain_samples", "state_dict", "load_state_dict"])
def test_before_initialize_and_after_shutdown_it_says_what_to_do(method):
    arguments = [] if method == "state_dict" else [{}]
    sampler = SerialSampler(env=WalkEnv, batch_T=2, batch_B=1)
    with pytest.raises((RuntimeError, RlpytError), match="initialize"):
        getattr(sampler, method)(*arguments)
    sampler.shutdown()
    sampler.initialize(make_agent(WalkEnv), seed=0)
    sampler.obtain_samples(0)
    sampler.shutdown()
    with pytest.raises((RuntimeError, RlpytError), match="initialize"):
        getattr(sampler, method)(*arguments)


def test_shutdown_closes_every_environment():
    closed = []

    class Closing(WalkEnv):
        def close(self):
            closed.append(self)

    sampler = started(Closing, B=3)
    sampler.shutdown()
    assert len(closed) == 3
    sampler.shutdown()
    assert len(closed) == 3


def test_environments_are_closed_where_the_agent_cannot_act_in_them(monkeypatch):
    closed = []

    class Closing(WalkEnv):
        def close(self):
            closed.append(self)

    def fail(*args):
        raise ValueError("no such observation")

    agent = make_agent(WalkEnv)
    monkeypatch.setattr(agent, "step", fail)
    sampler = SerialSampler(env=Closing, batch_T=4, batch_B=3)
    with pytest.raises(ValueError, match="no such observation"):
        sampler.initialize(agent, seed=0)
    assert len(closed) == 3


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_samples_and_another_others(model):
    first = obtain(started(model_kwargs=MODELS[model]), 4)
    assert_same_batches(first, obtain(started(model_kwargs=MODELS[model]), 4))
    other = obtain(started(model_kwargs=MODELS[model], seed=4), 4)
    assert (first[0][0].observation != other[0][0].observation).any()


def test_nobody_draws_from_a_global_generator():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    obtain(started(max_decorrelation_steps=5), 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


def test_ranks_have_environments_of_their_own():
    both, _ = started(B=8).obtain_samples(0)
    for rank in (0, 1):
        own, _ = started(B=4, rank=rank).obtain_samples(0)
        columns = slice(4 * rank, 4 * rank + 4)
        torch.testing.assert_close(own.observation, both.observation[:, columns])
        assert torch.equal(own.action, both.action[:, columns])
        torch.testing.assert_close(own.reward, both.reward[:, columns])


def test_discount_and_traj_info_class():
    _, trajs = obtain(started(ScriptEnvs(), TrajInfoCls=CountTrajInfo), 6)
    finished = [traj for batch in trajs for traj in batch]
    assert {type(traj) for traj in finished} == {CountTrajInfo}
    assert {traj.discount for traj in finished} == {0.9}
    assert {traj.env_index for traj in finished} == set(range(4))
    assert max(traj.NFragments for traj in finished) > 1


def test_info_keys_are_recorded_as_float32():
    sampler = started(EnvConfig(id=ScriptEnvs(), info_keys=("t",)), T=5)
    samples, _ = sampler.obtain_samples(0)
    assert samples.env_info._fields == ("t",)
    assert samples.env_info.t.dtype == torch.float32
    torch.testing.assert_close(samples.env_info.t[:, 3], torch.tensor([1.0, 2, 1, 2, 3]))


def test_decorrelation_by_seed():
    plain, apart, again = (
        started(max_decorrelation_steps=n).obtain_samples(0)[0] for n in (0, 9, 9)
    )
    assert_equal(apart.observation, again.observation)
    assert (apart.observation[0] != plain.observation[0]).any()


def test_native_environments_and_options_that_they_cannot_honour():
    config = EnvConfig(id="CartPole-v1", vectorization="native")
    sampler = SerialSampler(env=config, batch_T=40, batch_B=3)
    agent = PgAgent()
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0)
    samples, trajs = sampler.obtain_samples(0)
    assert torch.equal(samples.valid[1:], ~samples.done[:-1])
    assert sum(traj.Length for traj in trajs) <= int(samples.valid.sum())
    with pytest.raises(RlpytError, match="mid_batch_reset=False is not available"):
        SerialSampler(env=config, batch_T=4, batch_B=3, mid_batch_reset=False).initialize(
            agent, seed=0
        )


def test_an_environments_mistake_reaches_the_user_in_one_line():
    class Bad(WalkEnv):
        def step(self, action):
            observation, _reward, *rest = super().step(action)
            return observation, np.nan, *rest

    with pytest.raises(RlpytError, match=r"env 8 returned reward = nan") as caught:
        started(Bad, rank=2).obtain_samples(0)
    assert "\n" not in str(caught.value)


# --- state -------------------------------------------------------------------------------------


def through_files(tmp_path, state):
    write_checkpoint(tmp_path / "state", state, itr=0, cum_steps=0)
    return read_checkpoint(tmp_path / "state")[0]


def continued(make, tmp_path):
    """Uninterrupted, and saved to files after a few batches and loaded again: the same."""
    sampler = make()
    obtain(sampler, 3)
    state = through_files(tmp_path, sampler.state_dict())
    expected = obtain(sampler, 6)
    again = make()
    again.load_state_dict(state)
    assert_same_batches(expected, obtain(again, 6))
    return expected


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_it_continues_from_files_in_the_middle_of_episodes(tmp_path, model, mid_batch_reset):
    make = partial(
        started,
        model_kwargs=MODELS[model],
        mid_batch_reset=mid_batch_reset,
        max_decorrelation_steps=7,
        TrajInfoCls=CountTrajInfo,
    )
    batches, trajs = continued(make, tmp_path)
    assert not batches[0].reset[0].all()
    assert sum(map(len, trajs)) > 3


ACTION_SPACES = {
    "box": spaces.Box(-0.5, 0.5, (2,), np.float32),
    "multi_discrete": spaces.MultiDiscrete([2, 3], start=[1, 0]),
    "nested": spaces.Dict(
        x=spaces.Tuple([spaces.Discrete(2, start=3), spaces.Box(-1, 1, (1,), np.float32)]),
        y=spaces.MultiBinary(2),
    ),
}


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_actions_of_every_kind_go_through_files(tmp_path, name):
    env = partial(WalkEnv, action_space=ACTION_SPACES[name])
    continued(partial(started, env, agent_env=env, max_decorrelation_steps=5), tmp_path)


def test_the_wrappers_of_a_real_environment_continue(tmp_path):
    config = EnvConfig(id="CartPole-v1", frame_stack=2, clip_reward=0.5, time_limit=15)

    def make():
        sampler = SerialSampler(env=config, batch_T=8, batch_B=3)
        agent = PgAgent(model_kwargs=LSTM)
        agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
        sampler.initialize(agent, seed=0)
        return sampler

    batches, trajs = continued(make, tmp_path)
    assert max(traj.Length for batch in trajs for traj in batch) == 15
    assert batches[0].reward.unique().tolist() == [0.5]


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP], ids=str)
def test_native_environments_continue_from_files(tmp_path, mode):
    config = EnvConfig(id=partial(walk_vector, mode=mode), vectorization="native")
    made = WalkEnv()
    assert SerialSampler(env=config, batch_T=1, batch_B=1).env_spaces() == EnvSpaces(
        made.observation_space, made.action_space
    )
    continued(partial(started, config), tmp_path)
