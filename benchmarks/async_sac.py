"""Asynchronous SAC, in which two processes learn, against synchronous SAC, on HalfCheetah.

    python benchmarks/async_sac.py --rounds 3 --json out.json
    python benchmarks/async_sac.py --quick

All may use the same two CPUs and do the same arithmetic: one update with 256 transitions for each
environment step, traced. Synchronous is one process with one, and with two torch threads;
asynchronous is a process that samples, and two of one thread that learn from 128 transitions each.
Every system runs in a fresh process of its own, in turn; the turn is repeated ``--rounds`` times
with rotated order. Times are medians over short stretches of the training loop, in which learning
goes on; where there are any, over those in which nothing else kept the CPUs busy, from which
processes that wait for each other suffer most.
"""

import argparse
import json
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from peers.measure import family_cpu_seconds
from peers.options import add_json, write_json
from peers.processes import rotated, run_again
from peers.report import machine, machine_line
from rich.console import Console
from rich.table import Table

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg import SAC
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners import AsyncRl, MinibatchRl
from rlpyt.runners.base import BaseRunner
from rlpyt.samplers import SerialSampler
from rlpyt.utils.cpus import pin_process, usable_cpus

SYSTEMS = {
    "sync": "synchronous, 1 thread",
    "sync-2": "synchronous, 2 threads",
    "async": "asynchronous, 2 processes learn",
}
B = 8
WARM_UP = 1_200  # steps without a measurement; learning starts after a thousand
STRETCH = 48  # steps
QUIET = 0.1  # CPUs that others may use in a stretch that counts


class Mark(NamedTuple):
    """Where a run was."""

    steps: int
    wall: float  # seconds
    own: float  # seconds of CPU of all its processes
    busy: float  # seconds of CPU of all processes of the machine


class Stretch(NamedTuple):
    """What lies between two marks."""

    ms: float  # per environment step
    cpu_ms: float  # per environment step, of all the run's processes
    others: float  # CPUs kept busy by other processes


def build(system: str, steps: int, seed: int) -> BaseRunner:
    """Its runner."""
    learners = 2 if system == "async" else 1
    common: dict[str, Any] = {
        "sampler": SerialSampler(env="HalfCheetah-v5", batch_T=1, batch_B=B),
        "algo": SAC(
            batch_size=256 // learners,
            min_steps_learn=1_000,
            replay=ReplayBuffer(size=1_000_000 // learners),
            compile="trace",
        ),
        "agent": QpgAgent(policy="gaussian"),
        "n_steps": steps,
        "seed": seed,
        "torch_threads": 2 if system == "sync-2" else 1,
        "checkpoint_interval_steps": 10 * steps,
    }
    if system == "async":
        return AsyncRl(**common, world_size=learners)
    return MinibatchRl(**common)


def busy_seconds() -> float:
    """Of all CPUs since the machine has started; 0 where it does not say."""
    try:
        line = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, soft, *_rest = map(int, line.split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def measure(system: str, steps: int, seed: int) -> list[Stretch]:
    """Run here; a mark is set behind the update of an iteration."""
    pin_process(usable_cpus().ids[:2])
    runner, marks = build(system, WARM_UP + steps, seed), list[Mark]()
    optimize_agent = runner.algo.optimize_agent

    def optimize_and_mark(itr: int, samples: Any) -> Any:
        info = optimize_agent(itr, samples)
        n = (itr + 1) * B
        if n >= WARM_UP and n % STRETCH == 0:
            marks.append(Mark(n, time.perf_counter(), family_cpu_seconds(), busy_seconds()))
        return info

    runner.algo.optimize_agent = optimize_and_mark  # type: ignore[method-assign]  # of this run's
    runner.train()
    return [between(*pair) for pair in pairwise(marks)]


def between(one: Mark, other: Mark) -> Stretch:
    """What happened from ``one`` to the other."""
    steps, wall, own, busy = (b - a for a, b in zip(one, other, strict=True))
    return Stretch(1e3 * wall / steps, 1e3 * own / steps, max(0.0, busy - own) / wall)


def run(system: str, steps: int, seed: int, timeout: float) -> list[Stretch]:
    """Run in a process of its own; nothing where it failed, which it has told."""
    found = run_again(__file__, system, [system, steps, seed], timeout)
    return [Stretch(*stretch) for stretch in found or ()]


def contest(arguments: argparse.Namespace, console: Console) -> dict[str, list[Stretch]]:
    """The stretches of every system, of all rounds."""
    found: dict[str, list[Stretch]] = {system: [] for system in SYSTEMS}
    for number in range(arguments.rounds):
        for system in rotated(list(SYSTEMS), number % len(SYSTEMS)):
            stretches = run(system, arguments.steps, number, arguments.timeout)
            found[system] += stretches
            if stretches:
                ms = statistics.median(stretch.ms for stretch in stretches)
                others = statistics.mean(stretch.others for stretch in stretches)
                told = f"{ms:.2f} ms a step, others kept {others:.2f} CPUs busy"
                console.print(f"round {number + 1}: {SYSTEMS[system]}: {told}")
    return found


def counted(stretches: list[Stretch]) -> list[Stretch]:
    """Those in which nothing else ran, where there are any."""
    return [stretch for stretch in stretches if stretch.others < QUIET] or stretches


def median(stretches: list[Stretch], name: str) -> float:
    """Of those that count."""
    values = [getattr(stretch, name) for stretch in counted(stretches)]
    return statistics.median(values) if values else float("nan")


def table(found: dict[str, list[Stretch]]) -> Table:
    """Medians, and their ratios to the asynchronous run's."""
    made = Table(title="SAC on HalfCheetah-v5, two CPUs: one environment step with its update")
    made.add_column("system")
    for name in ("ms", "CPU ms", "steps/s", "asynchronous / this", "quiet stretches"):
        made.add_column(name, justify="right")
    ours = median(found["async"], "ms")
    for system, stretches in found.items():
        ms = median(stretches, "ms")
        quiet = sum(stretch.others < QUIET for stretch in stretches)
        made.add_row(
            SYSTEMS[system],
            f"{ms:.2f}",
            f"{median(stretches, 'cpu_ms'):.2f}",
            f"{1e3 / ms:.0f}",
            f"{ms / ours:.2f}x",
            f"{quiet} of {len(stretches)}",
        )
    return made


def parse() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3_000, help="that are measured, in each run")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds, per run")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_json(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.steps = 1, 200
    return arguments


def main() -> None:
    arguments = parse()
    if arguments.one:
        print(json.dumps(measure(*json.loads(arguments.one))))
        return
    here, found = machine(), contest(arguments, Console(stderr=True))
    console = Console(width=120)
    console.print(table(found))
    console.print(machine_line(here))
    write_json(arguments.json, {"machine": here, "stretches": found})


if __name__ == "__main__":
    main()
