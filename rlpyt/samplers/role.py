"""Processes that each do a part of a run - sampling ahead, learning along - and the watch over
them.
"""

import faulthandler
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import connection, reduction, util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, final

import torch

from rlpyt.samplers.failure import WorkerTraceback, died, failed, hangs, oom_kills
from rlpyt.samplers.guardian import Guardian, kill_group
from rlpyt.samplers.processes import StartMethod, cannot_start, process_context, start_process
from rlpyt.samplers.requests import HANG_SIGNAL, Failure, Quit, receive, send
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import ignore_signals
from rlpyt.utils.processes import is_alive

__all__ = ["Body", "Role", "Roles"]

_TICK = 0.2  # seconds between two looks at who is alive
_START_PATIENCE = 120.0  # seconds that a process may take to start, over its deadline
_STACK_PATIENCE = 1.0  # seconds for a stack to come
_GRACE = 5.0  # seconds to end by itself
_HURRIED_GRACE = 0.5  # the same where something has failed

Body = Callable[[Any, Connection], None]
"""What a role does: its setup, and its end of the pipe to the first process."""


@final
class Role:
    """One process, as the first process of the run sees it.

    Raises, in every method that waits:
        RlpytError: what became of it, where it died, hangs, or replied with a failure.
    """

    def __init__(self, name: str, process: BaseProcess, pipe: Connection, stacks: socket.socket):
        """``name`` is what a user knows it by."""
        self.name = name
        self.process = process
        self._pipe, self._stacks = pipe, stacks
        self._oom_kills = oom_kills()
        self._ready = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    def send(self, message: Any, fds: Iterable[int] = ()) -> None:
        """Tell it something; file descriptors follow."""
        try:
            send(self._pipe, message)
            for fd in fds:
                reduction.send_handle(self._pipe, fd, self.pid)
        except OSError:
            raise self._gone() from None

    def receive(self, timeout: float, watch: Callable[[], None] | None = None) -> Any:
        """What it says next, within ``timeout`` seconds; ``watch`` looks after others meanwhile."""
        deadline = time.monotonic() + timeout + (0.0 if self._ready else _START_PATIENCE)
        while not self._pipe.poll(_TICK):
            self.check()
            if watch is not None:
                watch()
            if time.monotonic() > deadline:
                raise self._hanging(timeout)
        self._ready = True
        return self._message()

    def receive_fd(self) -> int:
        """The file descriptor that follows a message."""
        return reduction.recv_handle(self._pipe)

    def has_message(self) -> bool:
        """Whether it has said something that is not yet received, or has gone."""
        return self._pipe.poll()

    def check(self) -> None:
        """Raise where it has died, and said no more."""
        if not is_alive(self.pid) and not self._pipe.poll():
            raise self._gone()

    def check_alive(self) -> None:
        """Raise where it has died, whatever it has said; what it failed with, if it said so."""
        if not is_alive(self.pid):
            raise self._gone()

    def end(self) -> None:
        """Let it end by itself, where it listens; raise what it fails with then."""
        self.ask_to_quit()
        connection.wait([self._pipe, self.process.sentinel], _GRACE)
        self.raise_last_words()

    def raise_last_words(self) -> None:
        """Raise what it has failed with, if it said so and nobody has heard it yet."""
        with suppress(EOFError, OSError):
            if self._pipe.poll() and isinstance(last := receive(self._pipe), Failure):
                raise self._failed(last)

    def _message(self) -> Any:
        try:
            message = receive(self._pipe)
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(message, Failure):
            raise self._failed(message)
        return message

    def _failed(self, failure: Failure) -> RlpytError:
        return failed(failure.error, failure.traceback, f"{self.name}, pid {self.pid}")

    def _gone(self) -> RlpytError:
        try:
            self.raise_last_words()
        except RlpytError as failed:
            return failed
        self.process.join(1.0)
        oom, where = oom_kills() > self._oom_kills, f"pid {self.pid}"
        starting = not self._ready
        return died(self.process.exitcode, self.name, where, starting=starting, oom=oom)

    def _hanging(self, seconds: float) -> RlpytError:
        where, stack = f"pid {self.pid}", self.stack()
        return hangs(seconds, self.name, where, stack, hint="raise the timeout")

    def stack(self) -> str:
        """Where it is in Python, innermost call first; empty where it cannot say."""
        stack = b""
        with suppress(OSError):
            os.kill(self.pid, HANG_SIGNAL)
            self._stacks.settimeout(_STACK_PATIENCE)
            while part := self._stacks.recv(1 << 20):  # it comes word by word
                stack += part
                self._stacks.settimeout(_STACK_PATIENCE / 10)
        return stack.decode(errors="replace")

    def close_ends(self) -> None:
        """Give up this process's ends."""
        self._pipe.close()
        self._stacks.close()
        with suppress(ValueError):  # not even a killed one has to end at once
            self.process.close()

    def ask_to_quit(self) -> None:
        """Let it end by itself, if it listens."""
        with suppress(OSError):
            send(self._pipe, Quit())


