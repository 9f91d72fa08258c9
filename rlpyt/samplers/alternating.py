"""The alternating sampler: while one half steps its environments, the agent acts for the other."""

from dataclasses import dataclass
from typing import final

from rlpyt.samplers.parallel import ParallelSampler

__all__ = ["AlternatingSampler"]


@final
@dataclass(kw_only=True)
class AlternatingSampler(ParallelSampler):
    """As :class:`~rlpyt.samplers.gpu.GpuSampler` with two groups of workers that take turns: the
    agent acts for one half of the batch while the other steps its environments.
    """

    @property
    def acts_in_workers(self) -> bool:
        """The agent acts in this process, on its device."""
        return False

    @property
    def n_groups(self) -> int:
        """Two halves of the batch take turns."""
        return 2
