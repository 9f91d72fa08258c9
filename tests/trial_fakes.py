"""Environments with tasks whose course is written down."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class Scripted(gymnasium.Env[Any, Any]):
    """Trajectories of 3, 1, 4, 2, 3, 1, ... steps; every other one is terminated, the rest
    truncated. The observation is (task, trajectory, step); the reward is the task's number plus a
    hundredth of the step, ``info["other"]`` is 10 more.
    """

    LENGTHS = (3, 1, 4, 2)

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1e6, (3,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._task = 0.0
        self._trajectory = -1
        self._step = 0

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        return [{"number": float(i)} for i in range(n)]

    def set_task(self, task: Any) -> None:
        self._task = float(task["number"])
        self._trajectory = -1  # trials are alike, whatever came before

    def get_task(self) -> dict[str, Any]:
        return {"number": self._task}

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._trajectory, self._step = self._trajectory + 1, 0
        return self._observed(), {}

    def step(self, action: Any) -> Any:
        self._step += 1
        ended = self._step == self.LENGTHS[self._trajectory % len(self.LENGTHS)]
        reward = self._task + self._step / 100
        terminated = ended and self._trajectory % 2 == 0
        info = {"other": reward + 10}
        return self._observed(), reward, terminated, ended and not terminated, info

    def _observed(self) -> Any:
        return np.array([self._task, self._trajectory, self._step], np.float64)


class OneStep(gymnasium.Env[Any, Any]):
    """One of two doors pays 1, and the task is which; one step is a trajectory. The action is a
    number: above 0 for the one, below for the other.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._task = {"door": -1.0}

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        return [{"door": (-1.0) ** i} for i in range(n)]

    def set_task(self, task: Any) -> None:
        self._task = {"door": float(task["door"])}

    def get_task(self) -> dict[str, Any]:
        return dict(self._task)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        reward = float(np.clip(action[0], -1.0, 1.0) * self._task["door"])
        return np.zeros(1, np.float32), reward, True, False, {}
