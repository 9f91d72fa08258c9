"""Agent57 on MountainCar: environment steps per second of the whole training loop, ours and SRL's.

    python benchmarks/agent57.py --rounds 3 --python srl=.venv-srl/bin/python --json out.json
    python benchmarks/agent57.py --quick --python srl=.venv-srl/bin/python

Each in a fresh process, in turn, with one torch thread, as many updates per environment step, of
as many sequences of the same length. SRL steps one environment and looks for neighbours in a loop
over the episode; ours steps 16 together. Learning starts in the stretch that is not measured.
SRL's requirements go beside ours badly; give it an environment of its own:

    python -m venv .venv-srl
    .venv-srl/bin/pip install torch==2.13.0 srl-framework==1.4.6 gymnasium==1.4.0
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from peers.agent57.settings import FamilySettings
from peers.contest import Entry
from peers.options import write_json
from peers.report import machine, machine_line
from peers.training import add_options, contest, make_console, make_parser, read_options
from peers.training_report import speed_table, verdict

FIELD = (
    Entry(name="rlpyt", label="rlpyt", module="ours", is_ours=True),
    Entry(name="rlpyt-cpu", label="rlpyt (2 workers)", module="ours", variant="cpu", is_ours=True),
    Entry(
        name="srl",
        label="SRL",
        module="srl",
        install="pip install srl-framework==1.4.6 gymnasium==1.4.0",
    ),
)


def parse(words: Sequence[str]) -> argparse.Namespace:
    assert __doc__ is not None
    parser = make_parser(__doc__)
    add_options(parser, FIELD, steps=5000, warmup=3000)
    parser.set_defaults(threads="1")
    return read_options(
        parser, words, FIELD, {"rounds": 1, "steps": 1000, "warmup": 2400, "threads": "1"}
    )


def main() -> None:
    arguments, console, here = parse(sys.argv[1:]), make_console(), machine()
    settings = FamilySettings(
        warmup_steps=arguments.warmup, measured_steps=arguments.steps, seed=arguments.seed
    )
    outcomes = contest(arguments, settings, "peers.agent57.worker")
    console.print(speed_table(outcomes, "Agent57 on MountainCar: the whole training loop"))
    console.print(verdict(outcomes), style="bold")
    console.print(f"{settings.words()}; CPU; {arguments.rounds} round(s)")
    console.print(machine_line(here))
    results = {"settings": asdict(settings), "outcomes": [asdict(o) for o in outcomes]}
    write_json(arguments.json, {"machine": here, **results})


if __name__ == "__main__":
    main()
