"""What one space or one returned value should be: pure functions from a value to findings."""

import math
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from rlpyt.envs.check_report import Finding
from rlpyt.envs.spaces import example_of, space_children, space_items
from rlpyt.utils.buffer import buffer_from_example
from rlpyt.utils.errors import RlpytError

__all__ = [
    "action_mask_of",
    "choice_sizes",
    "end_findings",
    "first_difference",
    "mask_findings",
    "observation_findings",
    "reward_findings",
    "snapshot",
    "space_findings",
    "unsavable",
]

Array = np.ndarray[Any, Any]
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def _error(topic: str, what: str, mend: str) -> Finding:
    return Finding(level="error", topic=topic, what=what, mend=mend)


def _warning(topic: str, what: str, mend: str) -> Finding:
    return Finding(level="warning", topic=topic, what=what, mend=mend)


def choice_sizes(space: Space[Any]) -> list[int]:
    """Options of every discrete choice of an action; empty for other spaces."""
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete):
        return [int(n) for n in space.nvec.reshape(-1)]
    return []


def space_findings(observation_space: Any, action_space: Any) -> list[Finding]:
    """Whether both spaces can be held in tensors, and whether they go together."""
    found = [
        finding
        for name, space in (("observation", observation_space), ("action", action_space))
        for finding in _supported(name, space)
    ]
    if found:
        return found
    for path, leaf in space_items(action_space):
        if isinstance(leaf, spaces.Box) and not leaf.is_bounded("both"):
            name = f"the action space's {path}" if path else "the action space"
            found.append(
                _warning(
                    "spaces",
                    f"{name} {leaf} is unbounded: squashed policies (SAC, TD3, DDPG) need bounds",
                    "give low and high, e.g. Box(-1, 1), and scale actions inside the environment",
                )
            )
    return found + _mask_space_findings(observation_space, action_space)


def _supported(name: str, space: Any) -> list[Finding]:
    if not isinstance(space, Space):
        return [
            _error(
                "spaces",
                f"{name}_space is {space!r}, expected a gymnasium space",
                f"set self.{name}_space in the constructor",
            )
        ]
    try:
        buffer_from_example(example_of(space), (1,))
    except RlpytError as error:
        return [_error("spaces", f"{name}: {error.what}", error.hint)]
    except TypeError as error:  # torch has no such dtype
        dtype = "float32, uint8 or another dtype that torch has"
        return [_error("spaces", f"{name} space {space}: {error}", f"declare it with {dtype}")]
    return []


def _mask_space_findings(observation_space: Any, action_space: Any) -> list[Finding]:
    if not isinstance(observation_space, spaces.Dict):
        return []
    if "action_mask" not in observation_space.spaces:
        return []
    shape = observation_space["action_mask"].shape
    expected = sum(choice_sizes(action_space))
    if isinstance(action_space, spaces.MultiBinary):
        expected = math.prod(action_space.shape)
    if expected == 0:
        what = f"the observation has an action_mask, which means nothing for {action_space}"
        return [_warning("action_mask", what, "leave it out, or use a discrete action space")]
    if shape is not None and math.prod(shape) == expected:
        return []
    what = f"action_mask has shape {shape}, {action_space} takes {expected} entries"
    return [_error("action_mask", what, "one entry for each option of each choice, in their order")]


def observation_findings(space: Space[Any], value: Any, path: str = "observation") -> list[Finding]:
    """How ``value`` differs from an element of ``space``: keys, shape, dtype, finite, bounds."""
    children = space_children(space)
    if children is None:
        return _leaf_findings(space, value, path)
    named = isinstance(space, spaces.Dict)
    if not isinstance(value, dict if named else tuple):
        what = f"{path} is a {type(value).__name__}, its space is a {type(space).__name__}"
        return [_error("observation", what, f"return {path} as a {'dict' if named else 'tuple'}")]
    keys: list[Any] = list(children) if named else list(range(len(children)))
    found = list(value) if named else list(range(len(value)))
    if set(found) != set(keys):
        what = f"{path} has the keys {found}, its space says {keys}"
        return [_error("observation", what, f"make the keys of {path} and of its space agree")]
    return [
        finding
        for key, child in zip(keys, children.values(), strict=True)
        for finding in observation_findings(child, value[key], f"{path}[{key!r}]")
    ]


def _leaf_findings(space: Space[Any], value: Any, path: str) -> list[Finding]:
    array = _as_array(value)
    dtype, shape = _declared(space)
    if array is None or not np.can_cast(array.dtype, dtype):
        dtype_found = "object" if array is None else array.dtype
        what = f"{path} is a {type(value).__name__} of dtype {dtype_found}, its space says {dtype}"
        mend = f"return np.asarray({path}, dtype=np.{dtype}), or change the space's dtype"
        return [_error("observation", what, mend)]
    if array.shape != shape:
        what = f"{path} has shape {array.shape}, its space says {shape}"
        return [_error("observation", what, f"make the shape of {path} and of its space agree")]
    found = []
    if not isinstance(space, spaces.Discrete) and (
        not isinstance(value, np.ndarray) or array.dtype != dtype
    ):
        what = f"{path} is a {type(value).__name__} of dtype {array.dtype}, converted every step"
        found.append(_warning("observation", what, f"return {path} as a numpy array of {dtype}"))
    return found + _number_findings(space, array, path)


