"""From what a user names to a running vector of environments, with the wrappers that were asked."""

import pickle
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from env_fakes import WalkEnv, allocate, assert_same_course, roll
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig, build_env, build_vector_env, peek_spaces
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int


def walk(**kwargs: Any) -> WalkEnv:
    return WalkEnv(**kwargs)


def sync_walks(num_envs: int, **kwargs: Any) -> SyncVectorEnv:
    return SyncVectorEnv([partial(WalkEnv, **kwargs)] * num_envs)


def rolled(config: EnvConfig, T: int = 30, B: int = 2, info: Any = None, **kwargs: Any):
    env = build_vector_env(config, range(B), seed=1, **kwargs)
    observation, out = allocate(env, info)
    env.reset(observation)
    actions = np.random.default_rng(0).integers(2, size=(T, B))
    return observation, roll(env, actions, out)


def test_of_takes_what_a_user_has():
    config = EnvConfig(id="CartPole-v1", time_limit=3)
    assert EnvConfig.of(config) is config
    assert EnvConfig.of("CartPole-v1") == EnvConfig(id="CartPole-v1")
    assert EnvConfig.of(walk).id is walk
    assert pickle.loads(pickle.dumps(config)) == config


def test_ids_callables_and_kwargs():
    assert build_env(EnvConfig(id="CartPole-v1")).spec.id == "CartPole-v1"
    env = build_env(EnvConfig(id=walk, kwargs={"end": 0.5}))
    assert isinstance(env, WalkEnv)
    assert env.end == 0.5
    with pytest.raises(RlpytError, match="did you mean 'CartPole-v1'"):
        build_env(EnvConfig(id="CartPole-v9"))


def test_render_mode_is_passed_on_where_given():
    config = EnvConfig(id="CartPole-v1")
    assert build_env(config).render_mode is None
    assert build_env(config, render_mode="rgb_array").render_mode == "rgb_array"
    assert config.kwargs == {}


def test_clipped_rewards():
    kwargs = {"end": 0.1, "cut": 0.0}
    _, plain = rolled(EnvConfig(id=walk, kwargs=kwargs))
    _, clipped = rolled(EnvConfig(id=walk, kwargs=kwargs, clip_reward=0.5))
    found = np.array([step.reward for step in clipped])
    expected = np.clip([step.reward for step in plain], -0.5, 0.5)
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert found.min() == -0.5
    assert found.max() == 0.5


def test_a_stack_of_frames_is_the_last_observations_and_starts_anew():
    kwargs = {"end": 0.15, "cut": 0.0}
    first, plain = rolled(EnvConfig(id=walk, kwargs=kwargs))
    first_stack, stacked = rolled(EnvConfig(id=walk, kwargs=kwargs, frame_stack=3))
    np.testing.assert_array_equal(first_stack, np.repeat(first[:, None], 3, axis=1))
    history = np.repeat(first[:, None], 3, axis=1)
    n_ended = 0
    for step, stack in zip(plain, stacked, strict=True):
        for i in range(2):
            done = step.terminated[i] or step.truncated[i]
            newest = step.final_observation[i] if done else step.observation[i]
            history[i] = np.concatenate([history[i, 1:], newest[None]])
            if done:
                n_ended += 1
                np.testing.assert_array_equal(stack.final_observation[i], history[i])
                history[i] = step.observation[i]
        np.testing.assert_array_equal(stack.observation, history)
    assert n_ended > 2
    space = peek_spaces(EnvConfig(id=walk, frame_stack=3)).observation
    assert space.shape == (3, 3)


@pytest.mark.parametrize("wrappers", [{}, {"clip_reward": 1.0, "frame_stack": 2}], ids=str)
def test_a_time_limit_truncates(wrappers):
    config = EnvConfig(id=walk, kwargs={"end": 0, "cut": 0}, time_limit=7, **wrappers)
    _, steps = rolled(config, T=30)
    truncated = np.array([step.truncated for step in steps])
    assert np.flatnonzero(truncated[:, 0]).tolist() == [6, 13, 20, 27]
    assert not np.array([step.terminated for step in steps]).any()


def test_a_time_limit_shorter_than_the_ids_own():
    lengths = [
        np.flatnonzero([step.truncated[0] for step in rolled(EnvConfig(id=env, time_limit=9))[1]])
        for env in ("MountainCar-v0", lambda: gymnasium.make("MountainCar-v0"))
    ]
    assert [found.tolist() for found in lengths] == [[8, 17, 26]] * 2


