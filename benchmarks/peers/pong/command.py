"""What the two benchmarks on Pong share: the command line, and how to install the peers."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from peers.contest import Entry
from peers.options import write_json
from peers.pong.settings import DqnSettings, PpoSettings
from peers.report import machine, machine_line
from peers.training import add_options, contest, make_console, make_parser, read_options
from peers.training_report import speed_table, verdict

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
    console = make_console()
    here, results = machine(), []
    for settings in variations(
        warmup_steps=arguments.warmup,
        measured_steps=arguments.steps,
        env_threads=arguments.env_threads,
        seed=arguments.seed,
    ):
        outcomes = contest(arguments, settings, "peers.pong.worker")
        console.print(speed_table(outcomes, title))
        console.print(verdict(outcomes), style="bold")
        console.print(line(settings, arguments.rounds))
        results.append({"settings": asdict(settings), "outcomes": [asdict(o) for o in outcomes]})
    console.print(machine_line(here))
    write_json(arguments.json, {"machine": here, "contests": results})


def line(settings: Settings, rounds: int) -> str:
    """The settings in words."""
    return (
        f"Pong, 84x84x4, {settings.words()}; environments on {settings.env_threads} threads or "
        f"processes where they have any; CPU; {rounds} round(s) of "
        f"{settings.total - settings.first:,} steps after a warm-up of {settings.first:,}"
    )


def parse(description: str, words: Sequence[str], field: Sequence[Entry]) -> argparse.Namespace:
    parser = make_parser(description)
    add_options(parser, field, steps=4096, warmup=2048)
    parser.add_argument(
        "--env-threads", type=int, default=os.cpu_count(), help="of vector environments; workers"
    )
    quick = {"rounds": 1, "steps": 1024, "warmup": 1024, "threads": "1"}
    return read_options(parser, words, field, quick)
