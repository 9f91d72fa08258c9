"""What became of a worker, in words."""

import re
import signal
from pathlib import Path
from typing import final

from rlpyt.envs.capsule import DIED, HANG
from rlpyt.utils.errors import RlpytError

__all__ = ["WorkerLostError", "WorkerTraceback", "died", "failed", "hangs", "oom_kills"]

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


@final
class WorkerTraceback(Exception):  # noqa: N818  # stands as the cause of an error, for its text
    """The traceback of another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@final
class WorkerLostError(Exception):
    """A worker that can do no more: it died, hangs, or its environment failed."""

    def __init__(self, rank: int, error: RlpytError, *, hangs: bool = False) -> None:
        super().__init__(rank, error)
        self.rank = rank
        self.error = error  # what the user is told
        self.code = HANG if hangs else DIED  # what a capsule says of it


def died(exitcode: int | None, who: str, where: str, *, starting: bool, oom: bool) -> RlpytError:
    """A process that has ended by itself."""
    if exitcode is None:
        return RlpytError("worker", f"{who} has disappeared", where=where)
    if exitcode >= 0:
        hint = "let environments raise exceptions instead of ending the process"
        if starting:
            hint = (
                "see its traceback above; a script that starts workers needs "
                'if __name__ == "__main__": around what it does, and its classes in a module'
            )
        return RlpytError(
            "worker", f"{who} ended with exit code {exitcode}", where=where, hint=hint
        )
    name = _signal_name(-exitcode)
    if -exitcode != signal.SIGKILL:
        hint = "a crash in the environment's compiled code, or a signal from outside"
    elif oom:
        hint = "the kernel ended it for lack of memory: use fewer workers or smaller environments"
    else:
        hint = "somebody killed it, or probably the kernel for lack of memory (see dmesg)"
    return RlpytError("worker", f"{who} was killed by {name}", where=where, hint=hint)


def failed(error: RlpytError, traceback: str, place: str) -> RlpytError:
    """A process that has told its ``error``; ``place`` says which process it is."""
    told = error.altered(where=", ".join(part for part in (error.where, place) if part))
    told.__cause__ = WorkerTraceback(traceback)
    return told


def hangs(
    seconds: float,
    who: str,
    where: str,
    stack: str,
    *,
    env: str = "",
    hint: str = "raise sampler.worker_timeout if its environments may take so long",
) -> RlpytError:
    """A process that makes no progress; ``stack`` is its Python stack, innermost call first."""
    frame = _FRAME.search(stack)
    at = f"at {frame['file']}:{frame['line']}, " if frame else ""
    what = f"{who} hangs: no step for {seconds:.1f} s{env}"
    error = RlpytError("worker", what, where=f"{at}{where}", hint=hint)
    if stack:
        error.__cause__ = WorkerTraceback(stack)
    return error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def oom_kills(root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc")) -> int:
    """How many processes of this control group the kernel has killed for lack of memory; 0 where
    nobody counts.
    """
    try:
        path = (proc / "self" / "cgroup").read_text().rpartition("::")[2].strip()
        lines = (root / path.lstrip("/") / "memory.events").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines if len(line.split()) == 2)
    return int(counts.get("oom_kill", 0))