@final
class Roles:
    """All processes of a run beside its first, which end with it, however it ends."""

    def __init__(self, start_method: StartMethod) -> None:
        """None yet."""
        self._start_method = start_method
        self._roles: list[Role] = []
        try:
            self._guardian = Guardian()
        except OSError as error:
            raise cannot_start(error) from error
        self._finalizer = util.Finalize(self, _end, (self._roles, self._guardian), exitpriority=9)

    def start(self, name: str, body: Body, setup: Any, *, torch_threads: int) -> Role:
        """Start a process that does ``body(setup, pipe)``."""
        context = process_context(self._start_method)
        pipe, far_pipe = context.Pipe()
        stacks, far_stacks = socket.socketpair()
        args = (body, setup, far_pipe, far_stacks, torch_threads)
        process = context.Process(target=_role_main, args=args, name=f"rlpyt {name}")
        try:
            start_process(process, torch_threads=torch_threads)
        except BaseException:
            pipe.close()
            stacks.close()
            raise
        finally:
            far_pipe.close()
            far_stacks.close()
        role = Role(name, process, pipe, stacks)
        self._roles.append(role)
        self._guardian.watch(role.pid)
        return role

    def check(self) -> None:
        """Raise what became of a process that has died."""
        for role in self._roles:
            role.check_alive()

    def explain(self, error: RlpytError, patience: float) -> RlpytError:
        """The cause of ``error``, by which this process has noticed that another has gone: the
        first error of another code that a process reports, or its death. Where none comes within
        ``patience`` seconds: ``error`` itself, with the stacks of the processes that reported
        nothing.
        """
        deadline = time.monotonic() + patience
        silent = list(self._roles)
        while silent and time.monotonic() < deadline:
            for role in list(silent):
                try:
                    if role.has_message():
                        role.receive(_TICK)
                    role.check()
                except RlpytError as found:
                    if found.code != error.code:
                        return found
                    silent.remove(role)
            time.sleep(0.01)
        stacks = [
            f"{role.name}, pid {role.pid}:\n{stack}" for role in silent if (stack := role.stack())
        ]
        if stacks:
            error.__cause__ = WorkerTraceback("\n".join(stacks))
        return error

    def kill(self) -> None:
        """End them at once; this process's exchanges with them fail then."""
        for role in self._roles:
            kill_group(role.pid)

    def close(self) -> None:
        """End all processes. Those that listen end by themselves; they have less time for it where
        an error is on its way. Where none is, raise what they fail with at their end.
        """
        hurried = sys.exception() is not None
        for role in self._roles:
            role.ask_to_quit()
        deadline = time.monotonic() + (_HURRIED_GRACE if hurried else _GRACE)
        waiting = [role.process.sentinel for role in self._roles]
        while waiting and time.monotonic() < deadline:
            ended = connection.wait(waiting, max(0.0, deadline - time.monotonic()))
            waiting = [sentinel for sentinel in waiting if sentinel not in ended]
        try:
            if not hurried:
                for role in self._roles:
                    role.raise_last_words()
        finally:
            self._finalizer()


def _end(roles: list[Role], guardian: Guardian) -> None:
    _kill(roles)
    for role in roles:
        role.close_ends()
    guardian.close()
    roles.clear()


def _kill(roles: Iterable[Role]) -> None:
    for role in roles:
        kill_group(role.pid)  # also for those that have ended: what they started has not
        role.process.join(5.0)


def _role_main(
    body: Body, setup: Any, pipe: Connection, stacks: socket.socket, torch_threads: int
) -> None:
    """The course of a process: it leads a group of its own, leaves signals to the first process,
    and ends with it.
    """
    with suppress(PermissionError):
        os.setpgid(0, 0)
    ignore_signals()
    faulthandler.register(HANG_SIGNAL, file=stacks, all_threads=False)
    torch.set_num_threads(torch_threads)
    try:
        body(setup, pipe)
    except (EOFError, ConnectionError):  # the first process has gone
        os.killpg(os.getpgrp(), signal.SIGKILL)
    except RlpytError as error:
        _tell(pipe, error)
    except Exception as error:  # a mistake of ours or of a script: told as everything else is
        _tell(pipe, RlpytError("worker", f"{type(error).__name__}: {error}"))


def _tell(pipe: Connection, error: RlpytError) -> None:
    with suppress(OSError):
        send(pipe, Failure(error, traceback.format_exc()))
