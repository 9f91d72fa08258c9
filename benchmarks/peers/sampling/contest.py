"""Every system in a fresh process, in turn, in rotated order."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from peers.sampling.field import Entry
from peers.sampling.task import Task
from peers.settings import NOT_INSTALLED

__all__ = ["Outcome", "run_rounds"]

BENCHMARKS = Path(__file__).resolve().parents[2]
MARGIN = 120.0  # seconds that a system may take to start its processes


@dataclass(kw_only=True)
class Outcome:
    """What became of one entry in one task: a result per round, or why there is none."""

    entry: Entry
    task: Task
    rounds: dict[int, dict[str, Any]] = field(default_factory=dict)
    trouble: str = ""


def run_rounds(
    outcomes: Sequence[Outcome],
    pythons: Mapping[str, str],
    *,
    rounds: int,
    tell: Callable[[str], None],
) -> None:
    """Fill in ``outcomes``, in turn, ``rounds`` times; each round starts further on."""
    for number in range(rounds):
        turn = number * len(outcomes) // rounds
        for outcome in [*outcomes[turn:], *outcomes[:turn]]:
            if outcome.trouble:
                continue
            entry, task = outcome.entry, replace(outcome.task, seed=outcome.task.seed + number)
            got = _run(entry, replace(task, variant=entry.variant), _python(entry, pythons))
            where = f"{task.environment}{' with a network' if task.policy else ''}, {entry.label}"
            if isinstance(got, str):
                outcome.trouble = got
                tell(f"{where}: {got}")
            else:
                outcome.rounds[number] = got
                tell(f"round {number + 1}, {where}: {got['steps_per_s']:,.0f} steps/s")


def _python(entry: Entry, pythons: Mapping[str, str]) -> str:
    keys = (entry.name, entry.module, entry.role)
    return next((pythons[key] for key in keys if key in pythons), sys.executable)


def _run(entry: Entry, task: Task, python: str) -> dict[str, Any] | str:
    """A fresh process's result, or the reason why there is none in one line."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [python, "-m", "peers.sampling.worker", entry.module, str(result)]
        try:
            done = subprocess.run(
                [*command, json.dumps(asdict(task))],
                cwd=folder,  # libraries leave their files where they start
                env=_variables(entry, task),
                capture_output=True,
                text=True,
                timeout=task.warmup + task.seconds + MARGIN,
                check=False,
                start_new_session=True,  # the worker adds up the processor time of its session
            )
        except subprocess.TimeoutExpired:
            return f"failed: no end after {task.warmup + task.seconds + MARGIN:.0f} s"
        except OSError as error:
            return f"failed: {python}: {error.strerror}"
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else "no message"
        if done.returncode == NOT_INSTALLED:
            return f"skipped, not installed: {entry.install_line(task.environment)} ({said})"
        if done.returncode != 0 or not result.exists():
            return f"failed: {said[:160]}"
        measured: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return measured


def _variables(entry: Entry, task: Task) -> dict[str, str]:
    paths = [str(BENCHMARKS), *([str(BENCHMARKS.parent)] if entry.role == "ours" else [])]
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if task.device == "cpu" else {}
    return {
        **os.environ,
        **dict.fromkeys(pools, "1"),
        **hidden,
        "PYTHONPATH": os.pathsep.join(paths),
    }
