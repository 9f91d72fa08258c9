"""Gymnasium's MuJoCo robots with a task: one environment, to which a family of tasks is a value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.envs.gym import make_env
from rlpyt.envs.tasks import Task, checked_task

__all__ = ["Move", "Robot", "RobotEnv", "TaskFamily"]


class Move(NamedTuple):
    """One step, as a reward sees it: places before and after (``Robot.place``), action [nu] in
    [-1, 1], seconds that passed, and MuJoCo's model and data after it.
    """

    before: Any
    after: Any
    action: Any
    seconds: float
    model: Any
    data: Any


@final
@dataclass(frozen=True, kw_only=True)
class Robot:
    """A robot of Gymnasium's: how it is seen, whatever its task.

    Attributes:
        id: of the environment whose model, frame skip and initial noise it has.
        place: where it is, from (model, data); a copy.
        observe: the observation, from data.
        terminated: whether the episode ends, from data.
    """

    id: str
    place: Callable[[Any, Any], Any]
    observe: Callable[[Any], Any]
    terminated: Callable[[Any], bool]


@final
@dataclass(frozen=True, kw_only=True)
class TaskFamily:
    """What a robot is asked to do, up to a task.

    Attributes:
        robot: who is asked.
        default: the task before the first ``set_task``.
        sample: ``n`` tasks by a generator.
        reward: its parts, by name; the reward is their sum, and they are in ``info``.
    """

    robot: Robot
    default: Task
    sample: Callable[[int, np.random.Generator], list[Task]]
    reward: Callable[[Task, Move], dict[str, float]]


@final
class RobotEnv(gymnasium.Env[Any, Any]):
    """A robot with tasks. Actions are in [-1, 1] and scaled to the actuators' ranges; observations
    are float64; ``info`` has the parts of the reward, which ``EnvConfig.info_keys`` can record.

    Args:
        family: which tasks; made by the functions of :mod:`rlpyt.envs.meta`.
        render_mode: passed on to Gymnasium.

    Raises:
        RlpytError: ``env``, where mujoco is not installed.
    """

    def __init__(self, family: TaskFamily, *, render_mode: str | None = None) -> None:
        kwargs = {} if render_mode is None else {"render_mode": render_mode}
        # Gymnasium's robot does the simulation; what it would see and pay is not computed.
        inner: Any = make_env(family.robot.id, kwargs).unwrapped
        self._inner = inner
        self.model, self.data = inner.model, inner.data
        self.metadata, self.render_mode = self._inner.metadata, render_mode
        self._robot, self._family = family.robot, family
        self._task = checked_task(family.default, family.default)
        low, high = self.model.actuator_ctrlrange.T
        self._centre, self._half = (low + high) / 2, (high - low) / 2
        self._low, self._high = np.full(low.shape, -1.0), np.full(low.shape, 1.0)
        self._scales = bool(self._centre.any() or (self._half != 1).any())
        self._seconds = float(inner.dt)
        shape = self._robot.observe(self.data).shape
        self.observation_space = spaces.Box(-np.inf, np.inf, shape, np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, low.shape, np.float32)

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[Task]:
        """``n`` tasks of the family."""
        return self._family.sample(n, rng)

    def set_task(self, task: Mapping[str, Any]) -> None:
        """Be paid for ``task`` from now on."""
        self._task = checked_task(task, self._family.default, where=self._robot.id)

    def get_task(self) -> Task:
        """What it is paid for."""
        return checked_task(self._task, self._family.default)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Back to the start, with Gymnasium's noise of this robot."""
        self._inner.reset(seed=seed, options=options)
        return self._robot.observe(self.data), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act for ``frame_skip`` steps of the simulation."""
        inner, robot, model, data = self._inner, self._robot, self.model, self.data
        action = np.minimum(np.maximum(action, self._low), self._high)
        before = robot.place(model, data)
        control = self._centre + self._half * action if self._scales else action
        inner.do_simulation(control, inner.frame_skip)
        move = Move(before, robot.place(model, data), action, self._seconds, model, data)
        parts = self._family.reward(self._task, move)
        if self.render_mode == "human":
            inner.render()
        return robot.observe(data), sum(parts.values()), robot.terminated(data), False, parts

    def render(self) -> Any:
        """Gymnasium's picture."""
        return self._inner.render()

    def close(self) -> None:
        """Close the window, where there is one."""
        self._inner.close()
