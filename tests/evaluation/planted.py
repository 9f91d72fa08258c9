"""An environment to plant a bottleneck with."""

import math
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.utils.seed import Stream, seed_int


class Napping(gymnasium.Env[Any, Any]):
    """Sleeps ``seconds`` in each step, so that several share a core without a loss; environment
    ``slow_index`` of a run with seed 0 sleeps ``factor`` times as long.
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(
        self, seconds: float = 0.0, slow_index: int | None = None, factor: float = 1.0
    ) -> None:
        self.seconds, self.slow_index, self.factor = seconds, slow_index, factor

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Zeros; the seed tells which environment this is."""
        super().reset(seed=seed)
        self.t, self.nap = 0, self.seconds
        if self.slow_index is not None and seed == seed_int(0, Stream.ENV, self.slow_index, 0):
            self.nap *= self.factor
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        """Sleep; the episode never ends."""
        self.t += 1
        if self.nap:
            time.sleep(self.nap)
        return np.full(2, math.sin(self.t), np.float32), 1.0, False, False, {}
