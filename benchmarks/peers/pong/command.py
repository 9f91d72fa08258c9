"""What the two benchmarks on Pong share: the command line, and how to install the peers."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

from rich.console import Console

from peers.contest import Entry, Outcome, choose, run_rounds
from peers.options import add_json, add_python, interpreters, write_json
from peers.pong.report import speed_table, verdict
from peers.pong.settings import DqnSettings, PpoSettings
from peers.report import machine, machine_line

__all__ = ["ALE", "SB3", "command"]

SB3 = "pip install stable-baselines3==2.9.2 'gymnasium[atari,other]'"
ALE = "pip install gymnasium==1.4.0 ale-py==0.12.1 opencv-python-headless"

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
    console.print(machine_line(here))
    write_json(arguments.json, {"machine": here, "contests": results})


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
    add_python(parser, "for this implementation, or module")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    add_json(parser)
    arguments = parser.parse_args(words)
    if arguments.quick:
        vars(arguments).update(rounds=1, steps=1024, warmup=1024, threads="1")
    known = {word for entry in field for word in (entry.name, entry.module)}
    try:
        arguments.threads = [int(number) for number in arguments.threads.split(",")]
        arguments.only = choose(arguments.only.split(","), field)
        arguments.python = interpreters(arguments.python, known)
    except ValueError as error:
        parser.error(str(error))
    return arguments
