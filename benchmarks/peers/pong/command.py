"""The command line that the two benchmarks on Pong share."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from peers.contest import Entry, Outcome, run_rounds
from peers.pong.report import speed_table, verdict
from peers.pong.settings import DqnSettings, PpoSettings
from peers.report import machine

__all__ = ["command"]

Settings = PpoSettings | DqnSettings


def command(
    description: str, title: str, field: Sequence[Entry], variations: Callable[..., list[Settings]]
) -> None:
    """Run the benchmark as ``sys.argv`` says.

    ``variations`` makes the settings from ``warmup_steps``, ``measured_steps``, ``env_threads`` and
    ``seed``: one contest for each.
    """
    arguments = parse(description, sys.argv[1:], field)
    console = Console() if sys.stdout.isatty() else Console(width=180)
    here, results = machine(), []
    for settings in variations(
        warmup_steps=arguments.warmup,
        measured_steps=arguments.steps,
        env_threads=arguments.env_threads,
        seed=arguments.seed,
    ):
        outcomes = contest(arguments, settings)
        console.print(speed_table(outcomes, title))
        console.print(verdict(outcomes), style="bold")
        console.print(line(settings, arguments.rounds))
        results.append({"settings": asdict(settings), "outcomes": [asdict(o) for o in outcomes]})
    console.print(
        f"{here['cpu']}, {here['cores']} cores, load {here['load_before']} before, "
        f"{here['system']}, {here['date']}"
    )
    if arguments.json is not None:
        text = json.dumps({"machine": here, "contests": results}, indent=1)
        arguments.json.write_text(text, encoding="utf-8")


def contest(arguments: argparse.Namespace, settings: Settings) -> list[Outcome]:
    """Every entry with every number of threads."""
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
        worker="peers.pong.worker",
    )


def line(settings: Settings, rounds: int) -> str:
    """The settings in words."""
    return (
        f"Pong, 84x84x4, {settings.words()}; environments on {settings.env_threads} threads or "
        f"processes where they have any; CPU; {rounds} round(s) of "
        f"{settings.total - settings.first:,} steps after a warm-up of {settings.first:,}"
    )


def parse(description: str, words: Sequence[str], field: Sequence[Entry]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(entry.name for entry in field)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4096, help="measured, per run")
    parser.add_argument("--warmup", type=int, default=2048, help="steps before them")
    parser.add_argument("--threads", default="1,2", help="numbers of torch threads, each for all")
    parser.add_argument(
        "--env-threads", type=int, default=os.cpu_count(), help="of vector environments; workers"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds, per run")
    parser.add_argument("--only", default=names, help=f"of {names}")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="the interpreter for this implementation, or module; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--json", type=Path, default=None, help="write all results here")
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(rounds=1, steps=1024, warmup=1024, threads="1")
    try:
        arguments.threads = [int(number) for number in arguments.threads.split(",")]
        arguments.only = choose(arguments.only, field)
        arguments.python = dict(split_pair(pair, field) for pair in arguments.python)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def choose(names: str, field: Sequence[Entry]) -> list[Entry]:
    known = {entry.name: entry for entry in field}
    if unknown := [name for name in names.split(",") if name not in known]:
        raise ValueError(f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def split_pair(pair: str, field: Sequence[Entry]) -> tuple[str, str]:
    name, separator, path = pair.partition("=")
    known = {word for entry in field for word in (entry.name, entry.module)}
    if not separator or name not in known:
        raise ValueError(f"--python {pair}: give NAME=PATH with a NAME of {sorted(known)}")
    return name, path
