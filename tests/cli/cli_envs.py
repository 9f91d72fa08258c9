"""Environments for the command line, as ``cli_envs:Sound`` and so on."""

import os
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Sound(gymnasium.Env):
    """Nothing wrong with it, but what ``fault`` names, from step ``at`` of an episode."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, fault: str = "", at: int = 3, render_mode: str | None = None) -> None:
        self.observation_space = spaces.Box(-1, 1, (3,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.fault, self.at, self.render_mode = fault, at, render_mode
        if fault == "raise in constructor":
            raise OSError("no licence\nfor the simulator")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observation("reset"), {}

    def step(self, action):
        self.t += 1
        observation = self._observation("step") if self.t >= self.at else np.zeros(3, np.float32)
        reward = float("inf") if self.fault == "reward" and self.t >= self.at else float(action)
        return observation, reward, self.t >= 10, False, {}

    def _observation(self, where: str) -> Any:
        if self.fault == f"nan in {where}":
            return np.array([0, np.nan, 0], np.float32)
        if self.fault == f"shape in {where}":
            return np.zeros(4, np.float32)
        if self.fault == f"dtype in {where}":
            return np.zeros(3, np.float64)
        if self.fault == f"raise in {where}":
            raise KeyError("no such\ncheese")
        if self.fault == f"exit in {where}":
            raise SystemExit(0)
        return np.full(3, self.np_random.uniform(-1, 1), np.float32)

    def render(self) -> Any:
        return np.full((32, 32, 3), 10 * self.t, np.uint8)

    def close(self) -> None:
        if self.fault == "raise in close":
            raise RuntimeError("cannot close")


class Outer:
    """A namespace."""

    class Inner(Sound):
        """Found by its qualified name."""


class Counted(Sound):
    """Leaves a file wherever ``CLI_ENVS_MADE`` says, to show that one was made."""

    def __init__(self) -> None:
        super().__init__()
        Path(os.environ["CLI_ENVS_MADE"]).touch()


def make_sound(size: int) -> gymnasium.Env:
    """A factory that must be given something."""
    env = Sound()
    env.observation_space = spaces.Box(-1, 1, (3,), np.float32)
    env.size = size
    return env


def continuous(n: int = 1) -> gymnasium.Env:
    """Continuous control, if ``n`` says so."""
    env = gymnasium.make("Pendulum-v1", disable_env_checker=True)
    return env if n > 1 else Sound()
