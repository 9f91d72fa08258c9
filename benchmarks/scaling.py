"""Steps and updates per second of every sampler and runner as cores grow.

    python benchmarks/scaling.py --rounds 3 --plot scaling.png --json out.json
    python benchmarks/scaling.py --quick --only ppo-serial,ppo-sync
    python benchmarks/scaling.py --cores 1,2,4,8 --device cuda

Every system runs in a fresh process of its own that may use so many CPUs, in turn, for the same
number of environment steps; the turn is repeated ``--rounds`` times with rotated order. Speeds are
of whole training runs, from the rows of their own logs, the first third left out. PPO and SAC do
the same arithmetic in every system: DDP's ranks have their share of environments and batches. With
``--device`` the learner, and who acts at once for all, are there. Speeds of different runs or
machines do not compare; ratios of one run do.
"""

import argparse
import csv
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.options import add_json, write_json
from peers.processes import rotated, run_again
from peers.report import machine, machine_line
from rich.console import Console
from rich.table import Table

from rlpyt.agents.pg import PgAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.algos.qpg import SAC
from rlpyt.logging.context import logger_context
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners import AsyncRl, MinibatchRl, SyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.samplers import AlternatingSampler, CpuSampler, GpuSampler, SerialSampler
from rlpyt.utils.cpus import pin_process, usable_cpus

SAMPLERS = {
    "serial": SerialSampler,
    "cpu": CpuSampler,
    "gpu": GpuSampler,
    "alternating": AlternatingSampler,
}
SYSTEMS = (
    *(f"ppo-{kind}" for kind in (*SAMPLERS, "sync")),
    *(f"sac-{kind}" for kind in (*SAMPLERS, "async", "async-sync", "sync")),
)
"""Algorithm, and sampler or runner; ``async-sync`` has as many learning ranks as cores."""

