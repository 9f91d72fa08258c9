"""The console of a run."""

from contextlib import suppress
from typing import final

from rich.console import Console

__all__ = ["RunConsole"]


@final
class RunConsole(Console):
    """A console that its run outlives: when the reader has gone (``rlpyt train ... | head``), it
    falls silent.
    """

    def on_broken_pipe(self) -> None:
        """Be quiet from now on, where rich, whose hook this is, would end the program."""
        with suppress(SystemExit):
            super().on_broken_pipe()
