"""The runs of a queue as a table on the terminal."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlpyt.evaluation.run_sources import LiveState
from rlpyt.launch.queued_run import QueuedRun

__all__ = ["STATE_STYLES", "print_runs", "run_seconds"]

_FILE_WIDTH = 240  # of a table that goes to a file or another program

STATE_STYLES: Mapping[LiveState, str] = MappingProxyType(
    {
        "queued": "dim",
        "running": "green",
        "done": "cyan",
        "failed": "bold red",
        "stopped": "yellow",
        "lost": "bold yellow",
    }
)
"""How rich shows each state."""


def run_seconds(run: QueuedRun) -> float:
    """What its attempts have taken, with the one that goes on."""
    running = run.started_at is not None and run.state == "running"
    return run.seconds + (max(0.0, time.time() - (run.started_at or 0.0)) if running else 0.0)


def print_runs(runs: Sequence[QueuedRun]) -> None:
    """A line for each, on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(_table(runs))


def _table(runs: Sequence[QueuedRun]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("run", overflow="fold")
    for title in ("state", "slot", "attempts", "time"):
        table.add_column(title, justify="left" if title == "state" else "right")
    table.add_column("why", overflow="fold")
    for run in runs:
        state = f"{run.state}, to be {run.wanted}" if run.wanted else run.state
        seconds = run_seconds(run)
        table.add_row(
            str(run.id),
            escape(run.name),
            f"[{STATE_STYLES[run.state]}]{state}[/]",
            str(run.slot) if run.state == "running" else "",
            str(run.attempts) if run.attempts else "",
            str(timedelta(seconds=round(seconds))) if seconds else "",
            escape(run.reason),
        )
    return table