ENVS = {"ppo": "CartPole-v1", "sac": "HalfCheetah-v5"}
STEPS = {"ppo": 60_000, "sac": 2_400}
B = 8


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run."""

    system: str
    cores: int
    steps: int
    seed: int
    device: str


def build(task: Task) -> BaseRunner:
    """The runner of ``task``."""
    algorithm, _, kind = task.system.partition("-")
    ranks = task.cores if kind in ("sync", "async-sync") else 1
    sampler = SAMPLERS.get(kind, SerialSampler)(
        env=ENVS[algorithm],
        batch_T=128 if algorithm == "ppo" else 1,
        batch_B=B // (ranks if kind == "sync" else 1),
    )
    common: dict[str, Any] = {
        "sampler": sampler,
        "n_steps": task.steps,
        "seed": task.seed,
        "device": task.device,
        "log_interval_steps": task.steps // 12,
        "checkpoint_interval_steps": 10 * task.steps,
    }
    if algorithm == "ppo":
        common |= {"algo": PPO(), "agent": PgAgent()}
    else:
        algo = SAC(
            batch_size=256 // ranks,
            min_steps_learn=task.steps // 6,
            replay=ReplayBuffer(size=1_000_000 // ranks),
        )
        common |= {"algo": algo, "agent": QpgAgent(policy="gaussian")}
    if kind == "sync":
        return SyncRl(**common, world_size=ranks)
    if kind.startswith("async"):
        return AsyncRl(**common, world_size=ranks)
    return MinibatchRl(**common)


def measure(task: Task) -> dict[str, float]:
    """Run here; steps and updates per second."""
    pin_process(usable_cpus().ids[: task.cores])
    with tempfile.TemporaryDirectory() as folder:
        with logger_context(folder, 0, "scaling", tensorboard=False, console=False) as logger:
            build(task).train(logger)
        rows = list(csv.DictReader((Path(folder) / "run_0" / "progress.csv").open()))
    first, last = rows[len(rows) // 3], rows[-1]

    def gained(name: str) -> float:
        return float(last[f"Diagnostics/{name}"]) - float(first[f"Diagnostics/{name}"])

    seconds = gained("CumTime (s)")
    return {
        "steps": gained("CumSteps") / seconds,
        "updates": gained("CumUpdates") / seconds,
    }


def run(task: Task, timeout: float) -> dict[str, float] | None:
    """Run in a process of its own; None where it failed, which it has told."""
    name = f"{task.system} on {task.cores}"
    found: dict[str, float] | None = run_again(__file__, name, vars(task), timeout)
    return found


def parse() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    n_cpus = len(usable_cpus().ids)
    cores = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= n_cpus]
    parser.add_argument("--only", default=",".join(SYSTEMS), help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--cores", default=",".join(map(str, cores)), help="numbers of CPUs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="of learning, as for rlpyt train")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of steps")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds, per run")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--plot", type=Path, help="draw the table as a picture")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_json(parser)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.scale = 1, 0.15
    unknown = set(arguments.only.split(",")) - set(SYSTEMS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(SYSTEMS)}")
    return arguments


def contest(arguments: argparse.Namespace, console: Console) -> dict[str, dict[int, list[Any]]]:
    """Results of every system by number of cores."""
    turns = [
        (system, cores)
        for cores in map(int, arguments.cores.split(","))
        for system in arguments.only.split(",")
    ]
    found: dict[str, dict[int, list[Any]]] = {}
    for number in range(arguments.rounds):
        start = number * len(turns) // arguments.rounds
        for system, cores in rotated(turns, start):
            steps = int(STEPS[system.partition("-")[0]] * arguments.scale)
            task = Task(
                system=system, cores=cores, steps=steps, seed=number, device=arguments.device
            )
            result = run(task, arguments.timeout)
            told = "failed" if result is None else f"{result['steps']:.0f} steps/s"
            console.print(f"round {number + 1}: {system} on {cores}: {told}")
            if result is not None:
                found.setdefault(system, {}).setdefault(cores, []).append(result)
    return found


def table(found: dict[str, dict[int, list[Any]]], cores: list[int]) -> Table:
    """Medians, and how they grow from the fewest cores."""
    made = Table(title="Whole training: environment steps and updates per second (medians)")
    made.add_column("system")
    for n in cores:
        made.add_column(f"{n} core{'s' * (n > 1)}", justify="right")
        made.add_column("updates", justify="right")
    made.add_column("growth", justify="right")
    for system, by_cores in found.items():
        cells = [system]
        for n in cores:
            results = by_cores.get(n)
            cells.append(f"{median(results, 'steps'):,.0f}" if results else "-")
            cells.append(f"{median(results, 'updates'):,.0f}" if results else "-")
        least, most = by_cores.get(cores[0]), by_cores.get(cores[-1])
        growth = median(most, "steps") / median(least, "steps") if least and most else None
        made.add_row(*cells, "-" if growth is None else f"{growth:.2f}x")
    return made


def median(results: list[Any], name: str) -> float:
    """Over rounds."""
    return statistics.median(result[name] for result in results)


def draw(found: dict[str, dict[int, list[Any]]], path: Path) -> None:
    """Speeds over cores, a panel for each algorithm."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, algorithm in zip(figure.subplots(1, len(ENVS)), ENVS, strict=True):
        for system, by_cores in found.items():
            if system.startswith(algorithm):
                cores = sorted(by_cores)
                speeds = [median(by_cores[n], "steps") for n in cores]
                axes.plot(cores, speeds, marker="o", label=system.partition("-")[2])
        axes.set(
            title=f"{algorithm.upper()} on {ENVS[algorithm]}",
            xlabel="cores",
            ylabel="environment steps per second",
            ylim=(0, None),
        )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    arguments = parse()
    if arguments.one:
        print(json.dumps(measure(Task(**json.loads(arguments.one)))))
        return
    console = Console(width=140)
    here, found = machine(), contest(arguments, Console(stderr=True))
    console.print(table(found, sorted(map(int, arguments.cores.split(",")))))
    console.print(machine_line(here))
    if arguments.plot:
        draw(found, arguments.plot)
        console.print(f"picture: {arguments.plot}")
    write_json(arguments.json, {"machine": here, "systems": found})


if __name__ == "__main__":
    main()
