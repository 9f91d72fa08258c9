"""Trials as PEARL collects and judges them: trajectories of one task, each of which an agent begins
with a guess about the task, its latent z, from the prior or from what it has seen.

Rakelly et al. 2019 (arXiv:1903.08254), algorithms 1 and 2. A trial is one episode to a sampler, and
one task. What happens between the trajectories of a trial stands in the observation, so that
nothing else has to know of it: the agent, whose belief lasts as long as its recurrent state, and
the algorithm, which finds whole transitions there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.envs.tasks import Task, task_env
from rlpyt.utils.errors import RlpytError

__all__ = ["ContextTrials", "Draw", "Phase"]


class Draw(IntEnum):
    """What an agent does about its latent before it acts."""

    KEEP = 0  # within a trajectory
    PRIOR = 1  # forget none of the context, but draw from the prior
    POSTERIOR = 2  # draw from what the context says


@final
@dataclass(frozen=True, kw_only=True)
class Phase:
    """Whole trajectories of a trial: ``trajectories`` of them, or as many as take ``steps`` steps;
    none where both are 0.
    """

    steps: int = 0
    trajectories: int = 0
    first: Draw  # of the first trajectory
    rest: Draw  # of the others
    in_context: bool = True  # whether its transitions tell about the task

    def is_over(self, steps: int, trajectories: int) -> bool:
        """After so many of both."""
        return steps >= self.steps and trajectories >= self.trajectories


@final
class ContextTrials(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Trajectories of ``env``, phase by phase, as one episode of one task.

    Observations are dicts:

    ============  ==================================================================
    observation   of the trajectory: after its end, the first one of the next
    last          the transition that led here: observation, action, reward,
                  context_reward, next_observation, terminated; zeros at the start
    in_context    1 where ``last`` tells about the task, else 0
    draw          a :class:`Draw`
    task          the number of the task among ``tasks``; agents do not look at it
    ============  ==================================================================

    Which task is for which trial follows from the plan of all environments. With ``initial``
    phases, trials 0, 1, ... take these and every task in turn, and the trials after them a task at
    random; without, trial k has task k modulo their number.

    Nothing but the last trajectory's end ends a trial, which counts as a truncation; ``terminated``
    of a transition says what the environment said. ``info["trial_episode"]`` counts trajectories
    from 0.

    Raises:
        RlpytError: ``env``, for an environment without tasks; ``config``, for no tasks, phases
            without trajectories, or an ``info`` without the ``context_reward``; ``space``, for
            other actions than Box or Discrete.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        tasks: Sequence[Task],
        phases: Sequence[Phase],
        initial: Sequence[Phase] = (),
        context_reward: str | None = None,
        pays_context_reward: bool = False,
    ) -> None:
        """``context_reward`` is the key in ``info`` of the reward that the context has, where that
        is another one; ``pays_context_reward``: it is what a step is paid, too.
        """
        super().__init__(env)
        self._task_env = task_env(env)
        self._tasks = list(tasks)
        self._initial, self._phases = _with_trajectories(initial), _with_trajectories(phases)
        if not self._tasks or not self._phases:
            what = f"trials of {len(tasks)} tasks and {len(self._phases)} phases with trajectories"
            raise RlpytError("config", what, hint="give at least one of each")
        self._context_reward, self._pays = context_reward, pays_context_reward
        self.observation_space = _shown_space(env, len(self._tasks))
        self._nothing = np.zeros(env.action_space.shape or (), env.action_space.dtype)
        self._number = 0
        self._plan: Sequence[Phase] = self._phases
        self._rng = np.random.default_rng(0)
        self._seen: Any = None

    def plan_episode(self, number: int) -> None:
        """The next trial is ``number`` of all environments."""
        self._number = number

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """A new trial: task and trajectories follow from its number and ``seed``."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        n_tasks = len(self._tasks)
        is_initial = bool(self._initial) and self._number < n_tasks
        self._plan = self._initial if is_initial else self._phases
        at_random = bool(self._initial) and not is_initial
        self._task = int(self._rng.integers(n_tasks)) if at_random else self._number % n_tasks
        self._task_env.set_task(self._tasks[self._task])
        self._phase = self._trajectory = self._phase_steps = self._phase_trajectories = 0
        observation, info = self._begin(options)
        self._seen = observation
        return self._shown(observation, None, self._plan[0].first, in_context=False), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """A step of the trajectory; where it ends the next one begins, until the trial is over."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info["trial_episode"] = self._trajectory
        phase = self._plan[self._phase]
        context_reward = float(reward) if self._context_reward is None else self._of(info)
        last = {
            "observation": self._seen,
            "action": action,
            "reward": np.array(reward, np.float32),
            "context_reward": np.array(context_reward, np.float32),
            "next_observation": observation,
            "terminated": int(terminated),
        }
        self._phase_steps += 1
        draw, over = Draw.KEEP, False
        if terminated or truncated:
            draw = self._next_trajectory()
            over = self._phase == len(self._plan)
            if not over:
                observation, _info = self._begin(None)
        self._seen = observation
        paid = context_reward if self._pays else float(reward)
        shown = self._shown(observation, last, draw, in_context=phase.in_context)
        return shown, paid, False, over, info

    def _next_trajectory(self) -> Draw:
        """Count a trajectory, and phases that are over with it; where the next one's z is from."""
        self._trajectory += 1
        self._phase_trajectories += 1
        phase = self._plan[self._phase]
        if not phase.is_over(self._phase_steps, self._phase_trajectories):
            return phase.rest
        self._phase += 1
        self._phase_steps = self._phase_trajectories = 0
        return Draw.KEEP if self._phase == len(self._plan) else self._plan[self._phase].first

    def _begin(self, options: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=int(self._rng.integers(2**31)), options=options)
        return observation, {**info, "trial_episode": self._trajectory}

    def _of(self, info: dict[str, Any]) -> float:
        if self._context_reward not in info:
            what = f"info has no {self._context_reward!r}, which is to be the context's reward"
            raise RlpytError("config", what, hint=f"it has {', '.join(sorted(info))}")
        return float(info[self._context_reward])

    def _shown(self, observation: Any, last: Any, draw: Draw, *, in_context: bool) -> Any:
        if last is None:
            last = {
                "observation": observation,
                "action": self._nothing,
                "reward": np.zeros((), np.float32),
                "context_reward": np.zeros((), np.float32),
                "next_observation": observation,
                "terminated": 0,
            }
        return {
            "observation": observation,
            "last": last,
            "in_context": int(in_context),
            "draw": int(draw),
            "task": self._task,
        }


def _with_trajectories(phases: Sequence[Phase]) -> list[Phase]:
    return [phase for phase in phases if phase.steps or phase.trajectories]


def _shown_space(env: gymnasium.Env[Any, Any], n_tasks: int) -> spaces.Dict:
    observation, action = env.observation_space, env.action_space
    if not isinstance(action, spaces.Box | spaces.Discrete):
        raise RlpytError("space", f"trials are for Box or Discrete actions, found {action}")
    number = spaces.Box(-np.inf, np.inf, (), np.float32)
    last = {
        "observation": observation,
        "action": action,
        "reward": number,
        "context_reward": number,
        "next_observation": observation,
        "terminated": spaces.Discrete(2),
    }
    return spaces.Dict(
        {
            "observation": observation,
            "last": spaces.Dict(last),
            "in_context": spaces.Discrete(2),
            "draw": spaces.Discrete(len(Draw)),
            "task": spaces.Discrete(n_tasks),
        }
    )
