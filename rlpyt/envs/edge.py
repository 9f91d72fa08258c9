"""What environments return, checked where it enters: shape, dtype, keys, range, finite numbers."""

import math
import traceback
from collections.abc import Callable
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, TimeLimit

from rlpyt.envs.spaces import space_children, space_items
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

__all__ = ["FiniteCheck", "bad_scalar", "raised_by", "without_limit", "write_info", "writer"]


def raised_by(index: int, method: str, error: Exception, place: str = "") -> RlpytError:
    """What a user is told when environment ``index`` raised ``error`` ``method``, and where."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = f"{frame.filename}:{frame.lineno}"
    renders = "OpenGL" in str(error)  # MuJoCo's, which looks for a display unless told otherwise
    return RlpytError(
        "env",
        f"env {index} raised {type(error).__name__} {method}: {error}",
        where=f"{line}, {place}" if place else line,
        hint="without a display, set the environment variable MUJOCO_GL=egl"
        if renders
        else "run `rlpyt env-check` on this environment",
    )


def without_limit(env: gymnasium.Env[Any, Any]) -> tuple[gymnasium.Env[Any, Any], float]:
    """``env`` without its outermost time limit and order check, and that limit in steps: the loop
    does both, without two more calls a step.
    """
    limit = math.inf
    if isinstance(env, TimeLimit):
        limit, env = env._max_episode_steps, env.env
    if isinstance(env, OrderEnforcing):
        env = env.env
    return env, limit


def bad_scalar(index: int, reward: Any, terminated: Any) -> RlpytError | None:
    """What is wrong unless environment ``index`` returned one real number and one truth value."""
    if np.ndim(reward) != 0 or not isinstance(
        reward, int | float | np.number | np.bool_ | np.ndarray
    ):
        name, value, expected = "reward", reward, "one real number"
        hint = "return float(reward) from step"
    elif np.ndim(terminated) != 0:
        name, value, expected = "terminated", terminated, "one truth value"
        hint = "return bool(terminated) from step"
    else:
        return None
    found = f"shape {np.shape(value)}" if np.ndim(value) else type(value).__name__
    what = f"env {index} returned {name} of {found}, expected {expected}"
    return RlpytError("env", what, hint=hint)


def writer(
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
            hint=f"return it with .astype(np.{dtype}), "
            f"or declare the space with dtype=np.{array.dtype}",
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
        if index + start != value or not 0 <= index < n:
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
            writer(child, f"{path}[{(name if named else position)!r}]"),
        )
        for position, (name, child) in enumerate(children.items())
    ]
    keys = {key for key, _name, _write in writers}

    def write(destination: Any, i: int, value: Any) -> None:
        found = set(value) if isinstance(value, dict) else set(range(len(value)))
        if found != keys:
            raise RlpytError(
                "env",
                f"{path} with the keys {sorted(map(str, found))}, "
                f"its space says {sorted(map(str, keys))}",
            )
        for (key, _name, write_child), leaf in zip(writers, destination, strict=True):
            write_child(leaf, i, value[key])

    return write


def write_info(env_info: Any, i: int, info: dict[str, Any]) -> None:
    """Copy the wanted numbers of one ``info`` into row ``i``; 0 for a key that it does not have."""
    for name, leaf in env_info.items():
        value = info.get(name, 0)
        try:
            leaf[i] = value
        except (TypeError, ValueError):
            raise RlpytError("env", f"info[{name!r}] = {value!r}, expected a number") from None


@final
class FiniteCheck:
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
        self._zeros: dict[str, Any] = {}

    def first_bad(self, observation: Any, reward: Any) -> tuple[int, str, float] | None:
        """(row, field, value) of the first number that is not finite, or ``None``."""
        if self._floats:
            parts = [observation] if self._lone else leaves(observation)
            for position, field in self._floats:
                if not self._is_finite(field, parts[position]):
                    return _first_bad(field, parts[position])
        if reward is not None and not self._is_finite("reward", reward):
            return _first_bad("reward", reward)
        return None

    def _is_finite(self, field: str, array: Any) -> bool:
        zeros = self._zeros.get(field)
        if zeros is None:
            zeros = self._zeros[field] = np.zeros_like(array)
        return math.isfinite(np.vdot(array, zeros))


def _first_bad(field: str, array: Any) -> tuple[int, str, float]:
    row = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
    index = f"{list(row[1:])}" if len(row) > 1 else ""
    return row[0], field + index, float(array[row])
