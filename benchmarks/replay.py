"""Replays alone: appending to them and drawing from them, ours and other libraries'.

    python benchmarks/replay.py --rounds 3
    python benchmarks/replay.py --quick --kind uniform --only ours,sb3-plain
    python benchmarks/replay.py --python torchrl=.venv-torchrl/bin/python --json out.json

Atari transitions (84x84x4 uint8), drawn uniformly, by priority, and as sequences. Every replay runs
in a fresh process of its own, in turn; the turn is repeated ``--rounds`` times with rotated order.
Beside it the limit of this machine: the copy of a batch's frames and nothing else. README.md beside
this file says what could not be set equal. Speeds of different runs or machines do not compare;
ratios of one run do.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from peers.alone import add_options, read_options
from peers.options import write_json
from peers.replay.contest import Outcome, run_rounds
from peers.replay.field import FIELD
from peers.replay.report import ratio_table, speed_table, task_line, trouble_lines
from peers.replay.task import KINDS, Task
from peers.report import machine, machine_line
from rich.console import Console

QUICK = {"transitions": 20_000, "seconds": 0.5, "rounds": 1}
SEQUENCES = (32,)  # in a batch


def main() -> None:
    arguments = parse(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=200)
    here = machine()
    outcomes = [
        Outcome(entry=entry, task=make_task(arguments, kind))
        for kind in arguments.kind
        for entry in arguments.only
        if kind in entry.kinds
    ]
    run_rounds(
        outcomes,
        arguments.python,
        rounds=arguments.rounds,
        timeout=arguments.timeout,
        tell=Console(stderr=True).print,
    )
    show(console, outcomes, arguments.kind)
    console.print(machine_line(here))
    if outcomes:
        console.print(task_line(outcomes[0].task, arguments.rounds))
    results = {"machine": here, "systems": [asdict(outcome) for outcome in outcomes]}
    write_json(arguments.json, results)


def make_task(arguments: argparse.Namespace, kind: str) -> Task:
    return Task(
        kind=kind,
        transitions=arguments.transitions,
        num_envs=arguments.envs,
        rows=arguments.rows,
        batches=SEQUENCES if kind == "sequence" else tuple(arguments.batch),
        seconds=arguments.seconds,
        seed=arguments.seed,
    )


def show(console: Console, outcomes: Sequence[Outcome], kinds: Sequence[str]) -> None:
    """Two tables for each kind."""
    for kind in kinds:
        shown = [outcome for outcome in outcomes if outcome.task.kind == kind]
        if not shown:
            continue
        console.print(speed_table(shown))
        ratios = ratio_table(shown)
        if ratios is not None:
            console.print(ratios)
        for line in trouble_lines(shown):
            console.print(line, markup=False, style="dim")


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kind", action="append", choices=KINDS, help="may be repeated; all if not given"
    )
    parser.add_argument("--transitions", type=int, default=1_000_000, help="held, if they fit")
    parser.add_argument("--envs", type=int, default=8, help="environments")
    parser.add_argument("--rows", type=int, default=16, help="in one append; divides 512")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 256], help="transitions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds, of each process")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    add_options(parser, FIELD, system="replay", quick="a small replay: does it run?")
    arguments = read_options(parser, words, FIELD, QUICK)
    arguments.kind = arguments.kind or list(KINDS)
    if arguments.rows < 1 or 512 % arguments.rows:
        parser.error(f"--rows {arguments.rows} does not divide 512")
    return arguments


if __name__ == "__main__":
    main()