def _number_findings(space: Space[Any], array: Array, path: str) -> list[Finding]:
    bad = ~np.isfinite(array)
    if bad.any():
        what = f"{_element(path, array, bad)}, expected a finite number"
        return [_error("observation", what, f"look for 0/0, log(0) or overflow behind {path}")]
    low, high = _bounds(space)
    for outside, side, bound in ((array < low, "below", low), (array > high, "above", high)):
        if np.any(outside):
            limit = np.broadcast_to(bound, array.shape)[np.asarray(outside)][0]
            what = f"{_element(path, array, np.asarray(outside))}, {side} its bound {limit}"
            mend = f"clip {path}, or widen the bounds of its space"
            return [_error("observation", what, mend)]
    return []


def _element(path: str, array: Array, where: Array) -> str:
    index = tuple(np.argwhere(where)[0].tolist())
    return f"{path}{list(index) if index else ''} = {array[index]}"


def _declared(space: Space[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if isinstance(space, spaces.Discrete):
        return np.dtype(np.int64), ()
    assert space.shape is not None  # every supported leaf has both
    assert space.dtype is not None
    return np.dtype(space.dtype), space.shape


def _bounds(space: Space[Any]) -> tuple[Any, Any]:
    if isinstance(space, spaces.Box):
        return space.low, space.high
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    return 0, 1


def reward_findings(value: Any) -> list[Finding]:
    """Whether ``value`` is one finite real number."""
    mend = "return float(reward) from step"
    if isinstance(value, bool | np.bool_):
        return [_warning("reward", f"reward is the bool {value}, expected a real number", mend)]
    if isinstance(value, np.ndarray) and value.shape == ():
        return [_warning("reward", f"reward is an array of shape (), {value.dtype}", mend)]
    if not isinstance(value, int | float | np.integer | np.floating):
        shape = f" of shape {tuple(value.shape)}" if isinstance(value, np.ndarray) else ""
        what = f"reward is a {type(value).__name__}{shape}, expected one real number"
        return [_error("reward", what, mend)]
    if not -_FLOAT32_MAX <= value <= _FLOAT32_MAX:  # NaN too is not within
        what = f"reward = {value}, expected a finite number that fits into float32"
        return [_error("reward", what, "look for 0/0, log(0) or overflow behind the reward")]
    return []


def end_findings(terminated: Any, truncated: Any) -> list[Finding]:
    """Whether both flags are bools."""
    return [
        _error(
            "ends",
            f"{name} is {value!r} ({type(value).__name__}), expected a bool",
            f"return bool({name}) from step",
        )
        for name, value in (("terminated", terminated), ("truncated", truncated))
        if not isinstance(value, bool | np.bool_)
    ]


def action_mask_of(observation: Any) -> Array | None:
    """The top-level ``action_mask`` of an observation, flat and bool, or ``None``."""
    if not isinstance(observation, dict) or "action_mask" not in observation:
        return None
    array = _as_array(observation["action_mask"])
    return None if array is None else array.astype(bool).reshape(-1)


def mask_findings(action_space: Space[Any], mask: Array) -> list[Finding]:
    """Whether a flat mask has the right length and leaves every discrete choice an option."""
    sizes = choice_sizes(action_space)
    if not sizes or len(mask) != sum(sizes):  # the length is judged with the spaces
        return []
    for choice, options in enumerate(np.split(mask, np.cumsum(sizes)[:-1])):
        if not options.any():
            which = f"of choice {choice}" if len(sizes) > 1 else ""
            what = f"action_mask allows none of the {len(options)} options {which}".rstrip()
            mend = "allow at least one, or end the episode where nothing can be done"
            return [_error("action_mask", what, mend)]
    return []


def _as_array(value: Any) -> Array | None:
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        return None
    return None if array.dtype == object else array


def snapshot(value: Any, path: str) -> dict[str, bytes]:
    """Path to content of every leaf, copied: what equality and later change are judged by."""
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, tuple):
        children = list(enumerate(value))
    else:
        array = _as_array(value)
        return {path: repr(value).encode() if array is None else array.tobytes()}
    return {
        name: content
        for key, child in children
        for name, content in snapshot(child, f"{path}[{key!r}]").items()
    }


def first_difference(one: dict[str, bytes], other: dict[str, bytes]) -> str | None:
    """The first path whose content differs or is missing on one side."""
    for path in [*one, *other]:
        if one.get(path) != other.get(path):
            return path
    return None


def unsavable(state: Any, path: str) -> str | None:
    """The first part of an environment's state, and its type, that no checkpoint can hold."""
    if isinstance(state, dict):
        parts = [(f"{path}[{key!r}]", value) for key, value in state.items()]
    elif isinstance(state, list | tuple):
        parts = [(f"{path}[{index}]", value) for index, value in enumerate(state)]
    elif isinstance(state, np.ndarray | np.generic):
        return f"{path} of dtype object" if state.dtype == object else None
    elif state is None or isinstance(state, bool | int | float | str):
        return None
    else:
        return f"{path} of type {type(state).__name__}"
    found = (unsavable(value, name) for name, value in parts)
    return next((part for part in found if part is not None), None)
