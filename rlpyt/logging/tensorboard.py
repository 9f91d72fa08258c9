"""TensorBoard events of a run."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from rlpyt.logging.statistics import scalar_tag

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoardSink"]


@final
class TensorBoardSink:
    """Scalars of each row as TensorBoard events, flushed per row; NaN is left out."""

    name = "TensorBoard"

    def __init__(self, run_dir: Path) -> None:
        """Nothing is imported or written before the first row."""
        self._run_dir = run_dir
        self._purge_step: int | None = None
        self._writer: SummaryWriter | None = None

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Nothing is written: event files are for what changes."""

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Write one row at ``step``.

        Raises:
            OSError: where events cannot be written; the event file is closed then.
        """
        try:
            writer = self._open()
            for column, value in values.items():
                if not math.isnan(value):
                    writer.add_scalar(scalar_tag(column), float(value), step)
            writer.flush()
        except OSError:
            with suppress(OSError):  # the failure is already being reported
                self.close()
            raise

    def restart(self, step: int) -> None:
        """Start a new event file that takes the place of everything at ``step`` and later."""
        self._purge_step = step
        self.close()

    def close(self) -> None:
        """Flush and close the event file, if one is open."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _open(self) -> "SummaryWriter":
        if self._writer is None:
            # Imported here: runs without TensorBoard should not pay for its second.
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._run_dir), purge_step=self._purge_step)
            self._purge_step = None
        return self._writer
