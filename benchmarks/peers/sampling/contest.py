"""Every system in a fresh process, in turn, in rotated order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from peers import alone
from peers.processes import in_turn, run_worker, worker_variables
from peers.sampling.field import SamplingEntry
from peers.sampling.task import Task

__all__ = ["Outcome", "run_rounds"]

MARGIN = 120.0  # seconds that a system may take to start its processes

Outcome = alone.Outcome[SamplingEntry, Task]


def run_rounds(
    outcomes: Sequence[Outcome],
    pythons: Mapping[str, str],
    *,
    rounds: int,
    tell: Callable[[str], None],
) -> None:
    """Fill in ``outcomes``, in turn, ``rounds`` times; each round starts further on."""
    for number, outcome in in_turn(outcomes, alone.starts(len(outcomes), rounds)):
        entry = outcome.entry
        task = replace(outcome.task, seed=outcome.task.seed + number, variant=entry.variant)
        got = run_worker(
            alone.interpreter(entry, pythons),
            "peers.sampling.worker",
            entry.module,
            asdict(task),
            variables=worker_variables(
                threads=1, with_ours=entry.role == "ours", gpu=task.device != "cpu"
            ),
            timeout=task.warmup + task.seconds + MARGIN,
            missing=f"skipped, not installed: {entry.install_line(task.environment)}",
            own_session=True,  # the worker adds up the processor time of its session
        )
        where = f"{task.environment}{' with a network' if task.policy else ''}, {entry.label}"
        if isinstance(got, str):
            outcome.trouble = got
            tell(f"{where}: {got}")
        else:
            outcome.rounds[number] = got
            tell(f"round {number + 1}, {where}: {got['steps_per_s']:,.0f} steps/s")
