"""What the queue adds to a run: 1,000 times ``sleep 0`` through it, and as bare processes.

    python benchmarks/launch_overhead.py --runs 1000

Prints milliseconds per run of both, and the difference, which is to stay below 50.
"""

import argparse
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rlpyt.launch import Launcher, Queue, RunSpec

COMMAND = ("sh", "-c", "sleep 0")


def bare(n_runs: int) -> float:
    """Seconds of each process, one after the other."""
    start = time.perf_counter()
    for _ in range(n_runs):
        subprocess.run(COMMAND, check=True)
    return (time.perf_counter() - start) / n_runs


def queued(n_runs: int) -> float:
    """Seconds of each run, in one slot."""
    with TemporaryDirectory() as folder, Queue(folder, create=True) as queue:
        queue.add(
            RunSpec(
                command=COMMAND, cwd="/", log_dir=f"x={n % 10}", run_ID=n, variant={"x": n % 10}
            )
            for n in range(n_runs)
        )
        start = time.perf_counter()
        Launcher(queue, "1cpu_0gpu_1cpr_0hto", tell=lambda line: None).drain()
        seconds = time.perf_counter() - start
        assert queue.counts() == {"done": n_runs}
        assert len(list(Path(folder).rglob("output.log"))) == n_runs
    return seconds / n_runs


def main() -> None:
    """Measure both in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    n_runs = parser.parse_args().runs
    alone, through = 1e3 * bare(n_runs), 1e3 * queued(n_runs)
    print(f"bare {alone:.1f} ms, through the queue {through:.1f} ms: {through - alone:.1f} ms each")


if __name__ == "__main__":
    main()
