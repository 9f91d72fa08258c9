"""An environment of your own, with a Dict observation and an action mask.

A courier on a grid walks to a parcel. What it observes is a Dict: where it is, where the parcel is,
and which moves are possible. The entry ``action_mask`` is special: every discrete policy gives the
actions that it rules out probability zero. Any class with the interface of Gymnasium will do; check
yours with ``rlpyt env-check my_module:Courier``.

An argument sets the number of environment steps.
"""

import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

MOVES = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # north, east, south, west


class Courier(gymnasium.Env[dict[str, Any], Any]):
    """Walk to the parcel in as few steps as possible. Every step costs 0.1; arriving pays 1."""

    def __init__(self, size: int = 6) -> None:
        self.size = size
        where = spaces.MultiDiscrete([size, size])
        self.observation_space = spaces.Dict(
            {"courier": where, "parcel": where, "action_mask": spaces.MultiBinary(len(MOVES))}
        )
        self.action_space = spaces.Discrete(len(MOVES))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Put courier and parcel on different squares."""
        super().reset(seed=seed)  # makes self.np_random, the only generator to draw from
        self.courier, self.parcel = self.np_random.integers(self.size, size=(2, 2))
        if np.array_equal(self.courier, self.parcel):
            self.parcel = (self.parcel + 1) % self.size
        return self._observe(), {}

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Walk one square."""
        self.courier = self.courier + MOVES[action]
        terminated = np.array_equal(self.courier, self.parcel)
        return self._observe(), 1.0 if terminated else -0.1, terminated, False, {}

    def _observe(self) -> dict[str, Any]:
        after = self.courier + MOVES
        possible = np.all((after >= 0) & (after < self.size), axis=1)
        return {
            "courier": self.courier.copy(),
            "parcel": self.parcel.copy(),
            "action_mask": possible.astype(np.int8),
        }


def build(n_steps: int) -> MinibatchRl:
    """The runner, not yet started. The time limit truncates, it does not terminate."""
    env = EnvConfig(id=Courier, kwargs={"size": 6}, time_limit=50)
    return MinibatchRl(
        algo=PPO(learning_rate=1e-3, learning_rate_schedule="linear"),
        agent=PgAgent(),
        sampler=SerialSampler(env=env, batch_T=64, batch_B=8),
        evaluator=Evaluator(episodes=40),  # every row of the log reports these, not the training
        log_interval_steps=max(512, n_steps // 20),
        n_steps=n_steps,
        seed=0,
    )


if __name__ == "__main__":
    runner = build(int(sys.argv[1]) if sys.argv[1:] else 50_000)
    with logger_context(default_log_dir("courier"), 0, "courier") as logger:
        runner.train(logger)
