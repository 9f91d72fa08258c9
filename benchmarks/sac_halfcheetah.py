"""SAC on HalfCheetah: steps, each with an update, per second of the whole training loop.

    python benchmarks/sac_halfcheetah.py --rounds 3 --json out.json
    python benchmarks/sac_halfcheetah.py --quick --only rlpyt,sb3
    python benchmarks/sac_halfcheetah.py --python tianshou=/path/to/venv/bin/python
    python benchmarks/sac_halfcheetah.py --split

Every implementation runs in a fresh process of its own, in turn, with 1 and with 2 torch threads
and the same settings; the turn is repeated ``--rounds`` times with rotated order. Learning starts
in the stretch that is not measured. ``--split`` measures ours alone: the parts of a step with its
update, and what its bare matrix products take. README.md beside this file says what could not be
set equal. Speeds of different runs or machines do not compare; ratios of one run do.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from peers.contest import Entry
from peers.halfcheetah.settings import SacSettings
from peers.halfcheetah.split_report import split_tables
from peers.options import write_json
from peers.report import machine, machine_line
from peers.training import add_options, contest, make_console, make_parser, read_options
from peers.training_report import speed_table, verdicts_by_threads

SB3 = "pip install stable-baselines3==2.9.2 'gymnasium[mujoco]'"
FIELD = (
    Entry(name="rlpyt", label="rlpyt", module="ours", is_ours=True),
    Entry(
        name="rlpyt-compile",
        label="rlpyt (compile)",
        module="ours",
        variant="compile",
        is_ours=True,
    ),
    Entry(
        name="rlpyt-trace",
        label="rlpyt (trace)",
        module="ours",
        variant="trace",
        is_ours=True,
    ),
    Entry(name="sb3", label="Stable-Baselines3", module="stable_baselines3", install=SB3),
    Entry(
        name="single-file",
        label="single file, CleanRL style",
        module="single_file",
        install="pip install gymnasium[mujoco]==1.4.0",
    ),
    Entry(
        name="tianshou",
        label="Tianshou",
        module="tianshou",
        install="pip install tianshou==2.0.1 mujoco==3.11.0 imageio==2.38.1",
    ),
)
PARTS = Entry(name="parts", label="rlpyt, in parts", module="parts", is_ours=True)
WORKER = "peers.halfcheetah.worker"


def parse(words: Sequence[str]) -> argparse.Namespace:
    assert __doc__ is not None
    parser = make_parser(__doc__)
    add_options(parser, FIELD, steps=3000, warmup=2000)
    parser.add_argument("--split", action="store_true", help="the parts of ours, and no contest")
    quick = {"rounds": 1, "steps": 200, "warmup": 1200, "threads": "1"}
    return read_options(parser, words, FIELD, quick)


def line(settings: SacSettings, rounds: int) -> str:
    """The settings in words."""
    return (
        f"{settings.words()}; CPU; {rounds} round(s) of {settings.total - settings.first:,} steps "
        f"after a warm-up of {settings.first:,}, of which {settings.learning_starts:,} without "
        "learning"
    )


def main() -> None:
    arguments, console, here = parse(sys.argv[1:]), make_console(), machine()
    settings = SacSettings(
        warmup_steps=arguments.warmup, measured_steps=arguments.steps, seed=arguments.seed
    )
    if arguments.split:
        arguments.only = [PARTS]
    outcomes = contest(arguments, settings, WORKER)
    if arguments.split:
        console.print(*split_tables(outcomes))
    else:
        console.print(speed_table(outcomes, "SAC on HalfCheetah: the whole training loop"))
        console.print("\n".join(verdicts_by_threads(outcomes, peer="sb3")), style="bold")
    console.print(line(settings, arguments.rounds))
    console.print(machine_line(here))
    results = {"settings": asdict(settings), "outcomes": [asdict(o) for o in outcomes]}
    write_json(arguments.json, {"machine": here, **results})


if __name__ == "__main__":
    main()
