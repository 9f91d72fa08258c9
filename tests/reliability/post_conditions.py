"""What must hold after every fault, however it ended.

C1: no process is left, 3 s after the end.
C2: nothing new in /dev/shm: no segment, no semaphore.
C3: an error says what, where and the way out, in one line; a command ends with it, and not with 0.
C4: the run directory says what became of the run.
C5: the newest checkpoint loads.
"""

import ctypes
import os
import re
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

from warm_python import server_pid

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.logging.run_state import read_run_state
from rlpyt.utils.errors import RlpytError

SHM = Path("/dev/shm")
SECONDS = 3.0  # for processes to be gone
_SET_SUBREAPER = 36  # prctl: what loses its parent becomes this process's child
_ERROR = re.compile(r"ERROR [a-z_]+: .+ - .+")


def slowness() -> float:
    """How much longer than on a quiet machine things may take on this one now."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float = 0.0  # from the last signal it got to its end


def parents() -> dict[int, int]:
    """Parent of every living process, without those that only wait to be taken note of."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found[int(path.parent.name)] = int(parent)
    return found


def descendants() -> set[int]:
    """Living processes below this one, but for multiprocessing's helpers, which stay for the next
    sampler.
    """
    parent = parents()
    ours = {os.getpid()}
    while more := {pid for pid, above in parent.items() if above in ours} - ours:
        ours |= more
    return ours - _helpers() - {os.getpid()}


def _helpers() -> set[int | None]:
    helpers = {forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid}
    return {*helpers, server_pid()}


def _children() -> set[int]:
    """Children of this process, those that have ended too, without multiprocessing's helpers."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        found |= {int(pid) for pid in path.read_text().split()}
    return found - _helpers()


def workers() -> list[int]:
    """Worker processes of samplers of this process, whose fork server has been used."""
    server = forkserver._forkserver._forkserver_pid
    return sorted(pid for pid, above in parents().items() if above == server)


def is_alive(pid: int) -> bool:
    return pid in parents()


def kill_and_wait(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 5, f"{pid} is dead")


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds * slowness()
    while not condition():
        assert time.monotonic() < deadline, f"within {seconds} s: {what}"
        time.sleep(0.01)


def _others() -> set[str]:
    """What strangers use in /dev/shm: other programs of this machine, that come and go."""
    ours, found = {os.getpid(), *descendants()}, set()
    for path in Path("/proc").glob("[0-9]*/maps"):
        if int(path.parent.name) not in ours:
            with suppress(OSError):
                found |= set(re.findall(rf"{SHM}/(\S+)", path.read_text()))
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().replace("\0", " ")[:200]
    except OSError:
        return "(gone)"


@dataclass
class AssertClean:
    """``assert_clean(...)``: C1 and C2 always, the others where there is something to look at."""

    processes: set[int] = field(default_factory=descendants)  # there before
    children: set[int] = field(default_factory=_children)  # those that have ended too
    shared: set[str] = field(default_factory=lambda: {path.name for path in SHM.glob("*")})
    used: bool = False

    def __call__(
        self,
        run_dir: Path | None = None,
        state: str | None = None,
        error: RlpytError | Ended | None = None,
    ) -> None:
        """C3 of ``error``; of ``run_dir`` that it says ``state`` (C4), and can go on (C5)."""
        self.used = True
        self._no_process()
        self.no_shared_memory()
        if error is not None:
            _tells(error)
        if run_dir is not None:
            assert read_run_state(run_dir) == state
            if any((run_dir / "checkpoints").glob("itr_*")):
                with warnings.catch_warnings():  # of half a checkpoint, where it was killed
                    warnings.simplefilter("ignore", UserWarning)
                    loaded, _manifest = Checkpointer(run_dir / "checkpoints").load_latest()
                assert "agent" in loaded
            else:
                assert state != "done"  # it failed before there was anything to save

    def _no_process(self) -> None:
        deadline = time.monotonic() + SECONDS * slowness()
        while left := descendants() - self.processes:
            if time.monotonic() > deadline:
                raise AssertionError(f"left: { {pid: command_line(pid) for pid in left} }")
            time.sleep(0.02)

    def no_shared_memory(self) -> None:
        """C2."""
        deadline = time.monotonic() + SECONDS * slowness()
        while left := {path.name for path in SHM.glob("*")} - self.shared - _others():
            assert time.monotonic() < deadline, f"left in {SHM}: {left}"
            time.sleep(0.1)


def _tells(error: RlpytError | Ended) -> None:
    if isinstance(error, RlpytError):
        line = " ".join(str(error).split())
    else:
        assert error.code != 0
        assert "Traceback" not in error.err
        line = error.err.splitlines()[-1]
    assert _ERROR.fullmatch(line), line


@contextmanager
def subreaper() -> Iterator[None]:
    """Inside, what is orphaned anywhere below becomes this process's child: nothing gets lost."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(_SET_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(_SET_SUBREAPER, 0, 0, 0, 0)


def kill(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reap(before: set[int]) -> None:
    """Take note of the ends of orphans, which come when their parents' have come."""
    deadline = time.monotonic() + SECONDS * slowness()
    while left := _children() - before:
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
