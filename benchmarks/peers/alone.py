"""What the benchmarks of one part alone, of sampling and of replays, have in common."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from peers.options import add_json, add_python, interpreters

__all__ = ["Entry", "Outcome", "add_options", "interpreter", "read_options", "starts"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One system in one variant."""

    name: str  # for --only
    label: str
    role: str  # "limit", "ours" or "peer"
    module: str  # beside the worker of the benchmark
    variant: str
    install: str  # what pip is to install


EntryT = TypeVar("EntryT", bound=Entry)
TaskT = TypeVar("TaskT")


@dataclass(kw_only=True)
class Outcome(Generic[EntryT, TaskT]):
    """What became of one entry in one task: a result per round, or why there is none."""

    entry: EntryT
    task: TaskT
    rounds: dict[int, dict[str, Any]] = field(default_factory=dict)
    trouble: str = ""


def starts(number_of_outcomes: int, rounds: int) -> list[int]:
    """Where in the turn each round starts: spread evenly, since one entry has several outcomes."""
    return [number * number_of_outcomes // rounds for number in range(rounds)]


def interpreter(entry: Entry, pythons: Mapping[str, str]) -> str:
    """The interpreter that is given for the entry's name, module or role, or else this one."""
    keys = (entry.name, entry.module, entry.role)
    return next((pythons[key] for key in keys if key in pythons), sys.executable)


def add_options(
    parser: argparse.ArgumentParser, entries: Sequence[Entry], *, system: str, quick: str
) -> None:
    """``--only``, ``--python``, ``--quick`` and ``--json``, for :func:`read_options`."""
    names = ", ".join(entry.name for entry in entries)
    parser.add_argument(
        "--only", default=None, help=f"of limit, ours, peer, {names}; separated by commas"
    )
    add_python(parser, f"for this {system}, module or role")
    parser.add_argument("--quick", action="store_true", help=quick)
    add_json(parser)


def read_options(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    entries: Sequence[Entry],
    quick: Mapping[str, Any],
) -> argparse.Namespace:
    """``words`` parsed: ``only`` as entries, ``python`` as a mapping; with ``--quick``, ``quick``
    in place of what was asked for.
    """
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(quick)
    known = {word for entry in entries for word in (entry.name, entry.module, entry.role)}
    try:
        arguments.only = _chosen(arguments.only.split(",") if arguments.only else None, entries)
        arguments.python = interpreters(arguments.python, known)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _chosen(words: Sequence[str] | None, entries: Sequence[Entry]) -> list[Entry]:
    """The entries that ``words`` name, each an entry's name or its role; ``None``: all."""
    if words is None:
        return list(entries)
    known = {word for entry in entries for word in (entry.name, entry.role)}
    if unknown := [word for word in words if word not in known]:
        raise ValueError(f"unknown: {', '.join(unknown)}; choose from {', '.join(sorted(known))}")
    return [entry for entry in entries if entry.name in words or entry.role in words]
