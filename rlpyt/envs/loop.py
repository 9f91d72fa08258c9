"""Gymnasium environments stepped one after the other: the back end that works for every
environment.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.batched import zero_row
from rlpyt.envs.edge import FiniteCheck, bad_scalar, raised_by, without_limit, write_info, writer
from rlpyt.envs.episodes import Episodes, episode_state, warn_unless_equal
from rlpyt.envs.spaces import action_from_tree, random_action, space_children
from rlpyt.envs.vector import NOBODY, VectorEnv
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator

__all__ = ["LoopVectorEnv"]


@final
class LoopVectorEnv(VectorEnv):
    """Gymnasium environments stepped one after the other in this process.

    Each episode of environment ``i`` is seeded by (seed, i, episode number), so that its course
    depends on nothing but its actions. An environment's state is therefore its own ``get_state()``
    where it has one (:class:`rlpyt.envs.vector.StatefulEnv`), else the episode number and the
    actions since its reset, which are replayed.

    ``task_envs`` are what has tasks in each of them (:class:`rlpyt.envs.tasks.TaskEnv`), or None:
    set a task before a reset. A state has them too.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env[Any, Any]],
        env_indices: Sequence[int],
        *,
        seed: int,
        stream: Stream = Stream.ENV,
        auto_reset: bool = True,
        info_keys: tuple[str, ...] = (),
        description: Mapping[str, Any] | None = None,
        total_envs: int | None = None,
    ) -> None:
        """Make one environment for each global index of ``env_indices``, out of ``total_envs``
        (``None``: just these); ``description`` is ``config_dict`` of what ``make`` makes.
        """
        self.n_envs, self.env_indices = len(env_indices), tuple(env_indices)
        self.auto_reset = auto_reset
        self._seed, self._info_keys = seed, info_keys
        self._episodes = Episodes(
            env_indices=self.env_indices,
            seed=seed,
            stream=stream,
            auto_reset=auto_reset,
            description=description,
            total_envs=total_envs or len(env_indices),
        )
        made = [self._construct(i, make) for i in range(self.n_envs)]
        self._envs, self._limits = [env for env, _ in made], [limit for _, limit in made]
        self.task_envs = self._episodes.know(self._envs)
        self.spaces = EnvSpaces(self._envs[0].observation_space, self._envs[0].action_space)
        self._write = writer(self.spaces.observation)
        self._idle = np.zeros(self.n_envs, dtype=bool)
        self._waiting = False  # whether any is idle
        self._discrete = isinstance(self.spaces.action, spaces.Discrete)
        self._unseen = set(info_keys)  # keys that no info has had yet
        self._masked = self._discrete and "action_mask" in (
            space_children(self.spaces.observation) or {}
        )
        self._zeros, self._nobody = [0.0] * self.n_envs, [False] * self.n_envs
        self._checks = FiniteCheck(self.spaces.observation)

    def _construct(
        self, i: int, make: Callable[[], gymnasium.Env[Any, Any]]
    ) -> tuple[gymnasium.Env[Any, Any], float]:
        try:
            return without_limit(make())
        except RlpytError:
            raise
        except Exception as error:  # whatever a user's constructor raises is told with its place
            self._episodes.raise_for(i, "its constructor", error)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere, numbered ``first_episode``; write the first observations."""
        self._episodes.number = [first_episode - 1] * self.n_envs
        for i in range(self.n_envs):
            self._reset_one(i, observation)
        self._idle[:] = self._waiting = False
        self._check_finite(observation)

    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Take 0 to ``max_steps`` random steps in each environment, by its own generator."""
        for i, index in enumerate(self.env_indices):
            rng = generator(self._seed, Stream.DECORRELATE, index)
            space = deepcopy(self.spaces.action)  # the environment's own draws nothing here
            space.seed(int(rng.integers(2**31)))
            for _ in range(int(rng.integers(max_steps + 1))):
                self._random_step(i, space, observation)

    def _random_step(self, i: int, space: gymnasium.Space[Any], observation: Any) -> None:
        episodes = self._episodes
        action = random_action(space, observation, i)
        episodes.cell[0] = i
        episodes.actions[i].append(action)
        try:
            obs, _reward, terminated, truncated, _info = self._envs[i].step(action)
            self._write(observation, i, obs)
        except RlpytError as error:
            raise episodes.returned(error, i) from None
        except Exception as error:  # as in take
            episodes.raise_for(i, "step", error)
        episodes.cell[0] = NOBODY
        self._check_finite(observation)
        if terminated or truncated or len(episodes.actions[i]) >= self._limits[i]:
            self._reset_one(i, observation)

    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment that is not idle and write ``out``; return which rows are
        transitions.
        """
        return self.take(self._actions(action), out)

    def take(self, actions: Sequence[Any], out: EnvStep) -> np.ndarray[Any, Any] | None:
        """:meth:`step` with a Gymnasium action for each environment, handed on as it is."""
        observation, write, episodes = out.observation, self._write, self._episodes
        idle = self._idle.tolist() if self._waiting else self._nobody
        valid = ~self._idle if self._waiting else None
        rewards: list[Any] = self._zeros[:]
        ends, cuts = self._nobody[:], self._nobody[:]
        i, cell = 0, episodes.cell
        try:
            for i, (env, log, act) in enumerate(
                zip(self._envs, episodes.actions, actions, strict=True)
            ):
                if idle[i]:
                    zero_row(observation, i)
                    zero_row(out.env_info, i)
                    continue
                cell[0] = i
                log.append(act)
                obs, rewards[i], ends[i], cut, info = env.step(act)
                if cut or len(log) >= self._limits[i]:
                    cuts[i] = True
                write(observation, i, obs)
                if self._info_keys:
                    write_info(out.env_info, i, info)
                    self._unseen -= info.keys()
        except RlpytError as error:
            raise episodes.returned(error, i) from None
        except Exception as error:  # a user's environment may raise anything: told with its place
            episodes.raise_for(i, "step", error)
        episodes.cell[0] = NOBODY
        self._write_scalars(out, rewards, ends, cuts)
        self._check_finite(observation, out.reward, rewards)
        if True in ends or True in cuts:
            self._end_episodes(out, [a or b for a, b in zip(ends, cuts, strict=True)])
        return valid

    def _actions(self, action: Any) -> list[Any]:
        if self._discrete:
            rows: list[Any] = list(action)  # numpy integers, as Discrete.sample gives
            start = int(self.spaces.action.start)  # type: ignore[attr-defined]  # a Discrete space
            return rows if start == 0 else [row + start for row in rows]
        return [action_from_tree(self.spaces.action, action, i) for i in range(self.n_envs)]

    def _write_scalars(
        self, out: EnvStep, rewards: list[Any], ends: list[Any], cuts: list[Any]
    ) -> None:
        try:
            out.reward[:] = rewards
            out.terminated[:] = ends
            out.truncated[:] = cuts
        except (TypeError, ValueError):
            self._check_scalars(rewards, ends)
            raise

    def _check_scalars(self, rewards: list[Any], ends: list[Any]) -> None:
        for i, (reward, end) in enumerate(zip(rewards, ends, strict=True)):
            if (bad := bad_scalar(self.env_indices[i], reward, end)) is not None:
                raise self._episodes.failed(bad, i)

    def _end_episodes(self, out: EnvStep, done: list[bool]) -> None:
        if self._unseen:  # an episode has ended without them: most likely a slip of the pen
            warnings.warn(f"no info had {sorted(self._unseen)}: 0 is recorded", stacklevel=3)
            self._unseen.clear()
        for i, ended in enumerate(done):
            if not ended or self._idle[i]:
                continue
            for final_row, last in zip(
                leaves(out.final_observation), leaves(out.observation), strict=True
            ):
                final_row[i] = last[i]
            if self.auto_reset:
                self._reset_one(i, out.observation)
            else:
                self._idle[i] = self._waiting = True
        if self.auto_reset:
            self._check_finite(out.observation)

    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Start an episode where one waits for it; return which, [B] bool."""
        waiting = self._idle.copy()
        for i in np.flatnonzero(waiting).tolist():
            self._reset_one(i, observation)
        self._idle[:] = self._waiting = False
        return waiting

    def _reset_one(self, i: int, observation: Any) -> None:
        self._episodes.cell[0] = i
        try:
            obs, _info = self._envs[i].reset(seed=self._episodes.begin(i))
            self._write(observation, i, obs)
        except RlpytError as error:
            raise self._episodes.returned(error, i) from None
        except Exception as error:  # as in take
            self._episodes.raise_for(i, "reset", error)
        self._episodes.cell[0] = NOBODY

    def _check_finite(self, observation: Any, reward: Any = None, returned: Any = None) -> None:
        if self._masked and not (allowed := observation.action_mask.any(-1) | self._idle).all():
            i = int(np.argmin(allowed))
            what = "an action_mask that allows no action"
            raise self._episodes.returned(RlpytError("env", what), i)
        found = self._checks.first_bad(observation, reward)
        if found is not None:
            i, field, value = found
            if field == "reward":
                self._check_scalars(returned, self._nobody)
            what = f"{field} = {value}, expected a finite number"
            hint = "mend the environment, or look at it with `rlpyt env-check`"
            raise self._episodes.returned(RlpytError("env", what, hint=hint), i)

    def capsule(self, failure: dict[str, str], row: int | None = None) -> dict[str, Any] | None:
        """What reproduces ``failure`` of environment ``row``, by default the one whose method is
        running; ``None`` where none is.
        """
        i = int(self._episodes.cell[0]) if row is None else row
        return None if i == NOBODY else self._episodes.capsule(failure, i)

    def watch(self, cell: Any) -> None:
        """From now on ``cell[0]`` says which row's method is running, or NOBODY."""
        cell[0] = NOBODY
        self._episodes.cell = cell

    def state_dict(self) -> dict[str, Any]:
        """Episode numbers, steps, waiting environments, and each environment's state or its actions
        since reset.
        """
        return {
            "episode": list(self._episodes.number),
            "idle": self._idle.copy(),
            "envs": [
                episode_state(env, actions, is_discrete=self._discrete)
                for env, actions in zip(self._envs, self._episodes.actions, strict=True)
            ],
        }

    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> bool:
        """Continue from ``state``; environments without a state of their own replay their actions.

        One that does not arrive at ``observation`` again is warned of: it is not deterministic
        under its seed, and the resumed run will not be exact.
        """
        self._episodes.number = list(state["episode"])
        self._idle[:] = state["idle"]
        self._waiting = bool(self._idle.any())
        for i, saved in enumerate(state["envs"]):
            last = self._episodes.replay(i, self._envs[i], saved)
            if last is None or observation is None or self._idle[i]:
                continue
            replayed = buffer_map(np.zeros_like, observation)
            self._write(replayed, i, last)
            n_actions = len(self._episodes.actions[i])
            warn_unless_equal(self.env_indices[i], i, n_actions, replayed, observation)
        return True

    def close(self) -> None:
        """Close every environment, the others too where one raises."""
        with ExitStack() as stack:
            for i in range(self.n_envs):
                stack.callback(self._close_one, i)

    def _close_one(self, i: int) -> None:
        try:
            self._envs[i].close()
        except Exception as error:  # as in take
            raise raised_by(self.env_indices[i], "in close", error) from error
