"""Environments for the tests of the env edge, and a slow, plain account of what must come out."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.data import EnvStep
from rlpyt.envs.spaces import example_of
from rlpyt.utils.buffer import buffer_from_example, numpify_buffer
from rlpyt.utils.seed import Stream, seed_int


class WalkEnv(gymnasium.Env):
    """A random walk: all depends on the seed and the actions; ends of both kinds by chance."""

    def __init__(self, end: float = 0.1, cut: float = 0.1, action_space: Any = None) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = spaces.Discrete(3) if action_space is None else action_space
        self.end, self.cut = end, cut
        self.seeds: list[int | None] = []
        self.n_steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.position = self.np_random.standard_normal(3).astype(np.float32)
        return self.position.copy(), {}

    def step(self, action):
        self.n_steps += 1
        assert self.action_space.contains(action), action
        push = sum(float(np.sum(part)) for part in _parts(action))
        self.position += self.np_random.standard_normal(3).astype(np.float32) + np.float32(push)
        ended, cut = self.np_random.random(2) < (self.end, self.cut)
        info = {"push": push, "first": float(self.position[0]), "ragged": [1, [2]]}
        return self.position.copy(), float(self.position.sum()), bool(ended), bool(cut), info


def _parts(value):
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _parts(part)]
    if isinstance(value, tuple):
        return [leaf for part in value for leaf in _parts(part)]
    return [value]


class ScriptEnv(gymnasium.Env):
    """Episode after episode by a script of lengths, whatever the seeds; even ones are truncated.

    The observation tells (episode, step, sum of actions), in any shape that ``space`` asks for.
    """

    def __init__(self, lengths: tuple[int, ...] = (3, 1, 4), space: Any = None) -> None:
        self.observation_space = spaces.Box(-99, 99, (3,), np.float32) if space is None else space
        self.action_space = spaces.Discrete(3, start=1)
        self.lengths = lengths
        self.episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.t, self.total = 0, 0
        return self._observation(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.t += 1
        self.total += int(action)
        done = self.t >= self.lengths[self.episode % len(self.lengths)]
        cut = self.episode % 2 == 0
        return self._observation(), 10.0 * self.episode + self.t, done and not cut, done and cut, {}

    def _observation(self):
        return encode(self.observation_space, (self.episode, self.t, self.total))


def encode(space: Any, numbers: tuple[int, ...]) -> Any:
    """An element of ``space`` that tells ``numbers``."""
    if isinstance(space, spaces.Dict):
        return {name: encode(child, numbers) for name, child in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(encode(child, numbers) for child in space.spaces)
    if isinstance(space, spaces.Discrete):
        return np.int64(space.start + sum(numbers) % space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return (space.start + np.resize(numbers, space.shape) % space.nvec).astype(space.dtype)
    if isinstance(space, spaces.MultiBinary):
        return (np.resize(numbers, space.shape) % 2).astype(np.int8)
    return np.resize(np.array(numbers), space.shape).astype(space.dtype)


class SampleEnv(gymnasium.Env):
    """Returns samples of its observation space, keeps them and the actions it was given."""

    def __init__(self, observation_space: Any, action_space: Any = None) -> None:
        self.observation_space = observation_space
        self.action_space = spaces.Discrete(2) if action_space is None else action_space
        self.returned: list[Any] = []
        self.actions: list[Any] = []

    def reset(self, *, seed=None, options=None):
        self.observation_space.seed(seed)
        return self._sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.actions.append(action)
        return self._sample(), 0.0, len(self.actions) % 3 == 0, False, {}

    def _sample(self):
        self.returned.append(self.observation_space.sample())
        return self.returned[-1]


class OpaqueWrapper(gymnasium.Wrapper):
    """Hides what it wraps from anyone who looks for a time limit."""


SPACES = {
    "box": spaces.Box(-1, 1, (2, 3), np.float32),
    "unbounded_box": spaces.Box(-np.inf, np.inf, (2,), np.float32),
    "scalar_box": spaces.Box(-1, 1, (), np.float32),
    "float64_box": spaces.Box(-1, 1, (2,), np.float64),
    "image": spaces.Box(0, 255, (4, 4, 1), np.uint8),
    "int_box": spaces.Box(-5, 5, (2,), np.int16),
    "discrete": spaces.Discrete(4),
    "discrete_start": spaces.Discrete(4, start=-2),
    "multi_discrete": spaces.MultiDiscrete([3, 4]),
    "multi_discrete_start": spaces.MultiDiscrete([3, 4], start=[1, -2]),
    "multi_discrete_2d": spaces.MultiDiscrete([[3, 4], [2, 5]]),
    "multi_binary": spaces.MultiBinary(3),
    "multi_binary_2d": spaces.MultiBinary([2, 2]),
    "dict": spaces.Dict(b=spaces.Discrete(3, start=5), a=spaces.Box(-1, 1, (2,), np.float32)),
    "tuple": spaces.Tuple([spaces.MultiBinary(2), spaces.Box(-1, 1, (1,), np.float64)]),
    "nested": spaces.Dict(
        arm=spaces.Tuple([spaces.Discrete(2), spaces.Dict(x=spaces.MultiDiscrete([2, 2]))]),
        leg=spaces.Box(-1, 1, (1,), np.float32),
    ),
}


def expected_tree(space: Any, value: Any) -> Any:
    """What the tree of ``value`` is, written out by kind of space."""
    example = example_of(space)
    if isinstance(space, spaces.Dict):
        parts = [expected_tree(child, value[name]) for name, child in space.spaces.items()]
        return type(example)(*parts)
    if isinstance(space, spaces.Tuple):
        return type(example)(
            *(expected_tree(c, v) for c, v in zip(space.spaces, value, strict=True))
        )
    start = space.start if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) else 0
    return np.asarray(value - start if np.any(start) else value).astype(example.dtype)


def allocate(env: Any, info: Any = None) -> tuple[Any, EnvStep]:
    """A first observation and an EnvStep for ``env``; what is not written is NaN, -42 or true."""
    B = env.n_envs

    def buffer(example):
        return numpify_buffer(buffer_from_example(example, (B,), poison=True))

    example = example_of(env.spaces.observation)
    flags = np.ones(B, bool), np.ones(B, bool)
    step = EnvStep(buffer(example), buffer(np.float32(0)), *flags, buffer(example), buffer(info))
    return buffer(example), step


def copy_tree(tree: Any) -> Any:
    """A copy of the tree's arrays."""
    if isinstance(tree, tuple):
        return type(tree)._make(copy_tree(node) for node in tree)
    return None if tree is None else np.array(tree)


