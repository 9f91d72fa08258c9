"""PEARL on cheetah-vel: collection with two workers against one, and the parts of an iteration.

    python benchmarks/pearl.py --rounds 3
    python benchmarks/pearl.py --quick

Collection is forty trials side by side, each of 400 and 600 steps of one task, by the networks and
the encoder of the authors' release; beside one and two workers stands the serial sampler. The
iteration is the release's too: 5,000 steps, then 2,000 gradient steps on 16 tasks with 256
transitions each, of networks of three layers of 300, traced, on one torch thread; of these
``--updates`` are carried out and counted up. Every system runs in a fresh process of its own, in
turn; the turn is repeated ``--rounds`` times with rotated order.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peers.options import add_json, write_json
from peers.processes import rotated, run_again
from peers.report import machine, machine_line
from rich.console import Console
from rich.table import Table

from rlpyt.agents import PearlAgent
from rlpyt.algos import PEARL
from rlpyt.envs import EnvConfig
from rlpyt.replays import TaskReplay
from rlpyt.samplers import BaseSampler, CpuSampler, SerialSampler

SYSTEMS = {"serial": "serial", "1": "1 worker", "2": "2 workers", "iteration": "iteration"}
B, TRIAL, INITIAL, N_TRAIN = 40, 1_000, 200, 100
TASKS_PER_ITERATION, UPDATES_PER_ITERATION = 5, 2_000


def build(system: str, seed: int) -> tuple[PearlAgent, BaseSampler]:
    """Agent and sampler, which have begun."""
    env = EnvConfig(
        id="rlpyt.envs.adaptation:training_trials",
        kwargs={
            **{"env": "rlpyt.envs.meta:cheetah_vel", "n_train": N_TRAIN, "task_seed": 1337},
            **{"initial_steps": INITIAL, "prior_steps": 400, "extra_steps": 600},
        },
    )
    common: dict[str, Any] = {"env": env, "batch_T": TRIAL, "batch_B": B}
    if system in ("1", "2"):
        sampler: BaseSampler = CpuSampler(**common, n_workers=int(system))
    else:
        sampler = SerialSampler(**common)
    agent = PearlAgent()
    agent.initialize(sampler.env_spaces(), seed=seed, device=torch.device("cpu"))
    sampler.initialize(agent, seed=seed)
    return agent, sampler


def collection(system: str, batches: int, seed: int) -> dict[str, float]:
    """Environment steps per second."""
    _agent, sampler = build(system, seed)
    try:
        sampler.obtain_samples(0)
        start = time.perf_counter()
        for itr in range(1, batches + 1):
            sampler.obtain_samples(itr)
        seconds = time.perf_counter() - start
    finally:
        sampler.shutdown()
    return {"steps_per_s": batches * TRIAL * B / seconds}


@contextmanager
def timed(owner: Any, name: str, seconds: dict[str, float], part: str) -> Iterator[None]:
    """The method ``name`` of ``owner`` adds the seconds that it takes to ``part``."""
    method: Callable[..., Any] = getattr(owner, name)

    def measured(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start

    owner.__dict__[name] = measured
    try:
        yield
    finally:
        del owner.__dict__[name]


def iteration(updates: int, seed: int) -> dict[str, float]:
    """Seconds of the parts of an iteration at the release's settings."""
    agent, sampler = build("serial", seed)
    algo = PEARL(replay=TaskReplay(size=10_000), train_steps=5, context_size=100, compile="trace")
    algo.initialize(agent, n_itr=1, batch_spec=sampler.batch_spec, seed=seed)
    for itr in range(2):  # every task has begun, and all that is traced has been
        samples, _trajs = sampler.obtain_samples(itr)
        algo.optimize_agent(itr, samples)
    share = TASKS_PER_ITERATION / B
    start = time.perf_counter()
    samples, _trajs = sampler.obtain_samples(2)
    seconds = {"collection": share * (time.perf_counter() - start)}
    algo.train_steps = updates
    parts: dict[str, float] = {}
    with (
        timed(algo, "_batch", parts, "batches"),
        timed(algo._critic_step, "step", parts, "critics and encoder"),
        timed(algo, "_improve", parts, "policy"),
        timed(algo._value_step, "step", parts, "value"),
        timed(algo._target_update, "step", parts, "target"),
    ):
        start = time.perf_counter()
        algo._learn(algo.learning_rate)
        whole = time.perf_counter() - start
    sampler.shutdown()
    parts["rest"] = whole - sum(parts.values())
    scale = UPDATES_PER_ITERATION / updates
    return {**seconds, **{part: scale * found for part, found in parts.items()}}


