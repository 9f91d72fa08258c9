"""What a sampler's processes have done so far: steps counted, seconds spent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

__all__ = ["CELLS", "Meter", "SamplerTimes", "WorkerTimes"]

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
class WorkerTimes:
    """Seconds that each worker has spent on the batches of one collection: its meter counts those
    of all collections.
    """

    def __init__(self, meters: Mapping[int, Meter]) -> None:
        """``meters`` are the workers', by rank."""
        self._meters = dict(meters)
        self._env = dict.fromkeys(meters, 0.0)
        self._act = dict.fromkeys(meters, 0.0)
        self._before: dict[int, tuple[int, float, float]] = {}  # what meters said before the batch

    def begin_batch(self) -> None:
        """What the meters count from now on is the batch's."""
        self._before = {
            rank: (meter.steps, meter.env, meter.act) for rank, meter in self._meters.items()
        }

    def end_batch(self, *, acts: bool) -> None:
        """Add the batch's seconds; without ``acts`` those of acting were a wait for the master."""
        for rank, (_steps, env, act) in self._before.items():
            self._env[rank] += self._meters[rank].env - env
            if acts:
                self._act[rank] += self._meters[rank].act - act

    def steps(self, rank: int) -> int:
        """Steps that worker ``rank`` has taken in the present batch."""
        return self._meters[rank].steps - self._before[rank][0]

    @property
    def env(self) -> float:
        """Seconds spent stepping environments, the mean over workers."""
        return sum(self._env.values()) / len(self._env)

    @property
    def act(self) -> float:
        """Seconds spent on inference, the mean over workers."""
        return sum(self._act.values()) / len(self._act)

    @property
    def busy(self) -> tuple[float, ...]:
        """Each worker's seconds of either, by rank."""
        return tuple(self._env[rank] + self._act[rank] for rank in self._meters)


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
    lags: tuple[int, ...] = ()  # [n]: batches sampled with parameters n iterations old
