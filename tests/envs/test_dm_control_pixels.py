"""dm_control's suite through a camera, in a process of its own: how it renders is chosen once."""

import os
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest

import rlpyt
from rlpyt.envs.dm_control_pixels import pixel_stack

pytest.importorskip("dm_control", reason="the optional package dm-control is not installed")
pytest.importorskip("shimmy", reason="the optional package shimmy is not installed")

ROOT = Path(rlpyt.__file__).parents[1]
needs_renderer = pytest.mark.skipif(
    find_library("EGL") is None and find_library("OSMesa") is None,
    reason="nothing to render with: neither EGL nor OSMesa is installed",
)
FRAMES = """
import numpy as np
from rlpyt.envs.gym import make_env

def course(repeat, seed):
    kwargs = {"size": 40, "action_repeat": repeat, "task_kwargs": {"time_limit": 0.2}}
    env = make_env("dm_control_pixels/cartpole-swingup-v0", kwargs)
    seen, rewards, done = [env.reset(seed=seed)[0]], [], False
    while not done:
        observation, reward, terminated, truncated, _info = env.step(np.ones(1))
        seen.append(observation)
        rewards.append(reward)
        assert not terminated
        done = truncated
    assert all(observation in env.observation_space for observation in seen)
    return np.stack(seen), np.array(rewards)

once, rewards = course(1, 3)
assert once.shape == (21, 9, 40, 40) and once.dtype == np.uint8
assert (once[0, :3] == once[0, 3:6]).all() and (once[0, :3] == once[0, 6:]).all()
assert (once[1:, :6] == once[:-1, 3:]).all()  # stacks go on
assert (once[1:, 6:] != once[:-1, 6:]).any((1, 2, 3)).sum() > 10  # it moves
twice, sums = course(2, 3)
assert len(sums) == 10 and np.allclose(sums, rewards.reshape(10, 2).sum(1))
assert (twice[:, 6:] == once[::2, 6:]).all()
again, _rewards = course(2, 3)
assert (again == twice).all()
assert (course(2, 4)[0] != twice).any()
print("all as it should be")
"""
ERROR = """
from rlpyt.envs.gym import make_env
make_env("dm_control_pixels/cartpole-swingup-v0").reset(seed=0)
"""


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_renderer
def test_frames_are_stacked_actions_repeated_and_seeds_repeat() -> None:
    done = run(FRAMES)
    assert done.stdout == "all as it should be\n", done.stderr


def test_where_nothing_renders_the_error_says_what_to_set() -> None:
    done = run(ERROR, MUJOCO_GL="disabled")
    assert done.returncode == 1
    assert "cannot render with MUJOCO_GL='disabled'" in done.stderr
    assert "MUJOCO_GL=egl" in done.stderr


def test_how_many_frames_a_replay_finds_in_its_observations() -> None:
    assert pixel_stack("dm_control_pixels/walker-walk-v0", {}) == 3
    assert pixel_stack("dm_control_pixels/walker-walk-v0", {"frame_stack": 4}) == 4
    assert pixel_stack("dm_control/walker-walk-v0", {}) is None
