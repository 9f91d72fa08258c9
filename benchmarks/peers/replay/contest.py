"""Every replay in a fresh process, in turn, in rotated order."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from peers.replay.field import Entry
from peers.replay.task import Task
from peers.settings import NOT_INSTALLED

__all__ = ["Outcome", "run_rounds"]

BENCHMARKS = Path(__file__).resolve().parents[2]


@dataclass(kw_only=True)
class Outcome:
    """What became of one entry in one task: a result per round, or why there is none."""

    entry: Entry
    task: Task
    rounds: dict[int, dict[str, Any]] = field(default_factory=dict)
    trouble: str = ""

    def rate(self, number: int, name: str, unit: str = "per_s") -> float:
        """The median rate of a round: ``name`` is "append" or "draw N"."""
        slices = sorted(part[unit] for part in self.rounds[number]["rates"][name])
        return float(slices[len(slices) // 2])


def run_rounds(
    outcomes: Sequence[Outcome],
    pythons: Mapping[str, str],
    *,
    rounds: int,
    timeout: float,
    tell: Callable[[str], None],
) -> None:
    """Fill in ``outcomes``, in turn, ``rounds`` times; each round starts further on."""
    for number in range(rounds):
        turn = number * len(outcomes) // rounds
        for outcome in [*outcomes[turn:], *outcomes[:turn]]:
            if outcome.trouble:
                continue
            entry = outcome.entry
            task = replace(outcome.task, seed=outcome.task.seed + number, variant=entry.variant)
            got = _run(entry, task, _python(entry, pythons), timeout)
            where = f"round {number + 1}, {task.kind}, {entry.label}"
            if isinstance(got, str):
                outcome.trouble = got
                tell(f"{where}: {got}")
            else:
                outcome.rounds[number] = got
                tell(f"{where}: done")


def _python(entry: Entry, pythons: Mapping[str, str]) -> str:
    keys = (entry.name, entry.module, entry.role)
    return next((pythons[key] for key in keys if key in pythons), sys.executable)


def _run(entry: Entry, task: Task, python: str, timeout: float) -> dict[str, Any] | str:
    """A fresh process's result, or the reason why there is none in one line."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [python, "-m", "peers.replay.worker", entry.module, str(result)]
        try:
            done = subprocess.run(
                [*command, json.dumps(asdict(task))],
                cwd=folder,
                env=_variables(entry, folder),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"failed: no end after {timeout:.0f} s"
        except OSError as error:
            return f"failed: {python}: {error.strerror}"
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else "no message"
        if done.returncode == NOT_INSTALLED:
            return f"skipped, not installed: pip install {entry.install} ({said})"
        if done.returncode != 0 or not result.exists():
            return f"failed: {said[:160]}"
        measured: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return measured


def _variables(entry: Entry, folder: str) -> dict[str, str]:
    paths = [str(BENCHMARKS), *([str(BENCHMARKS.parent)] if entry.role == "ours" else [])]
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(pools, "1"),
        "CUDA_VISIBLE_DEVICES": "",
        "TMPDIR": folder,  # for files of the libraries
        "PYTHONPATH": os.pathsep.join(paths),
    }