def roll(env: Any, actions: Any, out: EnvStep) -> list[EnvStep]:
    """Step with ``actions`` [T, B, ...] and keep a copy of everything written."""
    steps = []
    for action in actions:
        env.step(action, out)
        steps.append(copy_tree(out))
    return steps


def assert_same_course(one: list[EnvStep], other: list[EnvStep], rows: Any = slice(None)) -> None:
    """Equal steps, final observations only where an episode ended; ``rows`` of ``other``."""
    assert len(one) == len(other)
    for x, y in zip(one, other, strict=True):
        _assert_same_step(x, y[rows])


def _assert_same_step(x: EnvStep, y: EnvStep) -> None:
    for name in ("observation", "reward", "terminated", "truncated", "env_info"):
        assert_same_tree(getattr(x, name), getattr(y, name))
    done = x.terminated | x.truncated
    assert_same_tree(_pick(x.final_observation, done), _pick(y.final_observation, done))


def _pick(tree: Any, rows: Any) -> Any:
    return tree[rows]


def assert_same_tree(one: Any, other: Any) -> None:
    """Equal classes, dtypes, shapes and contents, exactly."""
    assert type(one) is type(other)
    if isinstance(one, tuple):
        for x, y in zip(one, other, strict=True):
            assert_same_tree(x, y)
    elif one is not None:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)


def plain_course(make: Any, index: int, actions: Any, *, seed: int, stream: Stream = Stream.ENV):
    """What one environment does, reset by hand: dicts of what must be written at each step."""
    env = make()
    episode = 0
    observation, _info = env.reset(seed=seed_int(seed, stream, index, episode))
    first, steps = np.array(observation), []
    for action in actions:
        observation, reward, terminated, truncated, info = env.step(action)
        step = {"reward": reward, "terminated": terminated, "truncated": truncated, "info": info}
        step["final_observation"] = None
        if terminated or truncated:
            step["final_observation"] = np.array(observation)
            episode += 1
            observation, _info = env.reset(seed=seed_int(seed, stream, index, episode))
        step["observation"] = np.array(observation)
        steps.append(step)
    return first, steps
