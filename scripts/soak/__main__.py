"""Hours of faults: async DQN through a queue, while workers are killed, learners stopped, the disk
filled and the launcher killed. All of it must end well.

    python scripts/soak --hours 2 --out data/soak
    python scripts/soak --hours 0.05 --seeds 2 --steps 30000       a look whether it works

First the same runs, and more seeds of them, undisturbed: the band of their scores. Then rounds of
them under faults, one after the other until the time is over, each to the end of its queue. A score
is the mean return of the final parameters in episodes of an evaluation. Told is also how many runs
under faults ended with the parameters of the undisturbed run of their seed, bit by bit: those may
where no worker was killed, which loses its environments. Written into ``--out``: ``soak.json``
with every fault and every measurement, and a table on the screen. The exit code is 1 unless every
queue was completed, no process and nothing in /dev/shm was left, nothing grew, and the scores are
no worse than undisturbed. Linux only; wants user namespaces, for a disk that can be full.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.table import Table
from scipy.stats import mannwhitneyu
from soak_disk import SmallDisk, in_a_namespace, small_disk
from soak_faults import Situation, companions, some_fault
from soak_growth import Growth

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest

__all__ = ["main"]

GRID = ["dqn", "--grid", "env=CartPole-v1", "--async", "--sampler", "cpu", "--workers", "2"]
SETTINGS = ["sampler.on_worker_failure=restart", "sampler.max_restarts=1000000"]
SHARED = Path("/dev/shm")  # the namespace has its own, where others leave nothing
SIGNIFICANT = 0.05
PATIENCE = 1800.0  # seconds for a queue to come to its end once nothing is injected any more


class Queue:
    """A grid in a directory, and the launcher that works on it."""

    def __init__(self, folder: Path, seeds: int, steps: int, output: Path) -> None:
        options = ["--seeds", str(seeds), "--steps", str(steps)]
        always = ["--retries", "1000000", "--no-report", "--no-preflight", "--no-plot"]
        words = [*GRID, *options, *always, "--out", str(folder), *SETTINGS]
        self.command = [sys.executable, "-m", "rlpyt", "launch", *words]
        self.folder, self.output = folder, output
        self.start()

    def start(self) -> None:
        """A launcher, which goes on with what there is."""
        with self.output.open("ab") as file:
            self.launcher = subprocess.Popen(self.command, stdout=file, stderr=file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.launcher.poll() is None:  # it did not come to its end
            self.launcher.terminate()
            self.launcher.wait()

    @property
    def is_over(self) -> bool:
        """Whether the launcher has ended by itself, with every run done."""
        return self.launcher.poll() == 0

    def states(self) -> dict[str, int]:
        """How many runs are in which state."""
        words = [sys.executable, "-m", "rlpyt", "status", str(self.folder), "--json"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        counts: dict[str, int] = json.loads(done.stdout)["counts"]
        return {state: count for state, count in counts.items() if count}


def runs_of(folder: Path) -> list[Path]:
    """The directories of the runs of a queue."""
    return sorted(path.parent for path in folder.rglob("params.json"))


def final_contents(run: Path) -> Any:
    """What tells one final checkpoint from another: the sums of parameters, optimizer, replay."""
    last = Checkpointer(run / "checkpoints").latest()
    assert last is not None, run
    return read_manifest(last).files["arrays.safetensors"]


def same_as(folder: Path, calm: Path) -> int:
    """How many runs below ``folder`` ended exactly as those of the same name below ``calm``."""
    found = {run.relative_to(calm): run for run in runs_of(calm)}
    pairs = [(run, found[run.relative_to(folder)]) for run in runs_of(folder)]
    return sum(final_contents(run) == final_contents(other) for run, other in pairs)


def not_worse(scores: list[float], band: list[float]) -> bool:
    """Whether no shift of ``scores`` below ``band`` is seen: Mann and Whitney's test, one-sided, at
    5 %. Single runs say nothing: DQN ends now and then at half of the best return undisturbed, too.
    """
    return bool(mannwhitneyu(scores, band, alternative="less").pvalue >= SIGNIFICANT)


def scores_of(folder: Path, episodes: int) -> list[float]:
    """Of each run's final parameters, in episodes that training never had."""
    found = []
    for run in runs_of(folder):
        words = [sys.executable, "-m", "rlpyt", "eval", str(run), "--json"]
        done = subprocess.run(
            [*words, "--episodes", str(episodes)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{run}: {done.stderr[-500:]}")
        found.append(float(json.loads(done.stdout)["ReturnAverage"]))
    return found


class Soak:
    """Rounds of queues under faults, and what came of them."""

    def __init__(self, arguments: argparse.Namespace, calm: Path, output: Path) -> None:
        self.arguments, self.calm, self.output = arguments, calm, output
        self.rng, self.growth = random.Random(arguments.seed), Growth()
        self.faults: list[dict[str, Any]] = []
        self.states: list[dict[str, int]] = []
        self.scores: list[float] = []
        self.same = 0

    def round(self, disk: SmallDisk, until: float) -> None:
        """One queue to its end, no faults after ``until``."""
        folder = disk.path / f"round_{len(self.states)}"
        queue = Queue(folder, self.arguments.seeds, self.arguments.steps, self.output)
        with queue:
            self._disturb(queue, disk, until)
        self.states.append(queue.states())
        self.scores += scores_of(folder, self.arguments.episodes)
        self.same += same_as(folder, self.calm)

    def _disturb(self, queue: Queue, disk: SmallDisk, until: float) -> None:
        """Faults at random moments, until the queue is done."""
        began, every = time.monotonic(), self.arguments.every
        next_fault = began + self.rng.expovariate(1 / every)
        while not queue.is_over and (now := time.monotonic()) < until + PATIENCE:
            if (code := queue.launcher.poll()) is not None:
                if code != -signal.SIGKILL:
                    self._note(now - began, "launcher failed", str(code))
                    time.sleep(5.0)
                queue.start()
            self.growth.look(queue.launcher.pid)
            if next_fault < now < until:
                self._note(now - began, *some_fault(Situation(queue.launcher.pid, disk, self.rng)))
                next_fault = time.monotonic() + self.rng.expovariate(1 / every)
            time.sleep(1.0)

    def _note(self, at: float, fault: str, what: str) -> None:
        if what:
            found = {"round": len(self.states), "at": round(at, 1), "fault": fault, "what": what}
            self.faults.append(found)

    def write(self, more: dict[str, Any]) -> None:
        """``soak.json``, with ``more``."""
        settings = {name: str(value) for name, value in vars(self.arguments).items()}
        result = {
            "settings": {**settings, "calm": str(self.calm)},
            "scores": self.scores,
            "exactly as undisturbed": self.same,
            "states": self.states,
            "growth": self.growth.report(),
            **more,
            "faults": self.faults,
        }
        (self.arguments.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")


def main() -> int:
    """The command."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0, help="of faults")
    parser.add_argument("--seeds", type=int, default=2, help="runs of a queue")
    parser.add_argument("--steps", type=int, default=300_000, help="of each run")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between faults, mean")
    parser.add_argument("--episodes", type=int, default=20, help="of the final evaluations")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--out", type=Path, default=Path("data/soak"), metavar="DIR")
    calm = (
        "an undisturbed queue of the same settings, which is taken for the band; default: one more"
    )
    parser.add_argument("--calm", type=Path, metavar="DIR", help=calm)
    parser.add_argument("--calm-seeds", type=int, default=6, help="runs of that queue")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        in_a_namespace([*sys.argv, "--inside"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # with its queue
    arguments.out.mkdir(parents=True, exist_ok=True)
    output = arguments.out / "launchers.txt"
    console = Console(width=120)
    calm = (arguments.calm or arguments.out / "calm").resolve()
    if arguments.calm is None:
        console.print("undisturbed, for the band of the scores")
        seeds = max(arguments.seeds, arguments.calm_seeds)
        with Queue(calm, seeds, arguments.steps, output) as queue:
            queue.launcher.wait()

    soak = Soak(arguments, calm, output)
    until = time.monotonic() + 3600 * arguments.hours
    with small_disk(arguments.out.resolve() / "disk", "256m") as disk, small_disk(SHARED, "2g"):
        while time.monotonic() < until:
            soak.round(disk, until)
            soak.write({})  # what is known, should it end here
            console.print(f"round {len(soak.states)}: {len(soak.faults)} faults, {soak.states[-1]}")
        time.sleep(3.0)
        left = sorted(companions())
        new = sorted(path.name for path in SHARED.iterdir())
    band = scores_of(calm, arguments.episodes)
    verdicts = {
        "every queue complete": all(set(found) == {"done"} for found in soak.states),
        "no process left": not left,
        "nothing left in /dev/shm": not new,
        "memory does not grow": soak.growth.memory_is_flat,
        "descriptors do not grow": soak.growth.descriptors_are_flat,
        "scores no worse than undisturbed": not_worse(soak.scores, band),
    }
    soak.write({"band": band, "left": left, "shared": new, "verdicts": verdicts})
    table = Table(title=f"{arguments.hours} h, {len(soak.faults)} faults, {len(soak.scores)} runs")
    table.add_column("")
    table.add_column("", justify="right")
    for name, holds in verdicts.items():
        table.add_row(name, "yes" if holds else "NO")
    for name, value in soak.growth.report().items():
        table.add_row(name, str(value))
    table.add_row("runs that ended exactly as undisturbed", f"{soak.same} of {len(soak.scores)}")
    console.print(table)
    console.print(f"undisturbed {band}\ndisturbed {soak.scores}")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
