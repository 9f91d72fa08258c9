"""PPO on CartPole-v1: steps per second of the whole training loop, ours against peers.

    python benchmarks/ppo_cartpole.py --rounds 3 --peers sb3,skrl
    python benchmarks/ppo_cartpole.py --python tianshou=/path/to/venv/bin/python --json out.json
    python benchmarks/ppo_cartpole.py --check --steps 8192

Every implementation runs in a fresh process of its own, in turn, with the same settings and
number of threads; the turn is repeated ``--rounds`` times with rotated order. A first stretch of
training is not measured. ``--check`` counts updates, batch sizes and environment steps from
outside instead of comparing speeds. README.md beside this file says what could not be set equal.
Speeds of different runs or machines do not compare; ratios of one run do.
"""

import argparse
import sys
from dataclasses import asdict

from peers.contest import FIELD, OURS, Entry, choose, run_rounds
from peers.options import add_json, add_python, interpreters, write_json
from peers.report import check_table, machine, machine_line, settings_line, speed_table
from peers.settings import Settings
from rich.console import Console


def main() -> None:
    arguments = parse(sys.argv[1:])
    settings = Settings(
        measured_steps=arguments.steps,
        warmup_steps=arguments.warmup,
        threads=arguments.threads,
        seed=arguments.seed,
    )
    console = Console() if sys.stdout.isatty() else Console(width=180)
    here = machine()
    outcomes = run_rounds(
        arguments.peers,
        settings,
        arguments.python,
        rounds=1 if arguments.check else arguments.rounds,
        check=arguments.check,
        timeout=arguments.timeout,
        tell=Console(stderr=True).print,
    )
    if arguments.check:
        console.print(check_table(outcomes, settings))
        return
    console.print(speed_table(outcomes))
    console.print(machine_line(here))
    console.print(settings_line(settings, arguments.rounds))
    results = {
        "machine": here,
        "settings": asdict(settings),
        "implementations": [asdict(outcome) for outcome in outcomes],
    }
    write_json(arguments.json, results)


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ",".join(entry.name for entry in FIELD)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100_000, help="measured, per run")
    parser.add_argument("--warmup", type=int, default=8192, help="steps before them")
    parser.add_argument("--threads", type=int, default=1, help="torch threads, for all")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds, per run")
    parser.add_argument("--peers", default=names, help=f"of {names}; 'none' for ours alone")
    parser.add_argument(
        "--ours", default="rlpyt,rlpyt-compile,rlpyt-compile-native", help="'none' for peers alone"
    )
    add_python(parser, "that has this peer", "PEER")
    parser.add_argument("--check", action="store_true", help="count what each does instead")
    add_json(parser)
    arguments = parser.parse_args(words)
    known = {word for entry in FIELD for word in (entry.name, entry.module)}
    try:
        arguments.peers = [*wanted(arguments.ours, OURS), *wanted(arguments.peers, FIELD)]
        arguments.python = interpreters(arguments.python, known, "PEER")
    except ValueError as error:
        parser.error(str(error))
    return arguments


def wanted(names: str, entries: tuple[Entry, ...]) -> list[Entry]:
    return choose([] if names == "none" else names.split(","), entries)


if __name__ == "__main__":
    main()
