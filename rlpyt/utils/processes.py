"""Processes by identity: which one it is, whether it still runs, and that it ends with its parent.

A process id alone says little: the system gives it to another process later, on another machine it
is somebody else's.
"""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

__all__ = ["ProcessIdentity", "ends_with_parent", "is_alive", "this_host"]

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_MAX_PID = 2**31 - 1


def this_host() -> str:
    """Where process ids mean something: the host's name, its boot and its space of process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{space}"


@final
@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one machine, and no later one of the same id."""

    host: str
    pid: int
    start: str  # since the boot, in the kernel's ticks; "" where it does not say

    @classmethod
    def of(cls, pid: int) -> Self:
        """Of a process on this machine that runs now."""
        return cls(this_host(), pid, _start(pid) or "")

    @property
    def is_here(self) -> bool:
        """Whether it is one of this machine's."""
        return self.host == this_host()

    @property
    def is_running(self) -> bool:
        """Whether it still does; of another machine's that is not known, and False."""
        if not self.is_here:
            return False
        start = _start(self.pid)
        return start is not None and start == self.start


def _start(pid: int) -> str | None:
    """When process ``pid`` started, "" where the system does not say; None for one that has
    ended.
    """
    if not is_alive(pid):
        return None
    cells = _stat(pid)
    return cells[19] if cells else ""


def is_alive(pid: int) -> bool:
    """Whether process ``pid`` runs on this machine. A zombie, which has ended and whose parent has
    not asked how, does not.
    """
    if not 0 < pid <= _MAX_PID:  # other numbers mean groups of processes to the system, or nothing
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    cells = _stat(pid)
    return not cells or cells[0] not in "ZX"


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/<pid>/stat`` from the third on, the state; [] where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def ends_with_parent() -> Callable[[], None] | None:
    """What a new process calls before it executes its program, to get SIGTERM when this one has
    ended, however; None on systems that cannot.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # found here: a forked process loads nothing
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it has ended in between
            os._exit(128 + signal.SIGTERM)

    return ask
