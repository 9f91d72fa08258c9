"""``rlpyt rewind``: list a run's checkpoints, or go back to one of them."""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rlpyt.checkpoint.lock import RunLock
from rlpyt.cli.arguments import seed as whole
from rlpyt.cli.command import Command
from rlpyt.cli.history import Moment, add_moment_options, chosen_moment, parts, read_moments
from rlpyt.cli.rundir import find_run
from rlpyt.logging.files import ProgressCsv, directory_error
from rlpyt.logging.lineage import add_event
from rlpyt.logging.run_state import write_run_state
from rlpyt.logging.table import format_number
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import readable

__all__ = ["COMMAND", "cut_rows"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    parser.add_argument(
        "back",
        type=whole,
        nargs="?",
        metavar="N",
        help="go back so many checkpoints (default: list them)",
    )
    add_moment_options(parser.add_mutually_exclusive_group())


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    is_chosen = args.itr is not None or args.best
    if args.back is not None and is_chosen:
        raise RlpytError("usage", "N and --itr or --best", hint="choose the checkpoint one way")
    if args.back is None and not is_chosen:
        _show(read_moments(run_dir), run_dir)
        return 0
    with RunLock(run_dir):
        moments = read_moments(run_dir)
        _go_back(run_dir, moments, chosen_moment(moments, args, args.back or 0))
    return 0


def _go_back(run_dir: Path, moments: Sequence[Moment], moment: Moment) -> None:
    each = parts(run_dir)
    loaded = [part.load(part.saved()[moment.itr]) for part in each]  # sound, or nothing is done
    state, manifest = loaded[0]
    kept = _keep_rows(run_dir, state["logger"]["rows"], f"aside-{moments[0].path.name}")
    moved = [path for part in each for path in part.go_back(moment.itr)]
    if not moved:
        print(f"{run_dir} stands at iteration {moment.itr} already")
        return
    cut_rows(run_dir, state["logger"])
    write_run_state(run_dir, "paused")
    add_event(run_dir, "rewind", to_itr=moment.itr, from_itr=moments[0].itr)
    steps = f"{manifest.cum_steps:,} steps (iteration {moment.itr})"
    aside = ", ".join(path.name for path in [*moved, *kept])
    print(f"{run_dir} stands at {steps}; set aside: {aside}")
    print(f"go on with `rlpyt resume {run_dir}`")


def _keep_rows(run_dir: Path, rows: int, name: str) -> list[Path]:
    """Copy ``progress.csv`` to ``<name>-progress.csv``, if it has more rows; where it is then."""
    path, copy = run_dir / "progress.csv", run_dir / f"{name}-progress.csv"
    number = 0
    while copy.exists():
        number += 1
        copy = run_dir / f"{name}.{number}-progress.csv"
    try:
        if ProgressCsv(path).rows <= rows:
            return []
        shutil.copyfile(path, copy)
    except OSError as error:
        raise directory_error(copy, error) from error
    return [copy]


def cut_rows(run_dir: Path, log: Mapping[str, Any]) -> None:
    """Have ``progress.csv`` end where ``log``, the state of a logger, was taken.

    Raises:
        RlpytError: ``directory``, where it cannot be written, or does not hold those rows.
    """
    path = run_dir / "progress.csv"
    try:
        ProgressCsv(path).truncate(list(log["columns"]), int(log["rows"]))
    except OSError as error:
        raise directory_error(path, error) from error


def _show(moments: Sequence[Moment], run_dir: Path) -> None:
    console = Console(highlight=False)
    console.print(f"checkpoints of {run_dir}:", markup=False, emoji=False, soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("back", "iteration", "steps", "score", "saved", "size"):
        table.add_column(title, justify="right")
    table.add_column("", overflow="fold")
    for back, moment in enumerate(moments):
        manifest = moment.manifest
        steps = score = "-"
        if manifest is not None:
            steps = f"{manifest.cum_steps:,}"
            score = "-" if manifest.score is None else format_number(manifest.score)
        note = moment.problem or "best" * moment.is_best
        cells = [str(back), str(moment.itr), steps, score, _ago(moment), readable(moment.size)]
        table.add_row(*cells, note)
    console.print(table)
    console.print("`rlpyt rewind RUN_DIR N` goes back; what is ahead is set aside, not removed")


def _ago(moment: Moment) -> str:
    """How long ago it was saved; a clock that was set back since gives "-"."""
    seconds = moment.age
    return "-" if seconds is None or seconds < 0 else f"{timedelta(seconds=round(seconds))} ago"


COMMAND = Command(
    summary="list a run's checkpoints, or go back",
    description=(
        "Without N, list the checkpoints of RUN_DIR. With N, let the run stand at the one that\n"
        "many before the newest. Checkpoints ahead of it, and progress.csv as it was, stay in the\n"
        "directory as aside-..., which nothing reads; `rlpyt resume` goes on from where it stands."
    ),
    examples=(
        "examples:\n"
        "  rlpyt rewind data/cartpole\n"
        "  rlpyt rewind data/cartpole 3\n"
        "  rlpyt rewind data/cartpole --best"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
