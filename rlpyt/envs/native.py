"""Native vector environments (ALE's, EnvPool's, a Gymnasium ``vector_entry_point``) behind the same
protocol.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymVectorEnv

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.spaces import space_children
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["NativeVectorEnv"]


@final
class NativeVectorEnv(VectorEnv):
    """A ``gymnasium.vector.VectorEnv`` that resets itself, in the same step or in the next.

    A back end that resets in the next step spends one call per episode on it: that row is reported
    as no transition. The environments share one seed, made from the first global index. State is
    that seed and the actions since, which are replayed: exact, at the price of stepping again;
    above ``max_log`` steps a checkpoint says that it cannot.
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
        self._seed = seed_int(seed, stream, env_indices[0])
        self._max_log = max_log
        self._log: list[Any] | None = []
        self._resetting = np.zeros(self.n_envs, dtype=bool)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere; write the first observations."""
        obs, _info = self._envs.reset(seed=self._seed + first_episode)
        _copy(self.spaces.observation, observation, obs)
        self._log = []

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
        obs, reward, terminated, truncated, info = self._envs.step(native_action)
        self._check(obs, reward)
        _copy(self.spaces.observation, out.observation, obs)
        out.reward[:] = reward
        out.terminated[:] = terminated
        out.truncated[:] = truncated
        done = out.terminated | out.truncated
        if not self.invalid_steps:
            if done.any():
                _copy_rows(self.spaces.observation, out.final_observation, info["final_obs"], done)
            return None
        valid = ~self._resetting
        if done.any():
            buffer_map(
                lambda final, last: _set(final, done, last), out.final_observation, out.observation
            )
        self._resetting = done
        return valid

    def _check(self, obs: Any, reward: Any) -> None:
        for field, array in (("reward", reward), ("observation", obs)):
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                bad = np.argwhere(~np.isfinite(array))
                if len(bad):
                    row = tuple(bad[0].tolist())
                    raise RlpytError(
                        "env",
                        f"env {self._first_index + row[0]} returned "
                        f"{field}{list(row[1:]) or ''} = {array[row]}, expected a finite number",
                    )

    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Nothing ever waits in a native vector environment."""
        return np.zeros(self.n_envs, dtype=bool)

    def state_dict(self) -> dict[str, Any]:
        """The actions since the reset."""
        if self._log is None:
            raise RlpytError(
                "checkpoint",
                f"a native vector environment took more than {self._max_log} steps: "
                "its state cannot be saved exactly",
                hint='use vectorization="loop" where runs must resume',
            )
        return {"actions": list(self._log), "resetting": self._resetting.copy()}

    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> None:
        """Reset with the same seed and take the same actions again."""
        self._envs.reset(seed=self._seed)
        for action in state["actions"]:
            self._envs.step(action)
        self._log = list(state["actions"])
        self._resetting = state["resetting"].copy()

    def close(self) -> None:
        """Close the vector environment."""
        self._envs.close()


def _set(destination: Any, mask: Any, source: Any) -> None:
    destination[mask] = source[mask]


def _copy(space: Any, destination: Any, value: Any) -> None:
    """Copy a batched Gymnasium observation into a tree."""
    children = space_children(space)
    if children is None:
        destination[:] = value - space.start if isinstance(space, spaces.Discrete) else value
        return
    parts = [value[name] for name in children] if isinstance(space, spaces.Dict) else list(value)
    for child, leaf, part in zip(children.values(), destination, parts, strict=True):
        _copy(child, leaf, part)


def _copy_rows(space: Any, destination: Any, rows: Any, mask: Any) -> None:
    """Copy final observations, dense or as an object array with ``None`` where no episode ended."""
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        for leaf, source in zip(leaves(destination), [rows], strict=True):
            leaf[mask] = source[mask]
        return
    for i in np.flatnonzero(mask).tolist():
        _copy_row(space, destination, rows[i], i)


def _copy_row(space: Any, destination: Any, value: Any, i: int) -> None:
    children = space_children(space)
    if children is None:
        destination[i] = value
        return
    parts = [value[name] for name in children] if isinstance(space, spaces.Dict) else list(value)
    for child, leaf, part in zip(children.values(), destination, parts, strict=True):
        _copy_row(child, leaf, part, i)


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
