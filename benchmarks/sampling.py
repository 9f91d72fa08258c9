"""Sampling alone: steps per second of our samplers and of other libraries' vector environments.

    python benchmarks/sampling.py --env pong --rounds 3
    python benchmarks/sampling.py --env cartpole --quick --only serial-loop,serial-native,peer
    python benchmarks/sampling.py --python envpool=.venv-envpool/bin/python --json out.json

Each environment twice: with random actions drawn ahead, and with a network acting. Every system
runs in a fresh process of its own, in turn, with the same numbers of environments and of workers;
the turn is repeated ``--rounds`` times with rotated order. Beside it the limit of this machine: the
bare environments in a tight loop, one process for each core. README.md beside this file says what
could not be set equal. Speeds of different runs or machines do not compare; ratios of one run do.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from peers.alone import add_options, read_options
from peers.options import write_json
from peers.report import machine, machine_line
from peers.sampling.contest import Outcome, run_rounds
from peers.sampling.field import FIELD, SamplingEntry
from peers.sampling.report import ratio_table, speed_table, task_line, trouble_lines
from peers.sampling.task import ENVIRONMENTS, Task
from rich.console import Console

QUICK = {"seconds": 1.0, "warmup": 0.5, "rounds": 1}


def main() -> None:
    arguments = parse(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=180)
    here = machine()
    outcomes = [
        Outcome(entry=entry, task=task)
        for task in make_tasks(arguments)
        for entry in arguments.only
        if takes_part(entry, task)
    ]
    run_rounds(outcomes, arguments.python, rounds=arguments.rounds, tell=Console(stderr=True).print)
    show(console, outcomes, arguments.env)
    console.print(f"{machine_line(here)}, {versions(outcomes)}")
    if outcomes:
        console.print(task_line(outcomes[0].task, arguments.rounds, arguments.device))
    results = {"machine": here, "systems": [asdict(outcome) for outcome in outcomes]}
    write_json(arguments.json, results)


def make_tasks(arguments: argparse.Namespace) -> list[Task]:
    policies = {"none": [False], "network": [True], "both": [False, True]}[arguments.policy]
    return [
        Task(
            environment=environment,
            policy=policy,
            num_envs=arguments.envs,
            workers=arguments.workers,
            rollout=arguments.rollout,
            seconds=arguments.seconds,
            warmup=arguments.warmup,
            device=arguments.device,
            seed=arguments.seed,
        )
        for environment in arguments.env
        for policy in policies
    ]


def takes_part(entry: SamplingEntry, task: Task) -> bool:
    return task.environment in entry.environments and entry.policy in (None, task.policy)


def show(console: Console, outcomes: Sequence[Outcome], environments: Sequence[str]) -> None:
    """Two tables for each environment and way of acting."""
    for environment in environments:
        of_this = [outcome for outcome in outcomes if outcome.task.environment == environment]
        limits = [outcome for outcome in of_this if outcome.entry.role == "limit"]
        for policy in (False, True):
            shown = [outcome for outcome in of_this if outcome.task.policy == policy]
            if shown:
                console.print(speed_table(shown, limits))
                ratios = ratio_table(shown)
                if ratios is not None:
                    console.print(ratios)
                for line in trouble_lines(shown):
                    console.print(line, markup=False, style="dim")


def versions(outcomes: Sequence[Outcome]) -> str:
    found = sorted(
        {
            f"Python {result['python']} with torch {result['torch']}"
            for outcome in outcomes
            for result in outcome.rounds.values()
        }
    )
    return ", ".join(found)


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--env", action="append", choices=ENVIRONMENTS, help="may be repeated; all if not given"
    )
    parser.add_argument("--policy", choices=("none", "network", "both"), default="both")
    parser.add_argument("--envs", type=int, default=8, help="environments")
    parser.add_argument("--workers", type=int, default=2, help="processes, or threads")
    parser.add_argument("--rollout", type=int, default=128, help="steps in a batch of ours")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured, per system")
    parser.add_argument("--warmup", type=float, default=1.5, help="seconds before them")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--device", default="cpu", help="of the networks, ours and the peers'")
    add_options(parser, FIELD, system="system", quick="one round of 1 s: does it run?")
    arguments = read_options(parser, words, FIELD, QUICK)
    arguments.env = arguments.env or list(ENVIRONMENTS)
    return arguments


if __name__ == "__main__":
    main()
