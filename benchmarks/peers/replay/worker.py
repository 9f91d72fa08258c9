"""Measures one replay in this process.

    python -m peers.replay.worker MODULE RESULT.json TASK_AS_JSON

It writes to RESULT.json, not to the console, which libraries use as they like. A library that is
not there ends the process with status 3; any other trouble is its traceback.
"""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from peers.replay.measure import measure
from peers.replay.steps import make_steps
from peers.replay.task import Task
from peers.settings import NOT_INSTALLED

SHARE = 0.8  # of the free memory that a replay may take
MARGIN = 500_000_000  # bytes for the library and the batches


def main() -> None:
    module_name, result_path, task_text = sys.argv[1:]
    task = Task(**json.loads(task_text))
    task = replace(task, batches=tuple(task.batches))
    torch.set_num_threads(1)
    try:
        module = importlib.import_module(f"peers.replay.{module_name}")
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    steps = make_steps(task)
    task = replace(task, transitions=that_fit(task, module.bytes_each(task)))
    result = {
        **measure(module.build(task, steps), task),
        "transitions": task.transitions,
        "version": module.version(),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }
    Path(result_path).write_text(json.dumps(result), encoding="utf-8")


def that_fit(task: Task, bytes_each: int) -> int:
    """As many transitions as are asked for or fit into memory, a whole number of rows."""
    rows, info = task.transitions // task.num_envs, Path("/proc/meminfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        free = max(0, kilobytes * 1024 - MARGIN) * SHARE
        rows = min(rows, int(free / bytes_each) // task.num_envs)
    return rows * task.num_envs


if __name__ == "__main__":
    main()
