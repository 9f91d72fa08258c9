"""What gives a run its batches."""

from typing import Any, Protocol

from rlpyt.agents.base import Agent
from rlpyt.data import Samples, TrajInfo
from rlpyt.samplers.meter import SamplerTimes

__all__ = ["SampleSource"]


class SampleSource(Protocol):
    """Where batches come from: a sampler, here or in a process of its own."""

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
        """Start, with the (initialised) agent."""

    def obtain_samples(self, itr: int) -> tuple[Samples, list[TrajInfo]]:
        """The batch of iteration ``itr``, [T, B]; and the episodes that ended in it."""

    def plan(self) -> dict[str, Any]:
        """How the work is divided among processes."""

    def times(self) -> SamplerTimes:
        """Where the time went."""

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch starts."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""

    def shutdown(self) -> None:
        """End."""
