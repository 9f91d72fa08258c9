"""Gymnasium's MuJoCo environments: float64 in, float32 out, actions in their own bounds, two kinds
of ends, states that come back bit for bit.
"""

import gymnasium
import numpy as np
import pytest
from env_fakes import allocate, assert_same_course, copy_tree, plain_course, roll
from gymnasium import spaces

from rlpyt.data import EnvStep
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.envs.gym import make_env
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.errors import RlpytError

mujoco = pytest.importorskip("mujoco", reason="the optional package mujoco is not installed")
pytest.importorskip("imageio", reason="the optional package imageio is not installed")

B = 2


def start(env_id: str, seed: int = 0, **kwargs: object) -> tuple[VectorEnv, EnvStep]:
    env = build_vector_env(EnvConfig(id=env_id, kwargs=kwargs), range(B), seed=seed)
    observation, out = allocate(env)
    env.reset(observation)
    return env, out


def uniform(space: spaces.Box, steps: int) -> np.ndarray:
    """Actions [steps, B, ...], float32 as an agent gives them."""
    rng = np.random.default_rng(0)
    return rng.uniform(space.low, space.high, (steps, B, *space.shape)).astype(np.float32)


def test_half_cheetah_is_what_gymnasium_says():
    env, out = start("HalfCheetah-v5", max_episode_steps=30)
    assert env.spaces.observation == spaces.Box(-np.inf, np.inf, (17,), np.float64)
    assert env.spaces.action == spaces.Box(-1, 1, (6,), np.float32)
    actions = uniform(env.spaces.action, 70)
    course = roll(env, actions, out)
    env.close()
    assert out.observation.dtype == out.reward.dtype == np.float32
    for i in range(B):

        def make():
            return gymnasium.make("HalfCheetah-v5", max_episode_steps=30)

        _first, expected = plain_course(make, i, actions[:, i], seed=0)
        for t, (found, step) in enumerate(zip(course, expected, strict=True)):
            np.testing.assert_array_equal(
                found.observation[i], step["observation"].astype(np.float32)
            )
            assert found.reward[i] == np.float32(step["reward"])
            assert not found.terminated[i]
            assert found.truncated[i] == step["truncated"] == (t % 30 == 29)
            if found.truncated[i]:
                last = step["final_observation"].astype(np.float32)
                np.testing.assert_array_equal(found.final_observation[i], last)


@pytest.mark.parametrize(("env_id", "bound"), [("InvertedPendulum-v5", 3), ("HalfCheetah-v5", 1)])
def test_actions_reach_their_bounds_and_no_further(env_id, bound):
    """HalfCheetah's reward has the cost of the action that it was given."""
    after = {}
    for push in (0.5 * bound, bound, 2.0 * bound):
        env, out = start(env_id)
        assert (env.spaces.action.low == -bound).all()
        assert (env.spaces.action.high == bound).all()
        [after[push]] = roll(env, np.full((1, B, *env.spaces.action.shape), push, np.float32), out)
        env.close()
    assert_same_course([after[2.0 * bound]], [after[bound]])
    assert not np.array_equal(after[bound].observation, after[0.5 * bound].observation)


def test_a_pendulum_that_falls_is_terminated():
    env, out = start("InvertedPendulum-v5")
    steps = roll(env, np.full((40, B, 1), 1.0, np.float32), out)
    env.close()
    assert any(step.terminated.any() for step in steps)
    assert not any(step.truncated.any() for step in steps)


@pytest.mark.parametrize(
    "env_id",
    ["HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "InvertedDoublePendulum-v5", "Pusher-v5"],
)
def test_a_state_in_the_middle_of_an_episode_comes_back_exactly(env_id):
    """In a new instance, after episodes of which it knows nothing; seeds differ."""
    env, out = start(env_id, max_episode_steps=60)
    actions = uniform(env.spaces.action, 200)
    roll(env, actions[:100], out)
    state, observation = env.state_dict(), copy_tree(out.observation)
    expected = roll(env, actions[100:], out)
    env.close()
    env, out = start(env_id, max_episode_steps=60)
    assert env.load_state_dict(state, observation)
    assert_same_course(roll(env, actions[100:], out), expected)
    env.close()
    env, out = start(env_id, seed=1, max_episode_steps=60)
    assert not np.array_equal(roll(env, actions[100:], out)[0].observation, expected[0].observation)
    env.close()


def test_rendering_without_a_display_is_told_what_to_set():
    class Renders(gymnasium.Env):
        observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            raise mujoco.FatalError("an OpenGL platform library has not been loaded")

    env = build_vector_env(EnvConfig(id=Renders), range(1), seed=0)
    with pytest.raises(RlpytError, match="an OpenGL platform library") as caught:
        env.reset(allocate(env)[0])
    assert caught.value.hint == "without a display, set the environment variable MUJOCO_GL=egl"
    env.close()


@pytest.mark.filterwarnings("ignore:.*is out of date")
@pytest.mark.parametrize(
    ("env_id", "hint"),
    [
        ("HalfCheetah-v3", "use HalfCheetah-v5"),
        ("Hopper-v2", "use Hopper-v5"),
        ("HalfCheeta-v5", "did you mean 'HalfCheetah-v5'?"),
        ("HalfCheetah-v9", "did you mean 'HalfCheetah-v5'?"),
    ],
)
def test_an_old_or_unknown_version_is_told_the_right_one(env_id, hint):
    with pytest.raises(RlpytError) as caught:
        make_env(env_id)
    assert env_id in caught.value.what
    assert caught.value.hint == hint
