"""Environments with tasks: the protocol, how a task travels, train and test tasks.

A task is a dict of plain numbers and float64 arrays. It pickles, it stands in a checkpoint, and
:func:`plain_task` makes it data for JSON, which ``set_task`` takes back to the last bit.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import gymnasium
import numpy as np

from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = [
    "Task",
    "TaskEnv",
    "checked_task",
    "find_task_env",
    "parts_of",
    "plain_task",
    "same_task",
    "task_env",
    "task_key",
]

Task = dict[str, Any]
"""A task by the names of its numbers: ``{"velocity": 1.5}``, ``{"goal": np.array([0.6, 0.8])}``."""


@runtime_checkable
class TaskEnv(Protocol):
    """An environment that is a family of Markov decision processes: one for each task.

    These three methods are all. The task decides about rewards, dynamics, or both; never about the
    spaces. It is no part of the observation: to find it out is what meta-learning is about.
    """

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[Task]:
        """``n`` tasks of its distribution, by ``rng`` alone; the current task stays."""

    def set_task(self, task: Mapping[str, Any]) -> None:
        """Make ``task`` the current one; lists stand for arrays. Reset after it: an episode has
        one task from its reset to its end. Later resets leave the task.
        """

    def get_task(self) -> Task:
        """The current task, a copy; an environment has one from the start."""


def find_task_env(env: gymnasium.Env[Any, Any]) -> TaskEnv | None:
    """The outermost part of ``env`` that has tasks: itself, one of its wrappers, or what these
    wrap; ``None`` where there is none.
    """
    for part in parts_of(env):
        if isinstance(part, TaskEnv):
            return part
    return None


def parts_of(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    """``env`` and, where it is a wrapper, what it wraps, from the outside in."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def task_env(env: gymnasium.Env[Any, Any]) -> TaskEnv:
    """The part of ``env`` that has tasks, through any wrappers: ``task_env(env).set_task(task)``.

    Raises:
        RlpytError: ``env``, where it has none.
    """
    found = find_task_env(env)
    if found is None:
        raise RlpytError(
            "env",
            f"{env} has no tasks",
            hint="give it sample_tasks, set_task and get_task, as rlpyt.envs.TaskEnv says; or wrap "
            "a MuJoCo environment with rlpyt.envs.RandomizedDynamics",
        )
    return found


def checked_task(task: Mapping[str, Any], example: Mapping[str, Any], *, where: str = "") -> Task:
    """A copy of ``task`` with the keys and shapes of ``example``: floats, and float64 arrays.

    Raises:
        RlpytError: ``task``, for other keys or shapes, or numbers that are not finite.
    """
    for name in task:
        if name not in example:
            hint = did_you_mean(name, example) if example else "its tasks have no numbers: {}"
            raise RlpytError("task", f"a task with the number {name!r}", where=where, hint=hint)
    checked: Task = {}
    for name, known in example.items():
        if name not in task:
            what = f"a task without {name!r}"
            hint = f"a task is a dict with {', '.join(example)}"
            raise RlpytError("task", what, where=where, hint=hint)
        checked[name] = _checked(name, task[name], np.shape(known), where)
    return checked


def _checked(name: str, value: Any, shape: tuple[int, ...], where: str) -> Any:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        what = f"a task with {name} = {value!r:.60}, expected numbers"
        raise RlpytError("task", what, where=where) from None
    if array.shape != shape:
        what = f"a task with {name} of shape {array.shape}, expected {shape}"
        raise RlpytError("task", what, where=where)
    if not np.isfinite(array).all():
        raise RlpytError("task", f"a task with {name} = {value}, expected finite", where=where)
    return array if shape else float(array)


def plain_task(task: Mapping[str, Any]) -> Task:
    """``task`` with lists for arrays, as JSON has it."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in task.items()
    }


def task_key(task: Mapping[str, Any]) -> str:
    """A text that two tasks share where they are the same, by which they can be counted."""
    return repr(sorted(plain_task(task).items()))


def same_task(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both have the same names and, to the last bit, the same numbers."""
    return one.keys() == other.keys() and all(
        np.array_equal(value, other[name]) for name, value in one.items()
    )
