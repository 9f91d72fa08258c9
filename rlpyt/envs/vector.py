"""The env edge: a vector of environments behind one small protocol.

One auto-reset meaning for every back end: where an episode ends, ``final_observation`` keeps its
true last observation
and ``observation`` is already the first of the next episode. What environments return is checked
here, and nowhere else.
"""

import math
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, final, runtime_checkable

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.spaces import action_from_tree, space_children, space_items
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, seed_int

__all__ = ["LoopVectorEnv", "StatefulEnv", "VectorEnv"]


@runtime_checkable
class StatefulEnv(Protocol):
    """An environment that can be put back exactly: ``get_state`` covers everything, its generator
    included.
    """

    def get_state(self) -> dict[str, Any]:
        """The whole state, as nested dicts of arrays, numbers and strings."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state`` as if nothing had happened since."""


class VectorEnv(ABC):
    """``n_envs`` environments stepped together. Arrays are numpy, batched [B, ...], and owned by
    the caller.

    ``invalid_steps`` is true for back ends that spend a step on each reset: such a step is no
    transition.
    """

    n_envs: int
    spaces: EnvSpaces
    invalid_steps: bool = False

    @abstractmethod
    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere, numbered ``first_episode``; write the first observations."""

    @abstractmethod
    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Take between 0 and ``max_steps`` random steps in each environment, so that episodes do
        not end together.
        """

    @abstractmethod
    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment that is not idle and write ``out``.

        Returns:
            Which rows are transitions, [B] bool; ``None`` when all are.
        """

    @abstractmethod
    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Start an episode where one waits for it (``auto_reset=False``); return which, [B]
        bool.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue mid-episode."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""

    @abstractmethod
    def close(self) -> None:
        """Close every environment."""


@final
class LoopVectorEnv(VectorEnv):
    """Gymnasium environments stepped one after the other in this process.

    Each episode of environment ``i`` is seeded by (seed, i, episode number), so that its course
    depends on nothing but
    its actions. An environment's state is therefore its own ``get_state()`` where it has one
    (:class:`StatefulEnv`),
    else the episode number and the actions since its reset, which are replayed.
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
            env, limit = _strip(_guard_construction(make, index))
            self._envs.append(env)
            self._limits.append(limit)
        first = self._envs[0]
        self.spaces = EnvSpaces(first.observation_space, first.action_space)
        self._write = _writer(self.spaces.observation)
        self._episode = [-1] * self.n_envs
        self._elapsed = [0] * self.n_envs
        self._log: list[list[Any]] = [[] for _ in range(self.n_envs)]
        self._idle = np.zeros(self.n_envs, dtype=bool)
        self._discrete = isinstance(self.spaces.action, spaces.Discrete)
        self._checks = _FiniteCheck(self.spaces.observation)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere, numbered ``first_episode``; write the first observations."""
        self._episode = [first_episode - 1] * self.n_envs
        for i in range(self.n_envs):
            self._reset_one(i, observation)
        self._idle[:] = False
        self._check_finite(observation)

    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Take between 0 and ``max_steps`` random steps in each environment, by its own
        generator.
        """
        for i, index in enumerate(self.env_indices):
            rng = generator(self._seed, Stream.DECORRELATE, index)
            space = self.spaces.action
            space.seed(int(rng.integers(2**31)))
            for _ in range(int(rng.integers(max_steps + 1))):
                action = space.sample()
                action = int(action) if self._discrete else action
                obs, _reward, terminated, truncated, _info = self._envs[i].step(action)
                self._log[i].append(action)
                self._elapsed[i] += 1
                self._write(observation, i, obs)
                if terminated or truncated or self._elapsed[i] >= self._limits[i]:
                    self._reset_one(i, observation)

    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment that is not idle and write ``out``; return which rows are
        transitions.
        """
        observation = out.observation
        idle = self._idle.tolist() if not self.auto_reset and self._idle.any() else None
        valid = None if idle is None else ~self._idle
        actions = self._actions(action)
        write, elapsed, limits, log = self._write, self._elapsed, self._limits, self._log
        rewards, ends, cuts = [0.0] * self.n_envs, [False] * self.n_envs, [False] * self.n_envs
        i = 0
        try:
            for i, env in enumerate(self._envs):
                if idle is not None and idle[i]:
                    _zero_row(observation, i)
                    continue
                act = actions[i]
                obs, rewards[i], ends[i], cut, info = env.step(act)
                log[i].append(act)
                elapsed[i] += 1
                cuts[i] = cut or elapsed[i] >= limits[i]
                write(observation, i, obs)
                if self._info_keys:
                    self._write_info(out.env_info, i, info)
        except RlpytError as error:
            raise self._located(error, i) from None
        except (
            Exception
        ) as error:  # whatever a user's environment raises is reported with its place
            self._raise(i, "step", error)
        self._write_scalars(out, rewards, ends, cuts)
        self._check_finite(observation, out.reward)
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
        except (TypeError, ValueError) as error:
            for i, value in enumerate(rewards):
                if np.ndim(value) != 0 or not isinstance(value, int | float | np.number | np.bool_):
                    found = f"shape {np.shape(value)}" if np.ndim(value) else type(value).__name__
                    raise RlpytError(
                        "env",
                        f"env {self.env_indices[i]} returned reward of {found}, expected one real number",
                        hint="return float(reward) from step",
                    ) from error
            raise

    def _end_episodes(self, out: EnvStep, done: list[bool]) -> None:
        for i, ended in enumerate(done):
            if not ended or self._idle[i]:
                continue
            for final, last in zip(
                leaves(out.final_observation), leaves(out.observation), strict=True
            ):
                final[i] = last[i]
            if self.auto_reset:
                self._reset_one(i, out.observation)
            else:
                self._idle[i] = True
        if self.auto_reset:
            self._check_finite(out.observation)

    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Start an episode where one waits for it; return which, [B] bool."""
        waiting = self._idle.copy()
        for i in np.flatnonzero(waiting).tolist():
            self._reset_one(i, observation)
        self._idle[:] = False
        return waiting

    def _reset_one(self, i: int, observation: Any) -> None:
        self._episode[i] += 1
        self._elapsed[i] = 0
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

    def _write_info(self, env_info: Any, i: int, info: dict[str, Any]) -> None:
        for name, leaf in env_info.items():
            leaf[i] = info.get(name, 0)

    def _check_finite(self, observation: Any, reward: Any = None) -> None:
        found = self._checks.first_bad(observation, reward)
        if found is not None:
            i, field, value = found
            raise RlpytError(
                "env",
                f"env {self.env_indices[i]} returned {field} = {value}, expected a finite number",
                where=self._place(i),
                hint="mend the environment, or look at it with `rlpyt env-check`",
            )

    def _place(self, i: int) -> str:
        return f"episode {self._episode[i]}, step {self._elapsed[i]}, episode seed {self._episode_seed(i)}"

    def _located(self, error: RlpytError, i: int) -> RlpytError:
        what = f"env {self.env_indices[i]} returned {error.what}"
        return RlpytError(error.code, what, where=self._place(i), hint=error.hint)

    def _raise(self, i: int, method: str, error: Exception) -> NoReturn:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise RlpytError(
            "env",
            f"env {self.env_indices[i]} raised {type(error).__name__} in {method}: {error}",
            where=f"{frame.filename}:{frame.lineno}, {self._place(i)}",
            hint="run `rlpyt env-check` on this environment",
        ) from error

    def state_dict(self) -> dict[str, Any]:
        """Episode numbers, steps, waiting environments, and each environment's state or its actions
        since reset.
        """
        return {
            "episode": list(self._episode),
            "elapsed": list(self._elapsed),
            "idle": self._idle.copy(),
            "envs": [self._env_state(i) for i in range(self.n_envs)],
        }

    def _env_state(self, i: int) -> dict[str, Any]:
        env = self._envs[i]
        if isinstance(env, StatefulEnv):
            return {"own": env.get_state()}
        return {
            "actions": list(self._log[i])
            if not self._discrete
            else np.array(self._log[i], dtype=np.int64)
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``; environments without a state of their own replay their
        actions.
        """
        self._episode = list(state["episode"])
        self._elapsed = list(state["elapsed"])
        self._idle[:] = state["idle"]
        for i, saved in enumerate(state["envs"]):
            env = self._envs[i]
            env.reset(seed=self._episode_seed(i))
            if "own" in saved:
                assert isinstance(env, StatefulEnv)
                env.set_state(saved["own"])
                continue
            actions = saved["actions"].tolist() if self._discrete else list(saved["actions"])
            for action in actions:
                env.step(action)
            self._log[i] = actions

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()


def _zero_row(observation: Any, i: int) -> None:
    for leaf in leaves(observation):
        leaf[i] = 0


def _guard_construction(
    make: Callable[[], gymnasium.Env[Any, Any]], index: int
) -> gymnasium.Env[Any, Any]:
    try:
        return make()
    except RlpytError:
        raise
    except Exception as error:  # whatever a user's constructor raises is reported with its place
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise RlpytError(
            "env",
            f"env {index} raised {type(error).__name__} in its constructor: {error}",
            where=f"{frame.filename}:{frame.lineno}",
        ) from error


def _strip(env: gymnasium.Env[Any, Any]) -> tuple[gymnasium.Env[Any, Any], float]:
    """Take off the outermost time limit and order check: the loop does both, without two more calls
    a step.
    """
    limit = math.inf
    if isinstance(env, TimeLimit):
        limit, env = env._max_episode_steps, env.env
    if isinstance(env, OrderEnforcing):
        env = env.env
    return env, limit


def _writer(
    space: gymnasium.Space[Any], path: str = "observation"
) -> Callable[[Any, int, Any], None]:
    """A function that checks one observation against ``space`` and copies it into row ``i`` of a
    tree.
    """
    children = space_children(space)
    if children is not None:
        return _tree_writer(space, children, path)
    if isinstance(space, spaces.Discrete):
        return _discrete_writer(space, path)
    shape, dtype = space.shape, space.dtype
    assert dtype is not None
    start = space.start if isinstance(space, spaces.MultiDiscrete) and space.start.any() else None

    def write(destination: Any, i: int, value: Any) -> None:
        if type(value) is not np.ndarray or value.shape != shape or value.dtype != dtype:
            _check_array(value, shape, dtype, path)
        destination[i] = value if start is None else value - start

    return write


def _check_array(value: Any, shape: Any, dtype: Any, path: str) -> None:
    """Raise unless ``value`` has the space's shape and a dtype that fits into the space's without
    loss.
    """
    array = np.asarray(value)
    if array.dtype == object or not np.can_cast(array.dtype, dtype):
        raise RlpytError(
            "env",
            f"{path} of dtype {array.dtype}, its space says {dtype}",
            hint=f"return it with .astype(np.{dtype}), or declare the space with dtype=np.{array.dtype}",
        )
    if array.shape != shape:
        raise RlpytError(
            "env",
            f"{path} of shape {array.shape}, its space says {shape}",
            hint="make the two agree",
        )


def _discrete_writer(space: spaces.Discrete, path: str) -> Callable[[Any, int, Any], None]:
    start, n = int(space.start), int(space.n)

    def write(destination: Any, i: int, value: Any) -> None:
        index = int(value) - start
        if not 0 <= index < n:
            raise RlpytError("env", f"{path} = {value}, its space says {start} to {start + n - 1}")
        destination[i] = index

    return write


def _tree_writer(
    space: gymnasium.Space[Any], children: dict[str, gymnasium.Space[Any]], path: str
) -> Callable[[Any, int, Any], None]:
    named = isinstance(space, spaces.Dict)
    writers = [
        (
            name if named else position,
            name,
            _writer(child, f"{path}[{(name if named else position)!r}]"),
        )
        for position, (name, child) in enumerate(children.items())
    ]
    keys = {key for key, _name, _write in writers}

    def write(destination: Any, i: int, value: Any) -> None:
        found = set(value) if isinstance(value, dict) else set(range(len(value)))
        if found != keys:
            raise RlpytError(
                "env",
                f"{path} with the keys {sorted(map(str, found))}, its space says {sorted(map(str, keys))}",
            )
        for (key, _name, write_child), leaf in zip(writers, destination, strict=True):
            write_child(leaf, i, value[key])

    return write


@final
class _FiniteCheck:
    """Finds NaN and infinity in a batch: one dot product with zeros per float leaf, since 0 * inf
    and 0 * nan are nan.
    """

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        items = space_items(space)
        self._floats = [
            (position, f"observation.{path}" if path else "observation")
            for position, (path, leaf) in enumerate(items)
            if isinstance(leaf, spaces.Box) and np.issubdtype(leaf.dtype, np.floating)
        ]
        self._lone = space_children(space) is None
        self._zeros: dict[str, np.ndarray[Any, Any]] = {}

    def first_bad(self, observation: Any, reward: Any) -> tuple[int, str, float] | None:
        """(row, field, value) of the first number that is not finite, or ``None``."""
        parts = [observation] if self._lone else leaves(observation)
        named = [(field, parts[position]) for position, field in self._floats]
        if reward is not None:
            named.append(("reward", reward))
        for field, array in named:
            zeros = self._zeros.get(field)
            if zeros is None:
                zeros = self._zeros[field] = np.zeros_like(array)
            if not math.isfinite(np.vdot(array, zeros)):
                bad = np.argwhere(~np.isfinite(array))
                if len(bad):
                    row = tuple(bad[0].tolist())
                    index = f"{list(row[1:])}" if len(row) > 1 else ""
                    return row[0], field + index, float(array[row])
        return None
