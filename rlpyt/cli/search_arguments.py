"""What ``rlpyt search`` reads from the command line."""

import argparse
from pathlib import Path
from typing import get_args

from rlpyt.cli.arguments import (
    add_output_options,
    add_preflight_option,
    add_score_options,
    positive,
    seed,
)
from rlpyt.cli.grid_words import seeds_of
from rlpyt.cli.space_words import FORMS
from rlpyt.cli.train import add_runner_options
from rlpyt.search.plan import Method

__all__ = ["add_search_arguments"]


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare everything."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="algorithms (ppo, or ppo,a2c), functions that return runners (module:function or "
        "file.py:function), or a script (file.py)",
    )
    parser.add_argument("env", nargs="?", metavar="ENV", help="of an algorithm")
    group = parser.add_argument_group("the search")
    group.add_argument(
        "--space",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=...",
        help=f"settings, and what values each may have: {FORMS}. All words up to the next option "
        "are of the space",
    )
    group.add_argument(
        "--trials", type=positive, default=16, metavar="N", help="points to try (default 16)"
    )
    group.add_argument(
        "--seeds",
        type=seeds_of,
        default=3,
        metavar="N",
        help="runs of each trial, with seeds from 0; or which: 3,7 or 10-19 (default 3)",
    )
    group.add_argument(
        "--method",
        default="random",
        metavar="HOW",
        help=f"{', '.join(get_args(Method))} (default random)",
    )
    _add_score_arguments(parser)
    _add_halving_arguments(parser)
    _add_launch_arguments(parser)
    add_runner_options(parser)
    add_output_options(parser)


def _add_score_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it chooses")
    group.add_argument(
        "--search-seed", type=seed, default=0, metavar="N", help="of the values (default 0)"
    )
    add_score_options(group)


def _add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it runs")
    group.add_argument(
        "--affinity", default="auto", metavar="CODE", help="what the runs share (default auto)"
    )
    group.add_argument(
        "--out", type=Path, metavar="DIR", help="of the search (default data/local/...)"
    )
    group.add_argument("--dry-run", action="store_true", help="show the trials, and start none")
    add_preflight_option(group)


def _add_halving_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("successive halving")
    group.add_argument(
        "--halving",
        dest="method",
        action="store_const",
        const="halving",
        help="--method halving: train all for a while, the best of them longer, and so on",
    )
    group.add_argument(
        "--factor",
        type=positive,
        default=3,
        metavar="N",
        help="so many times fewer trials in each rung, so many times longer (default 3)",
    )
    group.add_argument(
        "--rungs",
        type=positive,
        metavar="N",
        help="default: as many as leave one trial or more for the last",
    )
    group.add_argument(
        "--min-steps", type=positive, metavar="N", help="of the first rung, at least"
    )
