"""The plain runner: sampling and learning in turn, in one process."""

from dataclasses import dataclass
from typing import final

from rlpyt.logging.logger import Logger
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.loop import TrainingLoop

__all__ = ["MinibatchRl"]


@final
@dataclass(kw_only=True)
class MinibatchRl(BaseRunner):
    """Samples a batch, then learns from it; the sampler may have workers of its own."""

    @property
    def steps_per_itr(self) -> int:
        """Those of one batch."""
        return self.sampler.batch_spec.size

    def train(self, logger: Logger | None = None, *, resume: bool = False) -> None:
        """As :class:`BaseRunner`."""
        TrainingLoop(self, self.sampler).run(logger, resume=resume)
