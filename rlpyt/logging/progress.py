"""A progress bar for the environment steps of a run."""

import time
from datetime import timedelta
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from rlpyt.logging.table import format_number

__all__ = ["ProgressBar"]


@final
class ProgressBar:
    """Steps done, steps per second, time left and latest return; a context manager.

    Give it the logger's ``console``: tables then print above the bar. Where that is no terminal
    there is no bar, and :meth:`report` prints one plain line instead.
    """

    def __init__(self, total_steps: int, *, console: Console, initial_steps: int = 0) -> None:
        """Count to ``total_steps`` environment steps, from ``initial_steps`` in a resumed run."""
        self._total = total_steps
        self._initial = initial_steps
        self._console = console
        self._began = time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]{task.completed:,.0f}[/bold]/{task.total:,.0f} steps"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]} steps/s"),
            TextColumn("return [bold]{task.fields[latest]}[/bold]"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(
            "", total=total_steps, completed=initial_steps, rate="-", latest="-"
        )

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._bar.reset(self._task, total=self._total, completed=self._initial)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, steps: int) -> None:
        """Move to ``steps`` environment steps in all."""
        self._bar.update(self._task, completed=steps, rate=format_number(round(self._rate(steps))))

    def report(self, steps: int, latest_return: float) -> None:
        """Move to ``steps`` and show ``latest_return``; without a terminal, print one line."""
        self.update(steps)
        self._bar.update(self._task, latest=format_number(latest_return))
        if not self._console.is_terminal:
            rate = self._rate(steps)
            left = max(self._total - steps, 0)
            remaining = timedelta(seconds=round(left / rate)) if rate > 0 else "-"
            line = (
                f"{steps:,}/{self._total:,} steps ({100 * steps / max(self._total, 1):.0f}%), "
                f"{rate:,.0f} steps/s, return {format_number(latest_return)}, {remaining} left"
            )
            self._console.print(line, markup=False, soft_wrap=True)

    def _rate(self, steps: int) -> float:
        """Environment steps per second since the start of this process's part of the run."""
        return (steps - self._initial) / max(time.monotonic() - self._began, 1e-9)
