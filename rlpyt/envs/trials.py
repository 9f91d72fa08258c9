"""Trials: several episodes of one task as one episode, for agents that learn within it (RL²).

Duan et al. 2016, "RL²: Fast Reinforcement Learning via Slow Reinforcement Learning"
(arXiv:1611.02779); Wang et al. 2016, "Learning to Reinforcement Learn" (arXiv:1611.05763). A
recurrent agent keeps its state from one episode of a trial to the next. What it is shown is the
observation, the action and reward before (which recurrent trunks get anyway), and whether an
episode has just begun. It is trained on the sum of rewards of the whole trial, so that finding out
the task in the first episodes pays in the later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.data import Samples, TrajInfo
from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.envs.task_split import task_split
from rlpyt.envs.tasks import Task, task_env
from rlpyt.utils.errors import RlpytError

__all__ = ["TRIAL_INFO_KEYS", "TrialTrajInfo", "Trials", "trials"]

TRIAL_INFO_KEYS = ("trial_episode",)
"""For a sampler's ``EnvConfig``: what :class:`TrialTrajInfo` needs."""


@final
class Trials(gymnasium.Wrapper[Any, Any, Any, Any]):
    """``episodes`` episodes of ``env`` make one, all of the same task, drawn at the reset.

    A vector observation [n] becomes [n + 1]: its last element is 1 where an episode of the trial
    begins, else 0. Any other observation becomes ``{"observation": ..., "begins": [1]}``. Episodes
    that end within a trial, by themselves or by a time limit, are followed at once by the first
    observation of the next; only the last ends the trial, as the environment says.
    ``info["trial_episode"]`` counts the episodes of the trial from 0.

    Raises:
        RlpytError: ``env``, for an environment without tasks; ``config``, for fewer than one
            episode, or no tasks.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        episodes: int,
        tasks: Sequence[Task] | None = None,
    ) -> None:
        """Of the given ``tasks``, or of any that the environment samples."""
        super().__init__(env)
        if episodes < 1:
            raise RlpytError("config", f"episodes={episodes} of a trial", hint="use 1 or more")
        if tasks is not None and not tasks:
            raise RlpytError("config", "no tasks for trials", hint="leave tasks out to sample any")
        self._task_env = task_env(env)
        self._tasks = tasks
        self._episodes = episodes
        self._episode = 0
        self._rng = np.random.default_rng(0)
        space = env.observation_space
        self._joins = isinstance(space, spaces.Box) and len(space.shape) == 1
        if isinstance(space, spaces.Box) and self._joins:
            low, high = np.append(space.low, 0), np.append(space.high, 1)
            dtype: Any = space.dtype
            self.observation_space = spaces.Box(low.astype(dtype), high.astype(dtype), dtype=dtype)
        else:
            begins = spaces.Box(0.0, 1.0, (1,), np.float32)
            self.observation_space = spaces.Dict({"observation": space, "begins": begins})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A new trial: its task, and all of its episodes, follow from ``seed``."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._episode = 0
        if self._tasks is None:
            [task] = self._task_env.sample_tasks(1, self._rng)
        else:
            task = self._tasks[int(self._rng.integers(len(self._tasks)))]
        self._task_env.set_task(task)
        return self._begin(options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """A step of the episode; where it ends and is not the last, the next one begins."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        number = self._episode
        if (terminated or truncated) and number + 1 < self._episodes:
            self._episode += 1
            shown, _info = self._begin(None)
            terminated = truncated = False
        else:
            shown = self._shown(observation, begins=False)
        return shown, float(reward), terminated, truncated, {**info, "trial_episode": number}

    def _begin(self, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        seed = int(self._rng.integers(2**31))
        observation, info = self.env.reset(seed=seed, options=options)
        return self._shown(observation, begins=True), {**info, "trial_episode": self._episode}

    def _shown(self, observation: Any, *, begins: bool) -> Any:
        if self._joins:
            return np.append(observation, begins).astype(observation.dtype)
        return {"observation": observation, "begins": np.array([begins], np.float32)}


def trials(
    *,
    env: str,
    env_kwargs: dict[str, Any] | None = None,
    episodes: int = 2,
    n_train: int | None = None,
    n_test: int = 0,
    task_seed: int = 0,
    split: Literal["train", "test"] = "train",
    overlap: bool = False,
) -> gymnasium.Env[Any, Any]:
    """Trials of the environment named ``env``, on any task or on those of one side of a split.

    On the command line: ``rlpyt.envs.trials:trials sampler.env.kwargs.env=rlpyt.envs.meta:...``.

    Args:
        env: as samplers take it: ``"rlpyt.envs.meta:point_robot"``.
        env_kwargs: of that environment.
        episodes: of a trial.
        n_train: tasks to train on; None: any task, and no split.
        n_test: tasks to test on.
        task_seed: of the tasks, as of :func:`~rlpyt.envs.task_split`.
        split: which of them.
        overlap: for environments with few tasks, as of :func:`~rlpyt.envs.task_split`.
    """
    config = EnvConfig(id=env, kwargs=env_kwargs or {})
    tasks = None
    if n_train is not None:
        both = task_split(config, n_train, n_test, seed=task_seed, overlap=overlap)
        tasks = both.train if split == "train" else both.test
    return Trials(build_env(config), episodes=episodes, tasks=tasks)


@final
@dataclass
class TrialTrajInfo(TrajInfo):
    """Statistics of a trial: besides those of the whole, the returns of its first and last episode.

    Needs :data:`TRIAL_INFO_KEYS` to be recorded.
    """

    FirstEpisodeReturn: float = 0.0
    LastEpisodeReturn: float = 0.0
    _returns: list[float] = field(default_factory=list)

    @property
    def returns(self) -> list[float]:
        """Of each episode so far."""
        return self._returns

    def extend(self, fragment: Samples) -> None:
        """Take in ``n`` consecutive steps of the trial: numpy arrays [n, ...]."""
        super().extend(fragment)
        info = fragment.env_info
        if info is None or TRIAL_INFO_KEYS[0] not in info:
            hint = "set EnvConfig(info_keys=TRIAL_INFO_KEYS) in the sampler"
            raise RlpytError("config", "the episode of a trial is not recorded", hint=hint)
        numbers = np.asarray(info.trial_episode).astype(np.int64).reshape(-1)
        found = np.bincount(numbers, weights=np.asarray(fragment.reward, dtype=np.float64))
        self._returns.extend([0.0] * (len(found) - len(self._returns)))
        for number in range(int(numbers[0]), len(found)):
            self._returns[number] += float(found[number])
        self.FirstEpisodeReturn, self.LastEpisodeReturn = self._returns[0], self._returns[-1]