def test_info_keys_are_recorded_through_wrappers():
    keys = ("first", "push")
    cls = namedarraytuple("EnvInfo", keys)
    config = EnvConfig(id=walk, kwargs={"end": 0, "cut": 0}, info_keys=keys, time_limit=9)
    _, steps = rolled(config, T=8, info=cls(0.0, 0.0))
    for step in steps:
        np.testing.assert_array_equal(step.env_info.first, step.observation[:, 0])
    assert {float(x) for step in steps for x in step.env_info.push} == {0.0, 1.0}


def test_streams_indices_and_auto_reset_are_passed_on():
    made: list[WalkEnv] = []

    def make():
        made.append(WalkEnv(1.0, 0.0))
        return made[-1]

    env = build_vector_env(
        EnvConfig(id=make), [6, 8], seed=4, stream=Stream.EVAL_ENV, auto_reset=False
    )
    assert isinstance(env, LoopVectorEnv)
    observation, out = allocate(env)
    env.reset(observation)
    assert [fake.seeds for fake in made] == [
        [seed_int(4, Stream.EVAL_ENV, index, 0)] for index in (6, 8)
    ]
    env.step(np.zeros(2, np.int64), out)
    assert env.step(np.zeros(2, np.int64), out).tolist() == [False, False]


def test_wrappers_do_not_change_what_they_do_not_touch():
    config = EnvConfig(id=walk, kwargs={"end": 0.1})
    _, plain = rolled(config)
    wide = EnvConfig(id=walk, kwargs={"end": 0.1}, clip_reward=1e9, time_limit=10**6)
    assert_same_course(plain, rolled(wide)[1])


# --- native ------------------------------------------------------------------------------------


def test_native_takes_an_id_with_a_vector_entry_point_or_a_callable():
    env = build_vector_env(EnvConfig(id="CartPole-v1", vectorization="native"), range(3), seed=0)
    assert isinstance(env, NativeVectorEnv)
    assert env.n_envs == 3
    config = EnvConfig(id=sync_walks, kwargs={"end": 1.0}, vectorization="native")
    _, steps = rolled(config, T=4, B=3)
    assert steps[0].terminated.all()
    assert not steps[1].terminated.any()  # resets in the next step


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ({"clip_reward": 1.0}, "clip_reward"),
        ({"frame_stack": 4}, "frame_stack"),
        ({"info_keys": ("a",)}, "info_keys"),
        ({"time_limit": 10}, "time_limit"),
    ],
    ids=str,
)
def test_native_refuses_options_that_it_would_not_honour(option, name):
    config = EnvConfig(id="CartPole-v1", vectorization="native", **option)
    with pytest.raises(RlpytError, match=f"{name} is not available.*native") as caught:
        build_vector_env(config, range(2), seed=0)
    assert caught.value.code == "config"
    assert "vectorization='loop'" in caught.value.hint


def test_native_cannot_wait():
    config = EnvConfig(id="CartPole-v1", vectorization="native")
    with pytest.raises(RlpytError, match="mid_batch_reset=False is not available"):
        build_vector_env(config, range(2), seed=0, auto_reset=False)


def test_native_says_what_it_needs():
    with pytest.raises(RlpytError, match="Pendulum-v1 has no native vector environment"):
        build_vector_env(EnvConfig(id="Pendulum-v1", vectorization="native"), [0], seed=0)

    def lone(num_envs):
        return WalkEnv()

    with pytest.raises(RlpytError, match=r"returned WalkEnv, expected a .*vector"):
        build_vector_env(EnvConfig(id=lone, vectorization="native"), [0], seed=0)


def test_native_says_that_an_id_is_unknown():
    with pytest.raises(RlpytError, match="CartPole-v9"):
        build_vector_env(EnvConfig(id="CartPole-v9", vectorization="native"), [0], seed=0)


# --- spaces ------------------------------------------------------------------------------------


def test_peeking_gives_the_spaces_and_closes_what_it_opened():
    closed = []

    class Closing(WalkEnv):
        def close(self):
            closed.append(self)

    class ClosingVector(SyncVectorEnv):
        def close_extras(self, **kwargs):
            closed.append(self)

    found = peek_spaces(EnvConfig(id=Closing, time_limit=4))
    assert found == EnvSpaces(WalkEnv().observation_space, spaces.Discrete(3))
    assert len(closed) == 1

    def vector(num_envs):
        return ClosingVector([WalkEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)

    assert peek_spaces(EnvConfig(id=vector, vectorization="native")) == found
    assert len(closed) == 2
