"""One environment under test: every call guarded and timed, everything it returns looked at."""

import copy
import traceback
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from rlpyt.envs.check_report import EnvReport, Finding
from rlpyt.envs.check_values import (
    action_mask_of,
    choice_sizes,
    end_findings,
    first_difference,
    mask_findings,
    observation_findings,
    reward_findings,
    snapshot,
)
from rlpyt.envs.tasks import parts_of
from rlpyt.utils.errors import RlpytError

__all__ = ["BrokenEnvError", "RandomPolicy", "Subject", "guarded", "time_limit"]


@final
class BrokenEnvError(Exception):
    """The environment raised, or returned what is of no use; the report says so already."""


def guarded(report: EnvReport, topic: str, function: Callable[..., Any], *args: Any) -> Any:
    """``function(*args)``; what it raises becomes an error of ``topic`` with its type and place.

    Raises:
        BrokenEnvError: where ``function`` raised.
    """
    try:
        return function(*args)
    except RlpytError as error:
        report.add(Finding(level="error", topic=topic, what=error.what, mend=error.hint))
        raise BrokenEnvError from error
    # The one place where anything is caught: what a user's environment raises, sys.exit included,
    # is the answer this command was asked for, and never a reason to stop without a report.
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        report.add(
            Finding(
                level="error",
                topic=topic,
                what=f"raised {type(error).__name__}: {error} "
                f"({frame.filename}:{frame.lineno}, in {frame.name})",
                mend="mend it at that line; with the same seed it comes again",
            )
        )
        raise BrokenEnvError from error


def time_limit(env: gymnasium.Env[Any, Any]) -> int | None:
    """Steps after which a ``TimeLimit`` wrapper truncates; ``None`` without one."""
    limits = [part._max_episode_steps for part in parts_of(env) if isinstance(part, TimeLimit)]
    return int(limits[0]) if limits else None


@final
class RandomPolicy:
    """Uniform actions (normal where a Box is unbounded) that respect an ``action_mask``."""

    def __init__(self, space: gymnasium.Space[Any], seed: int) -> None:
        """Draw from a copy of ``space``: the environment's own generator stays untouched."""
        self._space = copy.deepcopy(space)
        self._space.seed(seed)
        self._rng = np.random.default_rng(seed)
        self._sizes = choice_sizes(space)

    def __call__(self, observation: Any) -> Any:
        """One action, typed as a sampler gives it."""
        mask, space = action_mask_of(observation), self._space
        if isinstance(space, spaces.MultiBinary):
            bits = space.sample()
            fits = mask is not None and mask.size == bits.size
            return bits * mask.reshape(bits.shape) if fits and mask is not None else bits
        if mask is None or len(mask) != sum(self._sizes) or mask_findings(space, mask):
            action = space.sample()
            return int(action) if isinstance(space, spaces.Discrete) else action
        options = np.split(mask, np.cumsum(self._sizes)[:-1])
        chosen = np.array([self._rng.choice(np.flatnonzero(allowed)) for allowed in options])
        if isinstance(space, spaces.MultiDiscrete):
            return (chosen.reshape(space.nvec.shape) + space.start).astype(space.dtype)
        assert isinstance(space, spaces.Discrete)  # no other space has choices
        return int(chosen[0] + space.start)


@final
class Subject:
    """An environment whose every answer is looked at; findings go into ``report``."""

    def __init__(self, report: EnvReport, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env
        self.limit = time_limit(env)
        self.observation: Any = None  # the last one
        self.done = False
        self.terminated = False
        self.masked = False  # observations carry an action_mask
        self.reset_times: list[float] = []  # µs
        self.step_times: list[float] = []  # µs
        self._report = report
        self._space = env.observation_space
        self._last: tuple[Any, dict[str, bytes]] | None = None
        self._elapsed = 0

    def reset(self, seed: int) -> dict[str, bytes]:
        """Start an episode; the content of what was returned."""
        start = perf_counter_ns()
        result = guarded(self._report, "reset", lambda: self.env.reset(seed=seed))
        self.reset_times.append((perf_counter_ns() - start) / 1000)
        if not isinstance(result, tuple) or len(result) != 2:
            self._malformed("reset", f"returned {_form(result)}, expected (observation, info)")
        observation, info = result
        self._check_info("reset", info)
        self._check_observation(observation)
        self._elapsed, self.done, self.terminated = 0, False, False
        return snapshot(observation, "observation")

    def step(self, action: Any) -> dict[str, bytes]:
        """Step; the content of what was returned, reward and flags included."""
        before = snapshot(action, "action")
        start = perf_counter_ns()
        result = guarded(self._report, "step", self.env.step, action)
        self.step_times.append((perf_counter_ns() - start) / 1000)
        if not isinstance(result, tuple) or len(result) != 5:
            expected = "(observation, reward, terminated, truncated, info)"
            self._malformed("step", f"returned {_form(result)}, expected {expected}")
        observation, reward, terminated, truncated, info = result
        if snapshot(action, "action") != before:
            self._warn("action", "step changes the action it is given", "work on action.copy()")
        self._check_info("step", info)
        self._check_observation(observation)
        self._report.add(*reward_findings(reward), *end_findings(terminated, truncated))
        self._elapsed += 1
        self._check_ends(bool(np.any(terminated)), bool(np.any(truncated)))
        content = snapshot(observation, "observation")
        for name, value in (
            ("reward", reward),
            ("terminated", terminated),
            ("truncated", truncated),
        ):
            content |= snapshot(value, name)
        return content

    def _malformed(self, topic: str, what: str) -> None:
        mend = "follow Gymnasium's API; an old gym environment can be wrapped with shimmy"
        self._report.add(Finding(level="error", topic=topic, what=what, mend=mend))
        raise BrokenEnvError

    def _warn(self, topic: str, what: str, mend: str) -> None:
        self._report.add(Finding(level="warning", topic=topic, what=what, mend=mend))

    def _check_info(self, topic: str, info: Any) -> None:
        if not isinstance(info, dict):
            what = f"info is a {type(info).__name__}, expected a dict"
            mend = f"return a dict, {{}} where there is nothing to say, as info from {topic}"
            self._report.add(Finding(level="error", topic=topic, what=what, mend=mend))

    def _check_observation(self, observation: Any) -> None:
        if self._last is not None:
            previous, content = self._last
            changed = first_difference(content, snapshot(previous, "observation"))
            if changed is not None:
                self._warn(
                    "aliasing",
                    f"{changed} of the step before changed in place: its array is used again",
                    f"return {changed}.copy(): samplers copy, whoever keeps observations may not",
                )
        self._report.add(*observation_findings(self._space, observation))
        mask = action_mask_of(observation)
        self.masked = mask is not None
        if mask is not None:
            self._report.add(*mask_findings(self.env.action_space, mask))
        self._last = (observation, snapshot(observation, "observation"))
        self.observation = observation

    def _check_ends(self, terminated: bool, truncated: bool) -> None:
        self.done, self.terminated = terminated or truncated, terminated
        if terminated and truncated and self._elapsed != self.limit:
            self._warn(
                "ends",
                f"terminated and truncated are both true after {self._elapsed} steps",
                "truncated is for an end that the task does not know, such as a time limit",
            )


def _form(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} values"
    return f"a {type(value).__name__}"
