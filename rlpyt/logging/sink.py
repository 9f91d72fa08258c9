"""Where rows go beside ``progress.csv``: what a sink is."""

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes the rows of one run. Any method raises OSError where it cannot do so any more: the
    logger then warns once, and the run goes on without.
    """

    @property
    def name(self) -> str:
        """What users call it."""

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Take the run's settings, by path (``algo.learning_rate``), before its first row."""

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Take one row, of environment step ``step``."""

    def restart(self, step: int) -> None:
        """Rows at ``step`` and later come again: the run was resumed from before."""

    def close(self) -> None:
        """Take what is left and let go; a second call does nothing."""
