"""Values on the command line, checked as they are read, and the help page's form."""

import argparse
import math
from functools import partial
from typing import get_args

from rlpyt.evaluation.run_scores import ScoreKind
from rlpyt.evaluation.runs import RETURN
from rlpyt.logging.sinks import SINKS
from rlpyt.utils.device import DEVICE_NAMES

__all__ = [
    "add_device_option",
    "add_output_options",
    "add_preflight_option",
    "add_score_options",
    "help_formatter",
    "positive",
    "seed",
]

help_formatter = partial(argparse.RawDescriptionHelpFormatter, max_help_position=30)
"""Texts keep their line breaks; options stand beside their explanation."""


def _whole(text: str) -> int | None:
    """``100000``, ``100_000`` and ``1e5`` alike; None for what is no whole number."""
    for read in (int, float):
        try:
            number = read(text)
        except ValueError:
            continue
        return int(number) if math.isfinite(number) and number == int(number) else None
    return None


def positive(text: str) -> int:
    """A whole number above 0."""
    value = _whole(text)
    if value is None or value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def seed(text: str) -> int:
    """A whole number, 0 or above."""
    value = _whole(text)
    if value is None or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, 0 or above")
    return value


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Where the agent computes."""
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help=f"{DEVICE_NAMES} (default auto; see rlpyt devices)",
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """What a training run writes and prints."""
    parser.add_argument("--no-tensorboard", action="store_true", help="write no event files")
    parser.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="NAME",
        help=f"send the rows to a service as well: {', '.join(SINKS)} (repeatable)",
    )
    parser.add_argument("--no-plot", action="store_true", help="draw no curve.png at the end")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def add_preflight_option(parser: argparse._ActionsContainer) -> None:
    """Whether to look at what many runs will take before any starts."""
    parser.add_argument(
        "--no-preflight",
        action="store_true",
        help="do not look whether memory and disk suffice, nor how long it takes",
    )


def add_score_options(parser: argparse._ActionsContainer) -> None:
    """What of a run's curve is its score."""
    parser.add_argument(
        "--score",
        default="final",
        metavar="KIND",
        help=f"of a run: {', '.join(get_args(ScoreKind))} (default final: its mean over the last "
        "tenth of the steps; auc: over all)",
    )
    parser.add_argument(
        "--y",
        default=RETURN,
        metavar="COLUMN",
        help=f"of progress.csv, higher is better (default {RETURN})",
    )
