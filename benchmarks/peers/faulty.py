"""CartPole with a fault in it. A module, for the workers of every library to import."""

import os
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

__all__ = ["IN_ENV", "MARK", "STATE", "make_env"]

IN_ENV = frozenset({"env-raises", "env-hangs", "nan"})
STATE = "BENCHMARK_FAULT"  # environment variable: which fault
MARK = "BENCHMARK_MARK"  # likewise: the file that is made at that step, fault or not
_AT = 50  # step


class Faulty(gymnasium.Wrapper):  # type: ignore[type-arg]  # of CartPole
    """The fault happens at a step of each copy."""

    steps = 0

    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        fault = os.environ.get(STATE, "")
        if self.steps == _AT:
            Path(os.environ[MARK]).touch()
            if fault == "env-raises":
                raise ValueError("the environment is broken")
            if fault == "env-hangs":
                time.sleep(10_000)
            if fault == "nan":
                observation = np.full_like(observation, np.nan)
        return observation, reward, terminated, truncated, info


def make_env(**_kwargs: Any) -> Faulty:
    """CartPole, in which the fault of the environment variable happens."""
    return Faulty(gymnasium.make("CartPole-v1"))
