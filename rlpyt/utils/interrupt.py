"""Signals: the first asks a run to end well, the second ends it."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import final

__all__ = ["StopRequest", "at_second_signal", "ignore_signals", "stop_on_signals"]


@final
@dataclass
class StopRequest:
    """Which signal has asked for an end; false until one has."""

    signum: int = 0

    def __bool__(self) -> bool:
        return self.signum != 0

    @property
    def name(self) -> str:
        """The signal's name, e.g. ``SIGINT``."""
        return signal.Signals(self.signum).name

    @property
    def exit_code(self) -> int:
        """What shells expect of a program that this signal has ended: 130 or 143."""
        return 128 + self.signum

    @property
    def outcome(self) -> str:
        """What became of the run: ``preempted`` by SIGTERM, else ``interrupted``."""
        return "preempted" if self.signum == signal.SIGTERM else "interrupted"


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside, SIGINT and SIGTERM set the StopRequest; a second one raises SystemExit at once.

    Outside the main thread, where Python delivers no signals, the request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        if request:
            raise SystemExit(request.exit_code)
        request.signum = signum
        message = f"\n{request.name}: ending this iteration and saving; once more ends at once\n"
        with suppress(OSError):  # straight to the descriptor: a stream may be in mid-write
            os.write(2, message.encode())

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def at_second_signal(action: Callable[[], None]) -> Iterator[None]:
    """Inside, a second SIGINT or SIGTERM does ``action`` at once, in another thread: Python's own
    handlers do not run while the main thread waits in compiled code, say for another process that
    ``action`` should end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    near, far = socket.socketpair()
    far.setblocking(False)

    def listen() -> None:
        heard = 0
        while byte := near.recv(1):
            heard += byte[0] in (signal.SIGINT, signal.SIGTERM)
            if heard == 2:
                action()

    before = signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        far.close()
        listener.join()
        near.close()


def ignore_signals() -> None:
    """Leave SIGINT, SIGTERM and SIGHUP to the process that started this one, which had them held
    back until now.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
