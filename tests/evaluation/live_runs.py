"""Directories of runs that are made up, with a queue and without."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import RunSpec

STEPS, TIME, RETURN = "Diagnostics/CumSteps", "Diagnostics/CumTime (s)", "ReturnAverage"
HEADER = f"{STEPS},{TIME},{RETURN}\n"


def rows(n: int, *, first: int = 0, slope: float = 1.0) -> str:
    """100 steps and 2 seconds a row: 50 steps/s."""
    return "".join(
        f"{100 * (i + 1)},{2.0 * (i + 1)},{slope * i}\n" for i in range(first, first + n)
    )


def write_run(
    run_dir: Path,
    n_rows: int = 10,
    *,
    state: str | None = "done",
    pid: int | None = None,
    slope: float = 1.0,
    **params: Any,
) -> Path:
    """A run of 1000 steps; its lock is held in name by the process ``pid``."""
    run_dir.mkdir(parents=True)
    (run_dir / "progress.csv").write_text(HEADER + rows(n_rows, slope=slope))
    settings = {"algo": {"class": "rlpyt.PPO"}, "sampler": {"env": "Cart-v1"}, "seed": 0}
    (run_dir / "params.json").write_text(json.dumps({"n_steps": 1000, **settings, **params}))
    if state is not None:
        told = {"state": state, "pid": pid or os.getpid()}
        (run_dir / "state.json").write_text(json.dumps(told))
    return run_dir


def spec(log_dir: str = "lr=1", run_ID: int = 0, **variant: Any) -> RunSpec:
    return RunSpec(command=["true"], cwd="/", log_dir=log_dir, run_ID=run_ID, variant=variant)


def make_queue(directory: Path, specs: Sequence[RunSpec]) -> Queue:
    queue = Queue(directory, create=True)
    queue.add(specs)
    return queue
