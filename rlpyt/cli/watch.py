"""``rlpyt watch``: a live table of runs."""

import argparse
import math
import os
import signal
import sys
import time
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rlpyt.cli.command import Command
from rlpyt.cli.keys import Keyboard
from rlpyt.cli.signals import noted_signals
from rlpyt.cli.watch_screen import WatchScreen
from rlpyt.cli.watch_table import runs_table, summary_lines
from rlpyt.evaluation.live import LiveView
from rlpyt.evaluation.live_thread import LiveThread

__all__ = ["COMMAND"]

_TICK = 0.1  # seconds between two looks at signals and at the size of the terminal
_GLANCE = 0.2  # seconds between the two looks of --once: CPU time is a difference
_WIDE = 140  # columns where nobody says how many there are


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir", type=Path, metavar="DIR", help="of `rlpyt launch`, or any with runs below it"
    )
    parser.add_argument("--once", action="store_true", help="print the table once, and end")
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=1.0,
        metavar="SECONDS",
        help="between two looks at the runs (default 1)",
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0.1 and 3600")
    return value


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    view = LiveView(args.dir)
    console = Console(highlight=False)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not console.is_dumb_terminal
    if args.once or not is_terminal:
        _print_once(view, console)
    else:
        _watch(view, console, args.interval)
    return 0


def _print_once(view: LiveView, console: Console) -> None:
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDE
    snapshot = view.look()
    if any(run.found.pid is not None for run in snapshot.runs):
        time.sleep(_GLANCE)
        snapshot = view.look()
    view.close()
    ascii_only = console.options.ascii_only
    table = runs_table(snapshot.runs, snapshot, console.width, ascii_only=ascii_only)
    console.print(
        Group(
            *summary_lines(snapshot, console.width), table if snapshot.runs else Text("no runs yet")
        )
    )
    for run in snapshot.runs:
        if run.found.reason and run.found.state in ("failed", "lost"):
            console.print(Text(f"{run.found.name}: {run.found.reason}"), soft_wrap=True)


def _watch(view: LiveView, console: Console, interval: float) -> None:
    """Until the user quits.

    Raises:
        SystemExit: after SIGINT, SIGTERM and SIGHUP, with the code that shells expect; the terminal
            is as before then, as after any exception.
    """
    with (
        noted_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals,
        LiveThread(view, interval) as thread,
        Keyboard(sys.stdin.fileno()) as keyboard,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        screen = WatchScreen(thread.ask, view.output)
        shown: object = None
        while not signals:
            screen.update(thread.news)
            now = (thread.news.number, console.size, screen.age)
            if now != shown:
                shown = now
                live.update(screen.render(console.options), refresh=True)
            for key in keyboard.read(_TICK):
                if not screen.press(key):
                    return
                shown = None
    raise SystemExit(128 + signals[0])


COMMAND = Command(
    summary="watch runs in the terminal, stop and requeue them",
    description=(
        "Show all runs of a directory as a table that keeps itself up to date: state, slot,\n"
        "steps, steps per second, return, time left, CPU and memory. In the directory of\n"
        "`rlpyt launch` runs can be stopped, requeued and retried; `?` shows the keys.\n"
        "Where the output is no terminal, the table is printed once."
    ),
    examples="examples:\n  rlpyt watch data/grid\n  rlpyt watch data/grid --once",
    add_arguments=_add_arguments,
    run=_run,
)