def run(system: str, arguments: argparse.Namespace, seed: int) -> dict[str, float]:
    """In a process of its own; nothing where it failed, which it has told."""
    size = arguments.updates if system == "iteration" else arguments.batches
    found: dict[str, float] | None = run_again(__file__, system, [system, size, seed], 600.0)
    return found or {}


def measure(system: str, size: int, seed: int) -> dict[str, float]:
    """Here, on one torch thread."""
    torch.set_num_threads(1)
    return iteration(size, seed) if system == "iteration" else collection(system, size, seed)


def contest(arguments: argparse.Namespace, console: Console) -> dict[str, list[dict[str, float]]]:
    """What every system came to, in each round."""
    found: dict[str, list[dict[str, float]]] = {system: [] for system in SYSTEMS}
    for number in range(arguments.rounds):
        for system in rotated(list(SYSTEMS), number % len(SYSTEMS)):
            one = run(system, arguments, number)
            if one:
                found[system].append(one)
                told = ", ".join(f"{name} {value:.1f}" for name, value in one.items())
                console.print(f"round {number + 1}: {SYSTEMS[system]}: {told}")
    return found


def show(console: Console, found: dict[str, list[dict[str, float]]]) -> None:
    """Both tables: medians, and ratios within the rounds."""
    speeds = Table(title="Collection on cheetah-vel, forty trials side by side")
    for column in ("system", "steps/s", "ratio to 1 worker"):
        speeds.add_column(column, justify="left" if column == "system" else "right")
    for system in ("serial", "1", "2"):
        rates = [one["steps_per_s"] for one in found[system]]
        ratios = [
            mine["steps_per_s"] / one["steps_per_s"]
            for mine, one in zip(found[system], found["1"], strict=False)
        ]
        if rates and ratios:
            median, ratio = statistics.median(rates), statistics.median(ratios)
            speeds.add_row(SYSTEMS[system], f"{median:,.0f}", f"{ratio:.2f}x")
    console.print(speeds)
    parts = Table(title="An iteration: 5,000 steps, 2,000 gradient steps on 16 x 256 transitions")
    for column in ("part", "seconds", "share"):
        parts.add_column(column, justify="left" if column == "part" else "right")
    rounds = found["iteration"]
    medians = {part: statistics.median(one[part] for one in rounds) for part in (rounds or [{}])[0]}
    whole = sum(medians.values())
    for part, seconds in medians.items():
        parts.add_row(part, f"{seconds:.1f}", f"{seconds / whole:.0%}")
    parts.add_row("together", f"{whole:.1f}", "")
    console.print(parts)


def parse() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=2, help="of 40,000 steps, in each run")
    parser.add_argument("--updates", type=int, default=200, help="gradient steps that are measured")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_json(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.batches, arguments.updates = 1, 1, 10
    return arguments


def main() -> None:
    arguments = parse()
    if arguments.one:
        print(json.dumps(measure(*json.loads(arguments.one))))
        return
    here, found = machine(), contest(arguments, Console(stderr=True))
    console = Console(width=120)
    show(console, found)
    console.print(machine_line(here))
    write_json(arguments.json, {"machine": here, "found": found})


if __name__ == "__main__":
    main()
