"""EnvPool's tasks by their id: they repeat, resume, end episodes rightly, refuse in one line."""

import sys

import numpy as np
import pytest
from env_fakes import allocate, assert_same_course, assert_same_tree, copy_tree, roll
from gymnasium import spaces

from rlpyt.data import EnvStep
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.errors import RlpytError

pytest.importorskip("envpool", reason="the optional package envpool is not installed")

T, B = 60, 3


def cartpole(max_episode_steps: int = 500) -> EnvConfig:
    return EnvConfig(id="envpool/CartPole-v1", kwargs={"max_episode_steps": max_episode_steps})


def start(config: EnvConfig, seed: int = 1) -> tuple[VectorEnv, object, EnvStep]:
    env = build_vector_env(config, range(B), seed=seed)
    observation, out = allocate(env)
    env.reset(observation)
    return env, observation, out


def course(env: VectorEnv, out: EnvStep, steps: int) -> tuple[list[EnvStep], np.ndarray]:
    found, valid = [], []
    for t in range(steps):
        valid.append(env.step(np.full(B, t // 2 % 2), out).copy())
        found.append(copy_tree(out))
    return found, np.array(valid)


def test_the_id_alone_makes_it_native():
    assert cartpole().vectorization == "native"


def test_a_seed_repeats_and_another_differs():
    found = []
    for seed in (1, 1, 2):
        env, observation, out = start(cartpole(), seed)
        found.append((copy_tree(observation), course(env, out, T)[0]))
        env.close()
    assert_same_tree(found[0][0], found[1][0])
    assert_same_course(found[0][1], found[1][1])
    assert not np.array_equal(found[0][0], found[2][0])


def test_a_cut_episode_is_truncated_and_the_step_that_starts_the_next_is_no_transition():
    env, _observation, out = start(cartpole(max_episode_steps=5))
    steps, valid = course(env, out, 8)
    env.close()
    assert [step.truncated.all() for step in steps[:5]] == [False] * 4 + [True]
    assert not any(step.terminated.any() for step in steps)
    assert valid.all(axis=1).tolist() == [True] * 5 + [False] + [True] * 2
    np.testing.assert_array_equal(steps[4].final_observation, steps[4].observation)


def test_it_resumes_exactly():
    env, _observation, out = start(cartpole())
    course(env, out, 25)
    state = env.state_dict()
    expected, _valid = course(env, out, T)
    env.close()
    env, observation, out = start(cartpole(), seed=1)
    assert env.load_state_dict(state, observation)
    assert_same_course(course(env, out, T)[0], expected)
    env.close()


def forces(space: spaces.Box, steps: int) -> np.ndarray:
    """Actions [steps, B, ...], float32 as an agent gives them, some outside the bounds."""
    rng = np.random.default_rng(0)
    size = (steps, B, *space.shape)
    return rng.uniform(1.5 * space.low, 1.5 * space.high, size).astype(np.float32)


@pytest.mark.parametrize(
    ("env_id", "bound"), [("envpool/HalfCheetah-v5", 1), ("envpool/InvertedPendulum-v5", 3)]
)
def test_mujoco_takes_real_numbers_and_resumes_exactly(env_id, bound):
    config = EnvConfig(id=env_id, kwargs={"max_episode_steps": 25})
    env, observation, out = start(config)
    assert env.spaces.observation.dtype == np.float64
    assert observation.dtype == np.float32
    assert (env.spaces.action.low == -bound).all()
    assert (env.spaces.action.high == bound).all()
    actions = forces(env.spaces.action, T)
    roll(env, actions[:30], out)
    state = env.state_dict()
    expected = roll(env, actions[30:], out)
    env.close()
    env, observation, out = start(config)
    assert env.load_state_dict(state, observation)
    assert_same_course(roll(env, np.clip(actions[30:], -bound, bound), out), expected)
    env.close()


def test_half_cheetah_never_ends_but_is_cut_and_a_pendulum_falls():
    ends = {}
    for task in ("HalfCheetah-v5", "InvertedPendulum-v5"):
        env, _observation, out = start(
            EnvConfig(id=f"envpool/{task}", kwargs={"max_episode_steps": 25})
        )
        steps = roll(env, forces(env.spaces.action, T), out)
        env.close()
        ends[task] = [
            any(getattr(step, end).any() for step in steps) for end in ("terminated", "truncated")
        ]
    assert ends == {"HalfCheetah-v5": [False, True], "InvertedPendulum-v5": [True, False]}


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (EnvConfig(id="envpool/Pongg-v5"), "EnvPool has no task 'Pongg-v5' - did you mean 'Pong"),
        (EnvConfig(id="envpool/Pong-v5", kwargs={"skip": 4}), "does not make Pong-v5 with.*skip"),
        (EnvConfig(id="envpool/Pong-v5", frame_stack=4), "frame_stack is not available"),
    ],
)
def test_what_it_cannot_do_is_told(config, error):
    with pytest.raises(RlpytError, match=error):
        build_vector_env(config, range(B), seed=0)


def procgen(**options) -> EnvConfig:
    return EnvConfig(id="envpool/CoinrunEasy-v0", kwargs=options)


def first_images(config, seed=1):
    """[B, 3, 64, 64] after a reset."""
    try:
        env, observation, _out = start(config, seed)
    except RlpytError as error:
        if "cannot load" in error.what:
            pytest.skip("Procgen needs Qt 5, which is not installed")
        raise
    assert env.spaces.observation.shape == (3, 64, 64)
    assert env.spaces.action.n == 15
    images = np.array(observation)
    env.close()
    return images


def test_procgen_has_as_many_levels_as_are_asked_for():
    images = first_images(procgen(num_levels=1, start_level=7))
    assert images.dtype == np.uint8
    assert images.shape == (B, 3, 64, 64)
    assert all(np.array_equal(images[0], image) for image in images)
    assert np.array_equal(images, first_images(procgen(num_levels=1, start_level=7), seed=2))
    assert not np.array_equal(images, first_images(procgen(num_levels=1, start_level=8)))
    anywhere = first_images(procgen())
    assert not all(np.array_equal(anywhere[0], image) for image in anywhere)


def test_without_envpool_its_extra_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(RlpytError, match="envpool is not installed") as caught:
        build_vector_env(EnvConfig(id="envpool/Pong-v5"), range(2), seed=0)
    assert "rlpyt[envpool]" in caught.value.hint


def test_a_library_that_is_missing_is_told(monkeypatch):
    def make(*_args, **_kwargs):
        raise ImportError("EnvPool Procgen requires the system Qt 5 runtime")

    monkeypatch.setattr("envpool.make", make)
    with pytest.raises(RlpytError, match=r"cannot load CoinrunEasy-v0: .*Qt 5") as caught:
        build_vector_env(procgen(), range(B), seed=0)
    assert "apt install libqt5gui5" in caught.value.hint
