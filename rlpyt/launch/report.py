"""What follows when a queue is drained: the report that compares its runs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rlpyt.launch.queue import Queue

__all__ = ["REPORT_DIR", "report_on"]

REPORT_DIR = "report"
"""In the directory of the experiment."""


def report_on(queue: Queue, tell: Callable[[str], None] = print) -> Path | None:
    """Compare the runs that are done, in a process of its own: whatever becomes of it, the runs are
    there. Its table goes to standard output.

    Returns:
        The report's page; None where fewer than two runs have anything to compare, or it failed.
    """
    directory = queue.directory
    done = [run for run in queue.runs() if run.state == "done"]
    if sum((directory / run.name / "progress.csv").exists() for run in done) < 2:
        return None
    out = directory / REPORT_DIR
    command = [sys.executable, "-m", "rlpyt", "compare", str(directory), "--out", str(out)]
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode:
        tell(f"no report; try `rlpyt compare {directory}`")
        return None
    return out / "report.html"
