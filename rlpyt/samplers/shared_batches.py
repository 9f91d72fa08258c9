"""What the other learning processes see of a sampler's process: their columns of its batches."""

import time
from multiprocessing.connection import Connection
from typing import Any, final

from rlpyt.agents.base import Agent
from rlpyt.data import Samples, TrajInfo
from rlpyt.samplers.double_buffer import DoubleBuffer
from rlpyt.samplers.meter import SamplerTimes
from rlpyt.samplers.requests import receive

__all__ = ["SharedBatches"]

_TICK = 1e-4  # seconds between two looks for a batch
_LOOKS = 5_000  # between two looks whether the first process is there


@final
class SharedBatches:
    """What another process than the first learns from: its columns of each batch."""

    def __init__(self, pipe: Connection, columns: slice) -> None:
        """The first process hands the buffer over through ``pipe``."""
        self._pipe, self._columns = pipe, columns

    def initialize(
        self,
        agent: Agent,
        *,
        seed: int,
        discount: float,
        bootstrap_value: bool,
        rank: int,
        n_ranks: int,
    ) -> None:
        """Wait for the buffer."""
        self._buffer = DoubleBuffer.attach(receive(self._pipe), self._pipe)
        self._views = [half[:, self._columns] for half in self._buffer.halves]

    def obtain_samples(self, itr: int) -> tuple[Samples, list[TrajInfo]]:
        """The process's columns of the batch of ``itr``, [T, B]; the first reports episodes."""
        looks = 0
        while self._buffer.filled <= itr:
            looks += 1
            if looks % _LOOKS == 0 and self._pipe.poll():
                raise EOFError
            time.sleep(_TICK)
        return self._views[itr % 2], []

    def plan(self) -> dict[str, Any]:
        """The first process's."""
        return {}

    def times(self) -> SamplerTimes:
        """The first process's."""
        return SamplerTimes()

    def state_dict(self) -> dict[str, Any]:
        """The first process's."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is kept here."""

    def shutdown(self) -> None:
        """Nothing is kept here."""
