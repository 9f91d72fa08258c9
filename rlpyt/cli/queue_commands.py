"""``rlpyt status``, ``stop``, ``retry`` and ``requeue``: a queue, seen and changed by people."""

import argparse
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rlpyt.cli.command import Command
from rlpyt.cli.runs_table import print_runs, run_seconds
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import QueuedRun
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["REQUEUE", "RETRY", "STATUS", "STOP"]


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="of a launch")


def _add_status_arguments(parser: argparse.ArgumentParser) -> None:
    _add_directory(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _status(args: argparse.Namespace, overrides: list[str]) -> int:
    with Queue(args.directory) as queue:
        runs, counts, launchers = queue.runs(), queue.counts(), queue.launchers()
    if args.json:
        told = {
            "directory": str(args.directory),
            "counts": counts,
            "launchers": [
                {"host": one.process.host, "pid": one.process.pid, "affinity": one.affinity}
                for one in launchers
            ],
            "runs": [_as_dict(run, args.directory) for run in runs],
        }
        print(json.dumps(told, indent=2))
        return 0
    print_runs(runs)
    print(", ".join(f"{n} {state}" for state, n in counts.items()) or "no runs")
    for one in launchers:
        host = one.process.host.partition("/")[0]
        state = ", which was ended" if one.has_ended else ""
        print(f"launcher: process {one.process.pid} on {host}, affinity {one.affinity}{state}")
    if all(one.has_ended for one in launchers) and counts.keys() & {"queued", "running"}:
        print(f"nobody runs them: start with `rlpyt launch {args.directory}`")
    return 0


def _as_dict(run: QueuedRun, directory: Path) -> dict[str, Any]:
    process = run.process
    return {
        "id": run.id,
        "name": run.name,
        "run_dir": str(directory / run.name),
        "state": run.state,
        "wanted": run.wanted,
        "variant": run.spec.variant,
        "run_ID": run.spec.run_ID,
        "priority": run.spec.priority,
        "attempts": run.attempts,
        "failures": run.failures,
        "retries": run.spec.retries,
        "slot": run.slot,
        "host": None if process is None else process.host.partition("/")[0],
        "pid": None if process is None else process.pid,
        "exit_code": run.exit_code,
        "reason": run.reason,
        "queued_at": _iso(run.queued_at),
        "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
        "seconds": run_seconds(run),
    }


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    _add_directory(parser)
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="number or name, as rlpyt status shows them; * stands for any text",
    )
    parser.add_argument("--all", action="store_true", help="all that can be")


def _chosen(queue: Queue, words: Sequence[str], *, every: bool) -> list[QueuedRun]:
    runs = queue.runs()
    if every == bool(words):
        hint = "name runs, such as 3 or 'env=CartPole-v1/*', or give --all"
        raise RlpytError("usage", "which runs?" if not every else "--all, and runs", hint=hint)
    chosen = {run.id: run for run in runs} if every else {}
    for word in words:
        found = [run for run in runs if word == str(run.id) or fnmatchcase(run.name, word)]
        if not found:
            hint = did_you_mean(word, [run.name for run in runs][:50])
            raise RlpytError("usage", f"no run {word!r} in {queue.directory}", hint=hint)
        chosen |= {run.id: run for run in found}
    return list(chosen.values())


def _changes(
    states: Sequence[str], change: Callable[[Queue, list[int]], None], told: str
) -> Callable[[argparse.Namespace, list[str]], int]:
    """A command that changes the chosen runs that are in one of ``states``."""

    def run(args: argparse.Namespace, overrides: list[str]) -> int:
        with Queue(args.directory) as queue:
            chosen = _chosen(queue, args.runs, every=args.all)
            fitting = [one for one in chosen if one.state in states]
            for one in chosen:
                if one not in fitting and not args.all:
                    what = f"{one.name} is {one.state}: only {' and '.join(states)} runs can be"
                    raise RlpytError("usage", what, hint=f"see `rlpyt status {args.directory}`")
            if getattr(args, "from_scratch", False):
                for one in fitting:
                    _set_aside(queue, one)
            change(queue, [one.id for one in fitting])
            print(f"{len(fitting)} run{'s' * (len(fitting) != 1)}: {told}")
            if change is not Queue.stop and all(one.has_ended for one in queue.launchers()):
                print(f"start with `rlpyt launch {args.directory}`")
        return 0

    return run


def _set_aside(queue: Queue, run: QueuedRun) -> None:
    """Move what the run has written to a name beside its own; nothing is removed."""
    if run.state == "running":
        what = f"{run.name} is running"
        raise RlpytError("usage", what, hint="stop it first, or leave --from-scratch out")
    path = queue.directory / run.name
    number = 1
    while (aside := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    if path.exists():
        path.rename(aside)
        print(f"{path} is now {aside}")


def _add_again_arguments(parser: argparse.ArgumentParser) -> None:
    _add_run_arguments(parser)
    parser.add_argument(
        "--from-scratch",
        action="store_true",
        help="start anew: what a run has written is set aside (run_0.1)",
    )


STATUS = Command(
    summary="show the runs of a launch",
    description="Show every run of the launch in DIR: its state, attempts and time, and why.",
    examples="examples:\n  rlpyt status data/cartpole\n  rlpyt status data/cartpole --json",
    add_arguments=_add_status_arguments,
    run=_status,
)
"""``rlpyt status``."""

STOP = Command(
    summary="stop runs of a launch",
    description=(
        "Stop runs: those that wait are not started, those that run save and end.\n"
        "`rlpyt retry` goes on with them."
    ),
    examples="examples:\n  rlpyt stop data/cartpole 3 5\n  rlpyt stop data/cartpole --all",
    add_arguments=_add_run_arguments,
    run=_changes(("queued", "running"), Queue.stop, "stopped, or asked to save and end"),
)
"""``rlpyt stop``."""

RETRY = Command(
    summary="go on with failed and stopped runs of a launch",
    description=(
        "Put failed and stopped runs back into the queue, where they stood before, with all\n"
        "their retries. They go on from their newest checkpoint."
    ),
    examples=(
        "examples:\n  rlpyt retry data/cartpole --all\n"
        "  rlpyt retry data/cartpole 'env=Acrobot-v1/*' --from-scratch"
    ),
    add_arguments=_add_again_arguments,
    run=_changes(("failed", "stopped"), Queue.retry, "queued"),
)
"""``rlpyt retry``."""

REQUEUE = Command(
    summary="put runs of a launch at the end of its queue",
    description=(
        "Put runs at the end of the queue, whatever their state: those that run save and end\n"
        "first. They go on from their newest checkpoint, and complete ones have nothing to do,\n"
        "unless they start from scratch."
    ),
    examples="examples:\n  rlpyt requeue data/cartpole 3\n"
    "  rlpyt requeue data/cartpole 7 --from-scratch",
    add_arguments=_add_again_arguments,
    run=_changes(
        ("queued", "running", "done", "failed", "stopped"), Queue.requeue, "queued, at the end"
    ),
)
"""``rlpyt requeue``."""
