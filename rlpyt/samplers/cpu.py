"""The CPU sampler: each worker steps its environments and acts for them."""

from dataclasses import dataclass
from typing import final

from rlpyt.samplers.parallel import ParallelSampler

__all__ = ["CpuSampler"]


@final
@dataclass(kw_only=True)
class CpuSampler(ParallelSampler):
    """Workers that step environments and act for them, with parameters from shared memory.

    The sampler for small models: between two batches nothing is exchanged.
    """

    @property
    def acts_in_workers(self) -> bool:
        """Each worker has a copy of the agent."""
        return True

    @property
    def n_groups(self) -> int:
        """All workers are one group."""
        return 1
