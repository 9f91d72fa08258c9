"""``rlpyt plot``: learning curves of runs, seeds of one setting together."""

import argparse
from pathlib import Path

from rlpyt.cli.command import Command
from rlpyt.evaluation.plot import plot_runs
from rlpyt.evaluation.runs import RETURN, STEPS

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dirs", type=Path, nargs="+", metavar="DIR", help="runs, or folders of runs"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("curve.png"),
        metavar="FILE",
        help=".png, .pdf or .svg (default curve.png)",
    )
    parser.add_argument(
        "--x",
        default=STEPS,
        metavar="COLUMN",
        help=f"of progress.csv (default {STEPS})",
    )
    parser.add_argument(
        "--y", default=RETURN, metavar="COLUMN", help=f"of progress.csv (default {RETURN})"
    )
    parser.add_argument(
        "--smooth", type=int, default=0, metavar="ROWS", help="moving average over so many rows"
    )


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    print(plot_runs(args.dirs, args.out, x=args.x, y=args.y, smooth=args.smooth))
    return 0


COMMAND = Command(
    summary="draw learning curves",
    description=(
        "Draw the curves of every run in the given folders; runs that differ only by seed share\n"
        "a line and a band."
    ),
    examples="example:\n  rlpyt plot data/cartpole data/acrobot --out curves.png",
    add_arguments=_add_arguments,
    run=_run,
)
