"""``rlpyt dashboard``: a page of runs in the browser."""

import argparse
import os
import signal
import sys
import threading
import webbrowser
from pathlib import Path

from rlpyt.cli.command import Command
from rlpyt.cli.signals import noted_signals
from rlpyt.evaluation.dashboard import Dashboard
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dir", type=Path, metavar="DIR", help="of `rlpyt launch`, or any with runs below it"
    )
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="of this machine (default 0: a free one)"
    )
    parser.add_argument(
        "--open",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="open it in a browser (default: where there is a screen)",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 65535")
    return int(text)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    with Dashboard(args.dir, args.port) as dashboard:
        print(f"{dashboard.url}  (ctrl-c ends it; runs go on)", flush=True)
        wants_browser = _has_screen() if args.open is None else args.open
        if wants_browser and not webbrowser.open(dashboard.url) and args.open:
            raise RlpytError("browser", "no browser was found", hint="open the address yourself")
        _serve(dashboard)
    return 0


def _has_screen() -> bool:
    if sys.platform == "linux" and not (os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}):
        return False
    return sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ


def _serve(dashboard: Dashboard) -> None:
    """Until SIGINT or SIGTERM.

    Raises:
        SystemExit: then, with the code that shells expect.
    """

    def stop() -> None:
        threading.Thread(target=dashboard.stop).start()  # it waits for what this one does

    with noted_signals(signal.SIGINT, signal.SIGTERM, then=stop) as came:
        dashboard.serve()
    if came:
        raise SystemExit(128 + came[0])


COMMAND = Command(
    summary="show runs as a live page in the browser",
    description=(
        "Serve a page of all runs of a directory, on this machine alone: learning curves with a\n"
        "mean and a band over seeds for each setting, and a table of states, steps, returns and\n"
        "what each run has printed. It reads only; rlpyt watch can stop and requeue."
    ),
    examples=(
        "examples:\n"
        "  rlpyt dashboard data/grid\n"
        "  rlpyt dashboard data/grid --port 8000 --no-open\n"
        "  on another machine: ssh -L 8000:localhost:8000 HOST, and open http://localhost:8000"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
