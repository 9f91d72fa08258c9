"""One worker process as the master sees it, and how workers end."""

import math
import os
import socket
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import final

from rlpyt.samplers.guardian import Guardian, kill_group
from rlpyt.samplers.meter import Meter
from rlpyt.samplers.requests import Failure, Quit, receive, send

__all__ = ["GRACE", "WorkerHandle", "end_workers", "kill_workers", "limit_waits"]

GRACE = 5.0
"""Seconds for idle workers to close their environments."""

_HURRIED_GRACE = 0.5  # the same where others hang or have failed; also to end after closing


@final
@dataclass
class WorkerHandle:
    """A worker: its process, the master's ends of its pipes, and its progress."""

    process: BaseProcess
    requests: Connection
    steps: socket.socket
    stacks: socket.socket
    meter: Meter
    ready: bool = False  # it has answered its first request
    asked: str | None = None  # the request it is busy with
    since: float = 0.0  # time.monotonic of its last progress, seconds
    seen: tuple[int, int] | None = None  # then: its steps, and the environment of this one

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    def close_ends(self) -> None:
        """Give up the master's ends."""
        for end in (self.requests, self.steps, self.stacks):
            end.close()
        with suppress(ValueError):  # not even a killed one has to end at once
            self.process.close()


def end_workers(handles: dict[int, WorkerHandle], guardian: Guardian) -> dict[int, Failure | None]:
    """End workers and guardian; what idle ones replied that failed to close their environments, or
    None where they did not reply in time.
    """
    idle = {rank: handle for rank, handle in handles.items() if handle.asked is None}
    for handle in idle.values():
        with suppress(OSError):
            send(handle.requests, Quit())
    hurried = len(idle) < len(handles)
    deadline = time.monotonic() + (_HURRIED_GRACE if hurried else GRACE)
    last_words: dict[int, Failure | None] = {}
    for rank, handle in idle.items():
        with suppress(EOFError, OSError):
            if handle.requests.poll(max(0.0, deadline - time.monotonic())):
                reply = receive(handle.requests)
                if isinstance(reply, Failure):
                    last_words[rank] = reply
            elif not hurried:
                last_words[rank] = None
    deadline = time.monotonic() + _HURRIED_GRACE
    for handle in idle.values():
        handle.process.join(max(0.0, deadline - time.monotonic()))
    kill_workers(handles.values())
    guardian.close()
    for handle in handles.values():
        handle.close_ends()
    handles.clear()
    return last_words


def kill_workers(handles: Iterable[WorkerHandle]) -> None:
    """Kill processes, and what they have started."""
    for handle in handles:
        kill_group(handle.pid)  # also for those that have ended: what they started has not
        handle.process.join(5.0)


def limit_waits(socket_fd: int, direction: int, seconds: float) -> None:
    """Have a call that sends or receives (``direction``) give up where nothing moves so long."""
    fraction, whole = math.modf(min(seconds, 1e9))
    timeval = struct.pack("ll", int(whole), int(fraction * 1e6))
    with socket.socket(fileno=os.dup(socket_fd)) as same:
        same.setsockopt(socket.SOL_SOCKET, direction, timeval)
