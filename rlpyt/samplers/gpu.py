"""The GPU sampler: workers step environments, and the agent acts for all of them at once."""

from dataclasses import dataclass
from typing import final

from rlpyt.samplers.parallel import ParallelSampler

__all__ = ["GpuSampler"]


@final
@dataclass(kw_only=True)
class GpuSampler(ParallelSampler):
    """Workers that only step environments; one inference for all of them in this process, on the
    agent's device.

    The sampler for large models, on an accelerator or not.
    """

    @property
    def acts_in_workers(self) -> bool:
        """The agent acts in this process, on its device."""
        return False

    @property
    def n_groups(self) -> int:
        """All workers are one group."""
        return 1
