"""The masked-velocity CartPole: CartPole-v1 with two of its four numbers."""

import pickle

import gymnasium
import numpy as np

from rlpyt.envs import check_env, make_env, masked_velocity_cartpole


def test_is_cartpole_without_velocities() -> None:
    masked, full = masked_velocity_cartpole(), gymnasium.make("CartPole-v1")
    assert masked.action_space == full.action_space
    assert masked.observation_space.shape == (2,)
    seen, whole = masked.reset(seed=3)[0], full.reset(seed=3)[0]
    for action in [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]:
        np.testing.assert_array_equal(seen, whole[[0, 2]])
        assert seen.dtype == np.float32
        assert masked.observation_space.contains(seen)
        seen, *ends, _ = masked.step(action)
        whole, *other_ends, _ = full.step(action)
        assert ends == other_ends
        if ends[1]:
            break
    assert ends[1], "the pole should have fallen"


def test_keeps_the_time_limit_and_pickles() -> None:
    env = masked_velocity_cartpole()
    assert env.spec is not None
    assert env.spec.max_episode_steps == 500
    other = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(env.reset(seed=0)[0], other.reset(seed=0)[0])


def test_is_found_by_name_and_passes_the_check() -> None:
    name = "rlpyt.envs.classic:masked_velocity_cartpole"
    assert make_env(name).observation_space.shape == (2,)
    assert check_env(name, steps=200).ok
