"""Gymnasium environments stepped one after the other: the back end that works for every
environment.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, NoReturn, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.edge import FiniteCheck, check_reward, construct, raised_by, write_info, writer
from rlpyt.envs.spaces import action_from_tree, random_action, space_children
from rlpyt.envs.vector import StatefulEnv, VectorEnv
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, seed_int

__all__ = ["LoopVectorEnv"]


@final
class LoopVectorEnv(VectorEnv):
    """Gymnasium environments stepped one after the other in this process.

    Each episode of environment ``i`` is seeded by (seed, i, episode number), so that its course
    depends on nothing but its actions. An environment's state is therefore its own ``get_state()``
    where it has one (:class:`StatefulEnv`), else the episode number and the actions since its
    reset, which are replayed.
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
    ) -> None:
        """Make one environment for each global index of ``env_indices``."""
        self.n_envs = len(env_indices)
        self.env_indices = tuple(env_indices)
        self.auto_reset = auto_reset
        self._seed, self._stream, self._info_keys = seed, stream, info_keys
        self._envs = []
        self._limits = []
        for index in self.env_indices:
            env, limit = construct(make, index)
            self._envs.append(env)
            self._limits.append(limit)
        first = self._envs[0]
        self.spaces = EnvSpaces(first.observation_space, first.action_space)
        self._write = writer(self.spaces.observation)
        self._episode = [-1] * self.n_envs
        self._log: list[list[Any]] = [[] for _ in range(self.n_envs)]
        self._idle = np.zeros(self.n_envs, dtype=bool)
        self._waiting = False  # whether any is idle
        self._discrete = isinstance(self.spaces.action, spaces.Discrete)
        self._unseen = set(info_keys)  # keys that no info has had yet
        self._masked = self._discrete and "action_mask" in (
            space_children(self.spaces.observation) or {}
        )
        self._zeros, self._nobody = [0.0] * self.n_envs, [False] * self.n_envs
        self._checks = FiniteCheck(self.spaces.observation)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere, numbered ``first_episode``; write the first observations."""
        self._episode = [first_episode - 1] * self.n_envs
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
        action = random_action(space, observation, i)
        try:
            obs, _reward, terminated, truncated, _info = self._envs[i].step(action)
            self._log[i].append(action)
            self._write(observation, i, obs)
        except RlpytError as error:
            raise self._located(error, i) from None
        except Exception as error:  # as in step
            self._raise(i, "step", error)
        self._check_finite(observation)
        if terminated or truncated or len(self._log[i]) >= self._limits[i]:
            self._reset_one(i, observation)

    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment that is not idle and write ``out``; return which rows are
        transitions.
        """
        observation, write = out.observation, self._write
        idle = self._idle.tolist() if self._waiting else self._nobody
        valid = ~self._idle if self._waiting else None
        actions = self._actions(action)
        rewards: list[Any] = self._zeros[:]
        ends, cuts = self._nobody[:], self._nobody[:]
        i = 0
        try:
            for i, (env, log, act) in enumerate(zip(self._envs, self._log, actions, strict=True)):
                if idle[i]:
                    _zero_row(observation, i)
                    _zero_row(out.env_info, i)
                    continue
                obs, rewards[i], ends[i], cut, info = env.step(act)
                log.append(act)
                if cut or len(log) >= self._limits[i]:
                    cuts[i] = True
                write(observation, i, obs)
                if self._info_keys:
                    write_info(out.env_info, i, info)
                    self._unseen -= info.keys()
        except RlpytError as error:
            raise self._located(error, i) from None
        except Exception as error:  # a user's environment may raise anything: told with its place
            self._raise(i, "step", error)
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
            for index, reward in zip(self.env_indices, rewards, strict=True):
                check_reward(index, reward)
            raise

    def _end_episodes(self, out: EnvStep, done: list[bool]) -> None:
        if self._unseen:  # an episode has ended without them: most likely a slip of the pen
            warnings.warn(f"no info had {sorted(self._unseen)}: 0 is recorded", stacklevel=2)
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
        self._episode[i] += 1
        self._log[i].clear()
        try:
            obs, _info = self._envs[i].reset(seed=self._episode_seed(i))
            self._write(observation, i, obs)
        except RlpytError as error:
            raise self._located(error, i) from None
        except Exception as error:  # as in step
            self._raise(i, "reset", error)

    def _episode_seed(self, i: int) -> int:
        return seed_int(self._seed, self._stream, self.env_indices[i], self._episode[i])

    def _check_finite(self, observation: Any, reward: Any = None, returned: Any = None) -> None:
        if self._masked and not (allowed := observation.action_mask.any(-1) | self._idle).all():
            i = int(np.argmin(allowed))
            raise self._located(RlpytError("env", "an action_mask that allows no action"), i)
        found = self._checks.first_bad(observation, reward)
        if found is not None:
            i, field, value = found
            if field == "reward":
                check_reward(self.env_indices[i], returned[i])
            raise RlpytError(
                "env",
                f"env {self.env_indices[i]} returned {field} = {value}, expected a finite number",
                where=self._place(i),
                hint="mend the environment, or look at it with `rlpyt env-check`",
            )

    def _place(self, i: int) -> str:
        seed = self._episode_seed(i)
        return f"episode {self._episode[i]}, step {len(self._log[i])}, episode seed {seed}"

    def _located(self, error: RlpytError, i: int) -> RlpytError:
        what = f"env {self.env_indices[i]} returned {error.what}"
        return RlpytError(error.code, what, where=self._place(i), hint=error.hint)

    def _raise(self, i: int, method: str, error: Exception) -> NoReturn:
        raise raised_by(self.env_indices[i], f"in {method}", error, self._place(i)) from error

    def state_dict(self) -> dict[str, Any]:
        """Episode numbers, steps, waiting environments, and each environment's state or its actions
        since reset.
        """
        return {
            "episode": list(self._episode),
            "idle": self._idle.copy(),
            "envs": [self._env_state(i) for i in range(self.n_envs)],
        }

    def _env_state(self, i: int) -> dict[str, Any]:
        env = self._envs[i]
        log = self._log[i]
        arrays = bool(log) and isinstance(log[0], np.ndarray)
        stacked = self._discrete or arrays  # one array instead of one a step
        actions = np.array(log, dtype=None if arrays else np.int64) if stacked else list(log)
        own = {"own": env.get_state()} if isinstance(env, StatefulEnv) else {}
        return {"actions": actions, **own}

    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> bool:
        """Continue from ``state``; environments without a state of their own replay their actions.

        One that does not arrive at ``observation`` again is warned of: it is not deterministic
        under its seed, and the resumed run will not be exact.
        """
        self._episode = list(state["episode"])
        self._idle[:] = state["idle"]
        self._waiting = bool(self._idle.any())
        for i, saved in enumerate(state["envs"]):
            self._log[i] = list(saved["actions"])
            try:
                last = self._replay(i, saved)
            except Exception as error:  # as in step
                self._raise(i, "its replay", error)
            if last is not None and observation is not None and not self._idle[i]:
                self._check_replay(i, last, observation)
        return True

    def _replay(self, i: int, saved: dict[str, Any]) -> Any:
        """Put environment ``i`` back; its last observation, where it got there by actions."""
        env = self._envs[i]
        last, _info = env.reset(seed=self._episode_seed(i))
        if isinstance(env, StatefulEnv):
            env.set_state(saved["own"])
            return None
        for action in self._log[i]:
            last = env.step(action)[0]
        return last

    def _check_replay(self, i: int, last: Any, observation: Any) -> None:
        replayed = buffer_map(np.zeros_like, observation)
        self._write(replayed, i, last)
        pairs = zip(leaves(replayed), leaves(observation), strict=True)
        if not all(np.array_equal(one[i], other[i]) for one, other in pairs):
            warnings.warn(
                f"env {self.env_indices[i]} is not deterministic: after the same seed and "
                f"{len(self._log[i])} actions it observes something else; the resumed run will "
                "not be exact (`rlpyt env-check` tells more; get_state and set_state would help)",
                stacklevel=2,
            )

    def close(self) -> None:
        """Close every environment, the others too where one raises."""
        with ExitStack() as stack:
            for i in range(self.n_envs):
                stack.callback(self._close_one, i)

    def _close_one(self, i: int) -> None:
        try:
            self._envs[i].close()
        except Exception as error:  # as in step
            raise raised_by(self.env_indices[i], "in close", error) from error


def _zero_row(tree: Any, i: int) -> None:
    for leaf in leaves(tree):
        leaf[i] = 0
