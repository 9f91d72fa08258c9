"""Native vector environments (ALE's, EnvPool's, a Gymnasium ``vector_entry_point``) behind the same
protocol.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymVectorEnv

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.edge import FiniteCheck, raised_by
from rlpyt.envs.spaces import space_children
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["NativeVectorEnv"]


@final
class NativeVectorEnv(VectorEnv):
    """A ``gymnasium.vector.VectorEnv`` that resets itself, in the same step or in the next.

    A back end that resets in the next step spends one call per episode on it: that row is reported
    as no transition. The environments share one seed, made from the first global index. State is
    that seed and the actions since, which are replayed: exact, at the price of stepping again;
    above ``max_log`` steps a checkpoint warns that a resumed run starts new episodes.
    """

    def __init__(
        self,
        make: Callable[[int], GymVectorEnv[Any, Any, Any]],
        env_indices: Sequence[int],
        *,
        seed: int,
        stream: Stream = Stream.ENV,
        max_log: int = 200_000,
    ) -> None:
        """``make(n_envs)`` builds the vector environment."""
        self.n_envs = len(env_indices)
        self._envs = make(self.n_envs)
        mode = self._envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        mode = AutoresetMode(mode) if isinstance(mode, str) else mode
        if mode == AutoresetMode.DISABLED:
            raise RlpytError(
                "env",
                f"{self._envs} does not reset itself",
                hint="make it with autoreset_mode SAME_STEP or NEXT_STEP",
            )
        self.invalid_steps = mode == AutoresetMode.NEXT_STEP
        self.spaces = EnvSpaces(self._envs.single_observation_space, self._envs.single_action_space)
        self._first_index = env_indices[0]
        self._seed, self._stream = seed, stream
        self._first_episode = 0
        self._checks = FiniteCheck(self.spaces.observation)
        self._max_log = max_log
        self._log: list[Any] | None = []
        self._warned = False
        self._resetting = np.zeros(self.n_envs, dtype=bool)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere; write the first observations."""
        self._first_episode = first_episode
        obs, _info = self._envs.reset(seed=self._reset_seed())
        _copy(self.spaces.observation, observation, obs)
        self._check(observation)
        self._log = []
        self._resetting[:] = False

    def _reset_seed(self) -> int:
        return seed_int(self._seed, self._stream, self._first_index, self._first_episode)

    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Not possible: these environments cannot be stepped one by one."""
        if max_steps:
            raise RlpytError(
                "config",
                f"max_decorrelation_steps={max_steps} needs environments that step one by one",
                hint='use vectorization="loop", or max_decorrelation_steps=0',
            )

    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment and write ``out``; return which rows are transitions."""
        native_action = _to_native(self.spaces.action, action)
        if self._log is not None:
            self._log.append(native_action)
            if len(self._log) > self._max_log:
                self._log = None
        try:
            obs, reward, terminated, truncated, info = self._envs.step(native_action)
        except Exception as error:  # a user's environment may raise anything: told with its place
            raise raised_by(self._first_index, "in step", error) from error
        _copy(self.spaces.observation, out.observation, obs)
        out.reward[:] = reward
        self._check(out.observation, out.reward)
        out.terminated[:] = terminated
        out.truncated[:] = truncated
        done = out.terminated | out.truncated
        if not self.invalid_steps:
            if done.any():
                _copy_final(self.spaces.observation, out.final_observation, info["final_obs"], done)
            return None
        valid = ~self._resetting
        if done.any():
            buffer_map(
                lambda final, last: _set(final, done, last), out.final_observation, out.observation
            )
        self._resetting = done
        return valid

    def _check(self, observation: Any, reward: Any = None) -> None:
        found = self._checks.first_bad(observation, reward)
        if found is not None:
            row, field, value = found
            raise RlpytError(
                "env",
                f"env {self._first_index + row} returned {field} = {value}, "
                "expected a finite number",
                hint="mend the environment, or look at it with `rlpyt env-check`",
            )

    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Nothing ever waits in a native vector environment."""
        return np.zeros(self.n_envs, dtype=bool)

    def state_dict(self) -> dict[str, Any]:
        """The actions since the reset."""
        if self._log is None and not self._warned:
            self._warned = True
            warnings.warn(
                f"a native vector environment took more than {self._max_log} steps, too many to "
                "take again: a run resumed from here starts new episodes "
                '(vectorization="loop" resumes exactly)',
                stacklevel=2,
            )
        return {
            "first_episode": self._first_episode,
            "actions": None if self._log is None else list(self._log),
            "resetting": self._resetting.copy(),
        }

    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> bool:
        """Reset with the same seed and take the same actions again, where they were kept."""
        if state["actions"] is None:
            self.reset(observation, first_episode=state["first_episode"] + 1)
            return False
        self._first_episode = state["first_episode"]
        self._envs.reset(seed=self._reset_seed())
        for action in state["actions"]:
            self._envs.step(action)
        self._log = list(state["actions"])
        self._resetting = state["resetting"].copy()
        return True

    def close(self) -> None:
        """Close the vector environment."""
        self._envs.close()


def _set(destination: Any, mask: Any, source: Any) -> None:
    destination[mask] = source[mask]


def _copy(space: Any, destination: Any, value: Any, rows: Any = slice(None)) -> None:
    """Copy ``rows`` of a batched Gymnasium observation into a tree."""
    for leaf_space, leaf, part in _leaf_parts(space, destination, value):
        if np.shape(part) != leaf.shape:
            raise RlpytError(
                "env",
                f"the vector environment returned an observation of shape {np.shape(part)}, "
                f"its space says {leaf.shape}",
                hint="make the two agree",
            )
        leaf[rows] = _from_zero(leaf_space, part[rows])


def _copy_final(space: Any, destination: Any, value: Any, mask: Any) -> None:
    """Copy final observations, batched or as an object array with ``None`` where none ended."""
    if not isinstance(value, np.ndarray) or value.dtype != object:
        _copy(space, destination, value, mask)
        return
    for i in np.flatnonzero(mask).tolist():
        for leaf_space, leaf, part in _leaf_parts(space, destination, value[i]):
            leaf[i] = _from_zero(leaf_space, part)


def _leaf_parts(space: Any, tree: Any, value: Any) -> list[tuple[Any, Any, Any]]:
    """(space, leaf of ``tree``, part of the Gymnasium ``value``) of every leaf."""
    children = space_children(space)
    if children is None:
        return [(space, tree, value)]
    parts = [value[name] for name in children] if isinstance(space, spaces.Dict) else list(value)
    triples = zip(children.values(), tree, parts, strict=True)
    return [found for child, node, part in triples for found in _leaf_parts(child, node, part)]


def _from_zero(space: Any, value: Any) -> Any:
    """``value`` counted from 0, as in every tree, whatever the space's ``start``."""
    is_counted = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    return value - space.start if is_counted else value


def _to_native(space: Any, action: Any) -> Any:
    """A batched action tree as the vector environment takes it; Box actions clipped to their
    bounds.
    """
    if isinstance(space, spaces.Dict):
        return {
            name: _to_native(child, getattr(action, name)) for name, child in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple):
        return tuple(
            _to_native(child, part) for child, part in zip(space.spaces, action, strict=True)
        )
    if isinstance(space, spaces.Box):
        return np.clip(action, space.low, space.high).astype(space.dtype, copy=False)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return action + space.start
    return action.copy()
