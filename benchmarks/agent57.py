"""Agent57 on MountainCar: environment steps per second of the whole training loop, ours and SRL's.

    python benchmarks/agent57.py --rounds 3 --python srl=.venv-srl/bin/python --json out.json
    python benchmarks/agent57.py --quick --python srl=.venv-srl/bin/python

Each in a fresh process, in turn, with one torch thread, as many updates per environment step, of
as many sequences of the same length: once learning from each step 0.8 times, as published for the
replay of sequences that Agent57 learns from (Kapturowski et al. 2019), and once 16 times, as our
preset for small tasks. SRL steps one environment and looks for neighbours in a loop over the
episode; ours steps 16 together. Learning starts in the stretch that is not measured. SRL has no
NGU: ours, with the same sizes, has a table of its own beside SRL's Agent57.
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
    Entry(name="rlpyt-ngu", label="rlpyt: NGU", module="ours", variant="ngu", is_ours=True),
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
    add_options(parser, FIELD, steps=8000, warmup=3000)
    parser.add_argument(
        "--replay-ratios",
        type=float,
        nargs="+",
        default=[0.8, 16.0],
        metavar="RATIO",
        help="how often each step is learned from; a table for each (default 0.8 16)",
    )
    parser.set_defaults(threads="1")
    return read_options(
        parser, words, FIELD, {"rounds": 1, "steps": 1000, "warmup": 2400, "threads": "1"}
    )


def main() -> None:
    arguments, console, here = parse(sys.argv[1:]), make_console(), machine()
    results = []
    for ratio in arguments.replay_ratios:
        settings = FamilySettings(
            warmup_steps=arguments.warmup,
            measured_steps=arguments.steps,
            seed=arguments.seed,
            replay_ratio=ratio,
        )
        outcomes = contest(arguments, settings, "peers.agent57.worker")
        ngu = [each for each in outcomes if each.entry.variant == "ngu" or not each.entry.is_ours]
        agent57 = [each for each in outcomes if each.entry.variant != "ngu"]
        for name, shown in (("Agent57", agent57), ("NGU beside Agent57", ngu)):
            console.print(speed_table(shown, f"{name} on MountainCar: the whole training loop"))
            console.print(verdict(shown), style="bold")
        console.print(f"{settings.words()}; CPU; {arguments.rounds} round(s)")
        results.append(
            {"settings": asdict(settings), "outcomes": [asdict(each) for each in outcomes]}
        )
    console.print(machine_line(here))
    write_json(arguments.json, {"machine": here, "results": results})


if __name__ == "__main__":
    main()
