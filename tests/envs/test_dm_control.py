"""dm_control's tasks by their id: what they observe, how they end, repeat and resume; silence."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from env_fakes import allocate, assert_same_course, assert_same_tree, copy_tree, roll
from gymnasium import spaces

import rlpyt
from rlpyt.data import EnvStep
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.envs.gym import make_env
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.errors import RlpytError

pytest.importorskip("dm_control", reason="the optional package dm-control is not installed")
pytest.importorskip("shimmy", reason="the optional package shimmy is not installed")

ROOT = Path(rlpyt.__file__).parents[1]
CHEETAH = "dm_control/cheetah-run-v0"
B = 2


def start(
    env_id: str = CHEETAH, seed: int = 0, **task_kwargs: object
) -> tuple[VectorEnv, object, EnvStep]:
    kwargs = {"task_kwargs": task_kwargs} if task_kwargs else {}
    env = build_vector_env(EnvConfig(id=env_id, kwargs=kwargs), range(B), seed=seed)
    observation, out = allocate(env)
    env.reset(observation)
    return env, observation, out


def uniform(env: VectorEnv, steps: int) -> np.ndarray:
    """Actions [steps, B, ...], float32 as an agent gives them."""
    shape = (steps, B, *env.spaces.action.shape)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def test_observations_are_fields_and_an_episode_is_cut_after_1000_steps():
    env, observation, out = start()
    assert env.spaces.observation == spaces.Dict(
        position=spaces.Box(-np.inf, np.inf, (8,), np.float64),
        velocity=spaces.Box(-np.inf, np.inf, (9,), np.float64),
    )
    assert env.spaces.action == spaces.Box(-1, 1, (6,), np.float64)
    assert observation.position.shape == (B, 8)
    assert observation.velocity.dtype == np.float32
    steps = roll(env, uniform(env, 1001), out)
    env.close()
    assert [t for t, step in enumerate(steps, 1) if step.truncated.any()] == [1000]
    assert steps[999].truncated.all()
    assert not any(step.terminated.any() for step in steps)
    assert not np.array_equal(steps[999].final_observation.position, steps[999].observation[0])
    assert all(((step.reward >= 0) & (step.reward <= 1)).all() for step in steps)


def test_a_task_that_fails_is_terminated_and_names_are_fields():
    """A humanoid that falls; what dm_control calls walker/joints_pos, and nothing empty."""
    env, observation, out = start("dm_control/CmuHumanoidGoToTarget-v0")
    assert observation.walker_joints_pos.shape == (B, 56)
    assert all(0 not in leaf.shape for leaf in observation)
    steps = roll(env, uniform(env, 40), out)
    env.close()
    assert any(step.terminated.any() for step in steps)
    assert not any(step.truncated.any() for step in steps)


def test_a_seed_repeats_and_another_differs():
    found = []
    for seed in (1, 1, 2):
        env, observation, out = start(seed=seed, time_limit=0.2)
        found.append((copy_tree(observation), roll(env, uniform(env, 50), out)))
        env.close()
    assert_same_tree(found[0][0], found[1][0])
    assert_same_course(found[0][1], found[1][1])
    assert not np.array_equal(found[0][0].position, found[2][0].position)


@pytest.mark.parametrize(
    "env_id", [CHEETAH, "dm_control/finger-spin-v0", "dm_control/fish-swim-v0"]
)
def test_a_state_in_the_middle_of_an_episode_comes_back_exactly(env_id):
    """In a new instance, after an episode of which it knows nothing."""
    env, _observation, out = start(env_id, time_limit=1.0)
    actions = uniform(env, 150)
    roll(env, actions[:120], out)
    state, observation = env.state_dict(), copy_tree(out.observation)
    assert all(0 < len(saved["actions"]) < 120 for saved in state["envs"])
    expected = roll(env, actions[120:], out)
    env.close()
    env, _observation, out = start(env_id, time_limit=1.0)
    assert env.load_state_dict(state, observation)
    assert_same_course(roll(env, actions[120:], out), expected)
    env.close()


def test_a_model_drawn_when_it_is_made_is_told_on_resume_unless_it_has_a_seed():
    """dm_control draws lqr's springs in its constructor, from chance or ``random``."""
    for task_kwargs, warns in ({}, True), ({"random": 0}, False):
        env, _observation, out = start("dm_control/lqr-lqr_2_1-v0", **task_kwargs)
        roll(env, uniform(env, 20), out)
        state, observation = env.state_dict(), copy_tree(out.observation)
        env.close()
        env, _observation, out = start("dm_control/lqr-lqr_2_1-v0", **task_kwargs)
        if warns:
            with pytest.warns(UserWarning, match="is not deterministic"):
                env.load_state_dict(state, observation)
        else:
            env.load_state_dict(state, observation)
        env.close()


def test_a_new_process_without_a_display_makes_it_in_silence():
    """As a spawned worker does, with nothing but the id."""
    script = (
        "from rlpyt.envs.build import EnvConfig, peek_spaces\n"
        f"print(peek_spaces(EnvConfig(id={CHEETAH!r})).action.shape)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MUJOCO_GL")}
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "(6,)\n"), done.stderr
    assert "glfw" not in done.stderr.lower()


@pytest.mark.parametrize("package", ["dm_control", "shimmy"])
def test_a_missing_package_is_told_with_the_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(RlpytError, match=f"needs the package {package}") as caught:
        make_env(CHEETAH)
    assert caught.value.hint == 'pip install "rlpyt[dm-control]"'


def test_an_unknown_task_is_told_the_nearest():
    with pytest.raises(RlpytError) as caught:
        make_env("dm_control/cheeta-run-v0")
    assert caught.value.hint == f"did you mean {CHEETAH!r}?"
