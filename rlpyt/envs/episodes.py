"""Where each environment of a loop is in its episode, to continue from, and to tell when it
fails.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, final

import gymnasium
import numpy as np

from rlpyt.envs.capsule import capsule_from_history, failure_of
from rlpyt.envs.edge import raised_by
from rlpyt.envs.tasks import TaskEnv, find_task_env, parts_of
from rlpyt.envs.vector import NOBODY, PlannedEnv, StatefulEnv
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["Episodes", "episode_state", "warn_unless_equal"]


@final
@dataclass(kw_only=True)
class Episodes:
    """Episode number and actions since its reset for each environment of a loop, by row.

    ``actions`` has an action before its step is taken, so that the one that fails, or never
    returns, is there too.
    """

    env_indices: tuple[int, ...]
    seed: int
    stream: Stream
    auto_reset: bool
    description: Mapping[str, Any] | None
    total_envs: int  # of the whole run
    number: list[int] = field(init=False)  # -1 before the first
    actions: list[list[Any]] = field(init=False)
    cell: Any = field(default_factory=lambda: [NOBODY])  # see VectorEnv.watch
    task_envs: list[TaskEnv | None] = field(init=False)  # what has tasks in each row's environment
    _planned: list[PlannedEnv | None] = field(init=False)  # and what follows a plan

    def __post_init__(self) -> None:
        self.number = [-1] * len(self.env_indices)
        self.actions = [[] for _ in self.env_indices]
        self.task_envs = [None] * len(self.env_indices)
        self._planned = [None] * len(self.env_indices)

    def know(self, envs: Sequence[gymnasium.Env[Any, Any]]) -> list[TaskEnv | None]:
        """Find out what follows a plan in the rows' environments; and what has tasks, returned."""
        self.task_envs = [find_task_env(env) for env in envs]
        self._planned = [
            next((part for part in parts_of(env) if isinstance(part, PlannedEnv)), None)
            for env in envs
        ]
        return self.task_envs

    def begin(self, i: int) -> int:
        """Count the next episode of row ``i``; its seed."""
        self.number[i] += 1
        self.actions[i].clear()
        return self._announce(i)

    def _announce(self, i: int) -> int:
        """Tell row ``i``'s environment which episode it is, where it wants to know; its seed."""
        planned = self._planned[i]
        if planned is not None:
            planned.plan_episode(self.number[i] * self.total_envs + self.env_indices[i])
        return self.seed_of(i)

    def seed_of(self, i: int) -> int:
        """The seed of row ``i``'s episode."""
        return seed_int(self.seed, self.stream, self.env_indices[i], self.number[i])

    def replay(self, i: int, env: gymnasium.Env[Any, Any], saved: Mapping[str, Any]) -> Any:
        """Put row ``i`` where :func:`episode_state` found it; its last observation, where it got
        there by actions.
        """
        self.cell[0] = i
        self.actions[i] = taken = []
        method, last = "reset", None
        task_env = self.task_envs[i]
        try:
            if task_env is not None and "task" in saved:
                task_env.set_task(saved["task"])
            first, _info = env.reset(seed=self._announce(i))
            if isinstance(env, StatefulEnv):
                method = "set_state"
                taken.extend(saved["actions"])
                env.set_state(saved["own"])
            else:
                method, last = "step", first
                for action in saved["actions"]:
                    taken.append(action)
                    last = env.step(action)[0]
        except Exception as error:  # a user's environment may raise anything: told with its place
            self.raise_for(i, method, error, ", taken again to resume")
        self.cell[0] = NOBODY
        return last

    def returned(self, error: RlpytError, i: int) -> RlpytError:
        """What a user is told when row ``i`` returned what ``error`` says."""
        what = f"env {self.env_indices[i]} returned {error.what}"
        told = RlpytError(error.code, what, where=self._place(i), hint=error.hint)
        return self.failed(told, i)

    def raise_for(self, i: int, method: str, error: Exception, why: str = "") -> NoReturn:
        """Raise what a user is told when row ``i`` raised ``error`` in ``method``."""
        place = self._place(i, n_failed=int(method == "step")) + why
        told = raised_by(self.env_indices[i], f"in {method}", error, place)
        raise self.failed(told, i) from error

    def failed(self, error: RlpytError, i: int) -> RlpytError:
        """``error`` of row ``i``, with its capsule."""
        error.capsule = self.capsule(failure_of(error), i)
        return error

    def _place(self, i: int, n_failed: int = 0) -> str:
        if self.number[i] < 0:
            return ""
        n_steps = len(self.actions[i]) - n_failed
        return f"episode {self.number[i]}, step {n_steps}, episode seed {self.seed_of(i)}"

    def capsule(self, failure: dict[str, str], i: int) -> dict[str, Any]:
        """What reproduces ``failure`` of row ``i``."""
        task_env = self.task_envs[i]
        return capsule_from_history(
            self.description,
            env_index=self.env_indices[i],
            seed=self.seed,
            stream=self.stream,
            episode=self.number[i] if self.number[i] >= 0 else None,
            actions=self.actions[i],
            failure=failure,
            auto_reset=self.auto_reset,
            task=None if task_env is None else task_env.get_task(),
            total_envs=self.total_envs,
        )


def episode_state(
    env: gymnasium.Env[Any, Any], actions: list[Any], *, is_discrete: bool
) -> dict[str, Any]:
    """The actions since the reset, and the environment's task and own state where it has them."""
    arrays = bool(actions) and isinstance(actions[0], np.ndarray)
    stacked = is_discrete or arrays  # one array instead of one a step
    kept = np.array(actions, dtype=None if arrays else np.int64) if stacked else list(actions)
    own = {"own": env.get_state()} if isinstance(env, StatefulEnv) else {}
    task_env = find_task_env(env)
    task = {} if task_env is None else {"task": task_env.get_task()}
    return {"actions": kept, **task, **own}


def warn_unless_equal(index: int, i: int, n_actions: int, replayed: Any, observation: Any) -> None:
    """Warn unless row ``i`` of both observation trees is the same: environment ``index`` is not
    deterministic under its seed.
    """
    pairs = zip(leaves(replayed), leaves(observation), strict=True)
    if not all(np.array_equal(one[i], other[i]) for one, other in pairs):
        warnings.warn(
            f"env {index} is not deterministic: after the same seed and "
            f"{n_actions} actions it observes something else; the resumed run will "
            "not be exact (`rlpyt env-check` tells more; get_state and set_state would help)",
            stacklevel=3,
        )
