"""Workers in fresh processes, one after the other."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from peers.settings import NOT_INSTALLED

__all__ = ["in_turn", "rotated", "run_again", "run_worker", "worker_variables"]

BENCHMARKS = Path(__file__).resolve().parents[1]


class _MayFail(Protocol):
    trouble: str


OutcomeT = TypeVar("OutcomeT", bound=_MayFail)
ItemT = TypeVar("ItemT")


def rotated(items: Sequence[ItemT], start: int) -> list[ItemT]:
    """All of them, from index ``start`` on and then from the first."""
    return [*items[start:], *items[:start]]


def in_turn(outcomes: Sequence[OutcomeT], starts: Iterable[int]) -> Iterator[tuple[int, OutcomeT]]:
    """Number of the round, and whose turn it is: all, once for each of ``starts`` and from that
    index on. Who has got into trouble meanwhile is left out.
    """
    for number, start in enumerate(starts):
        for outcome in rotated(outcomes, start):
            if not outcome.trouble:
                yield number, outcome


def run_again(script: str, name: str, task: Any, timeout: float) -> Any:
    """What ``script --one TASK_AS_JSON`` prints last, in a process of its own, as JSON; None where
    it failed, which is told with its ``name``.
    """
    try:
        done = subprocess.run(
            [sys.executable, script, "--one", json.dumps(task)],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=timeout,
            check=True,
        )
    except subprocess.SubprocessError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def run_worker(
    python: str,
    worker: str,
    module: str,
    options: Mapping[str, Any],
    *flags: str,
    variables: Mapping[str, str],
    timeout: float,
    missing: str,
    temporary_files_in_folder: bool = False,
    own_session: bool = False,
) -> dict[str, Any] | str:
    """The result of ``python -m worker module RESULT.json OPTIONS_AS_JSON flags``.

    Or the reason why there is none, in one line; ``missing`` and the last message where a library
    is not there.

    The process starts in a new folder, because libraries leave their files where they start; what
    they take for temporary goes there too with ``temporary_files_in_folder``.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        try:
            done = subprocess.run(
                [python, "-m", worker, module, str(result), json.dumps(options), *flags],
                cwd=folder,
                env={**variables, **({"TMPDIR": folder} if temporary_files_in_folder else {})},
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                start_new_session=own_session,
            )
        except subprocess.TimeoutExpired:
            return f"failed: no end after {timeout:.0f} s"
        except OSError as error:
            return f"failed: {python}: {error.strerror}"
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        said = lines[-1] if lines else "no message"
        if done.returncode == NOT_INSTALLED:
            return f"{missing} ({said})"
        if done.returncode != 0 or not result.exists():
            return f"failed: {said[:160]}"
        measured: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return measured


def worker_variables(*, threads: int, with_ours: bool, gpu: bool = False) -> dict[str, str]:
    """A worker's environment variables: so many ``threads`` in each pool, ours to be imported only
    where it takes part, and no GPU to be seen.
    """
    paths = [str(BENCHMARKS), *([str(BENCHMARKS.parent)] if with_ours else [])]
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(pools, str(threads)),
        **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""}),
        "PYTHONPATH": os.pathsep.join(paths),
    }
