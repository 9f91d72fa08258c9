"""A small process that outlives a killed master by a moment, to end the workers it leaves.

A worker notices by itself that its master is gone, unless it hangs in an environment; and what
processes that environment has started, nobody would notice. The guardian holds the read end of a
pipe on which the master tells which process groups it has started and ended. When the pipe closes,
however that came about, it kills the groups that are left.

Run as a program, this file is the guardian: it imports nothing but the standard library.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import final

__all__ = ["Guardian", "kill_group"]


def kill_group(leader: int) -> None:
    """Kill process ``leader`` and its process group, as far as they are there."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(leader, signal.SIGKILL)


@final
class Guardian:
    """The master's end."""

    def __init__(self) -> None:
        """Start the guardian."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C is not for it
        )

    def watch(self, leader: int) -> None:
        """From now on, end the process group of ``leader`` if this process goes."""
        self._tell(f"+{leader}\n")

    def forget(self, leader: int) -> None:
        """The group has ended: its number may soon be another's."""
        self._tell(f"-{leader}\n")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # it was asked for
        with suppress(OSError, ValueError):  # a guardian that somebody has killed guards no more
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None  # as above
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _guard() -> None:
    """The guardian's own course."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders: set[int] = set()
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):
            change = leaders.add if line.startswith(b"+") else leaders.discard
            change(int(line[1:]))
    for leader in leaders:
        kill_group(leader)


if __name__ == "__main__":
    _guard()
