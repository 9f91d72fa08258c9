"""What the benchmarks of training have in common that run with several numbers of threads: options
and the contest.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from peers.contest import Entry, Outcome, choose, run_rounds
from peers.options import add_json, add_python, interpreters
from peers.settings import Run

__all__ = ["add_options", "contest", "make_console", "make_parser", "read_options"]


def make_parser(description: str) -> argparse.ArgumentParser:
    """One that prints ``description`` as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_options(
    parser: argparse.ArgumentParser, field: Sequence[Entry], *, steps: int, warmup: int
) -> None:
    """What every such benchmark takes, for :func:`read_options`."""
    names = ",".join(entry.name for entry in field)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=steps, help="measured, per run")
    parser.add_argument("--warmup", type=int, default=warmup, help="steps before them")
    parser.add_argument("--threads", default="1,2", help="numbers of torch threads, each for all")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds, per run")
    parser.add_argument("--only", default=names, help=f"of {names}")
    add_python(parser, "for this implementation, or module")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    add_json(parser)


def read_options(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    field: Sequence[Entry],
    quick: Mapping[str, Any],
) -> argparse.Namespace:
    """``words`` parsed: ``only`` as entries, ``threads`` as numbers, ``python`` as a mapping; with
    ``--quick``, ``quick`` in place of what was asked for.
    """
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(quick)
    known = {word for entry in field for word in (entry.name, entry.module)}
    try:
        arguments.threads = [int(number) for number in arguments.threads.split(",")]
        arguments.only = choose(arguments.only.split(","), field)
        arguments.python = interpreters(arguments.python, known)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def contest(arguments: argparse.Namespace, settings: Run, worker: str) -> list[Outcome]:
    """Every entry with every number of threads, by ``worker``."""
    entries = [
        replace(entry, threads=threads) for entry in arguments.only for threads in arguments.threads
    ]
    return run_rounds(
        entries,
        settings,
        arguments.python,
        rounds=arguments.rounds,
        check=False,
        timeout=arguments.timeout,
        tell=Console(stderr=True).print,
        worker=worker,
    )


def make_console() -> Console:
    """One that is wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=180)
