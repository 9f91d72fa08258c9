"""Every replay in a fresh process, in turn, in rotated order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from peers import alone
from peers.processes import in_turn, run_worker, worker_variables
from peers.replay.field import ReplayEntry
from peers.replay.task import Task

__all__ = ["Outcome", "run_rounds"]

Outcome = alone.Outcome[ReplayEntry, Task]


def run_rounds(
    outcomes: Sequence[Outcome],
    pythons: Mapping[str, str],
    *,
    rounds: int,
    timeout: float,
    tell: Callable[[str], None],
) -> None:
    """Fill in ``outcomes``, in turn, ``rounds`` times; each round starts further on."""
    for number, outcome in in_turn(outcomes, alone.starts(len(outcomes), rounds)):
        entry = outcome.entry
        task = replace(outcome.task, seed=outcome.task.seed + number, variant=entry.variant)
        got = run_worker(
            alone.interpreter(entry, pythons),
            "peers.replay.worker",
            entry.module,
            asdict(task),
            variables=worker_variables(threads=1, with_ours=entry.role == "ours"),
            timeout=timeout,
            missing=f"skipped, not installed: pip install {entry.install}",
            temporary_files_in_folder=True,
        )
        where = f"round {number + 1}, {task.kind}, {entry.label}"
        if isinstance(got, str):
            outcome.trouble = got
            tell(f"{where}: {got}")
        else:
            outcome.rounds[number] = got
            tell(f"{where}: done")
