"""What a sampler's processes have done so far: steps counted, seconds spent."""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

__all__ = ["CELLS", "Meter", "SamplerTimes"]

CELLS = 8
"""Numbers of a process: a cache line, so that no two processes write to the same."""


@final
@dataclass
class Meter:
    """Counters of one process, in its own memory or in memory that the watching process sees."""

    counts: Any = field(default_factory=lambda: np.zeros(CELLS, dtype=np.int64))
    seconds: Any = field(default_factory=lambda: np.zeros(CELLS))

    @property
    def steps(self) -> int:
        """Vector steps taken since the process began."""
        return int(self.counts[0])

    @property
    def env_row(self) -> Any:
        """One cell: which of the process's environments is being stepped."""
        return self.counts[1:2]

    @property
    def act(self) -> float:
        """Seconds spent acting, or waiting for actions."""
        return float(self.seconds[0])

    @property
    def env(self) -> float:
        """Seconds spent stepping environments."""
        return float(self.seconds[1])

    def spent(self, *, act: float, env: float) -> None:
        """Add seconds."""
        self.seconds[0] += act
        self.seconds[1] += env


@final
@dataclass(frozen=True, kw_only=True)
class SamplerTimes:
    """Seconds since the sampler began; of workers, the mean over them."""

    act: float = 0.0  # this process: inference
    wait: float = 0.0  # this process: waiting for workers
    transfer: float = 0.0  # this process: between host and device
    env: float = 0.0  # workers (serial: this process): stepping environments
    worker_act: float = 0.0  # workers: inference
    busy: tuple[float, ...] = ()  # each worker's seconds of work
    restarts: int = 0  # workers replaced
    lags: tuple[int, ...] = ()  # batches by how many iterations old their parameters were
