"""A point on the plane that looks for a goal it is not told: the smallest meta-learning tasks."""

import math
from collections.abc import Mapping
from typing import Any, Literal, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.envs.tasks import Task, checked_task
from rlpyt.utils.errors import RlpytError

__all__ = ["PointRobot"]

_LARGEST_MOVE = 0.1  # in each direction, for an action of 1
_GOAL_RADIUS = 0.2


@final
class PointRobot(gymnasium.Env[Any, Any]):
    """A point that moves by a tenth of its action: s' = s + 0.1·a, a ∈ [-1, 1]².

    The observation is the position s' (float64 ``[2]``), the reward -‖s' - g‖₂; no episode is
    terminated. The task is ``{"goal": g}`` [2].

    With ``goals="square"`` episodes start and goals are uniform in [-1, 1]². With
    ``goals="half_circle"`` episodes start in the origin, and the ``n`` goals of
    ``sample_tasks(n, rng)`` stand evenly on the upper unit half circle, from (1, 0) to (-1, 0), in
    random order; one alone is anywhere on it. ``info["sparse_reward"]`` is then what a point that
    can see no further than 0.2 is paid: 1 - ‖s' - g‖₂ within 0.2 of the goal, else 0.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # as gymnasium.Env has it

    def __init__(self, *, goals: Literal["square", "half_circle"] = "square") -> None:
        if goals not in ("square", "half_circle"):
            what = f"goals={goals!r} is neither 'square' nor 'half_circle'"
            raise RlpytError("config", what, where="PointRobot")
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._sparse = goals == "half_circle"
        self._task: Task = {"goal": np.array([0.0, 1.0])}
        self._goal = (0.0, 1.0)
        self._position = np.zeros(2)

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[Task]:
        """``n`` goals."""
        if not self._sparse:
            return [{"goal": goal} for goal in rng.uniform(-1.0, 1.0, (n, 2))]
        angles = np.linspace(0.0, np.pi, n) if n != 1 else rng.uniform(0.0, np.pi, 1)
        goals = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return [{"goal": goal.copy()} for goal in rng.permutation(goals)]

    def set_task(self, task: Mapping[str, Any]) -> None:
        """Look for another goal."""
        self._task = checked_task(task, self._task, where="PointRobot")
        x, y = self._task["goal"].tolist()
        self._goal = (x, y)

    def get_task(self) -> Task:
        """The goal."""
        return {"goal": self._task["goal"].copy()}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Back to the start."""
        super().reset(seed=seed)
        self._position = np.zeros(2) if self._sparse else self.np_random.uniform(-1.0, 1.0, 2)
        return self._position.copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move."""
        action = np.minimum(np.maximum(action, -1.0), 1.0)
        self._position = self._position + _LARGEST_MOVE * action
        x, y = self._position.tolist()
        distance = math.hypot(x - self._goal[0], y - self._goal[1])
        info = {}
        if self._sparse:
            info["sparse_reward"] = 1.0 - distance if distance <= _GOAL_RADIUS else 0.0
        return self._position.copy(), -distance, False, False, info
