"""Worker processes, and the watch over them: every wait has a deadline and looks who is alive."""

import os
import socket
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, reduction, util
from pickle import PicklingError
from typing import Any, final

import torch

from rlpyt.samplers.failure import (
    WorkerLostError,
    WorkerTraceback,
    died,
    failed,
    hangs,
    oom_kills,
)
from rlpyt.samplers.guardian import Guardian
from rlpyt.samplers.handle import GRACE, WorkerHandle, end_workers, kill_workers, limit_waits
from rlpyt.samplers.meter import CELLS, Meter
from rlpyt.samplers.processes import (
    StartMethod,
    cannot_send,
    cannot_start,
    check_descriptors,
    process_context,
    start_process,
)
from rlpyt.samplers.requests import (
    FAILED,
    HANG_SIGNAL,
    READY,
    Failure,
    WorkerSetup,
    flush,
    receive,
    send,
)
from rlpyt.samplers.worker import worker_main
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.processes import is_alive
from rlpyt.utils.shared_memory import SharedBlock

__all__ = ["WorkerPool"]

_TICK = 0.2  # seconds between two looks at who is alive
_START_PATIENCE = 120.0  # seconds that a process may take to start, over its deadline


class _Meters(NamedArrayTuple):
    counts: Any  # int64 [n_workers, CELLS]
    seconds: Any  # float64 [n_workers, CELLS]


@final
@dataclass(kw_only=True)
class WorkerPool:
    """Starts workers, sends requests, gathers replies, and tells what became of a lost one.

    Raises, in every method that waits:
        WorkerLostError: for a worker that died, hangs, or replied with a failure.
    """

    setups: Sequence[WorkerSetup]
    envs: Sequence[str]  # of each worker, for errors: "4-7"
    timeout: float  # seconds without progress that make a worker one that hangs
    start_method: StartMethod
    _handles: dict[int, WorkerHandle] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.setups)
        check_descriptors(n)
        counts = torch.empty(n, CELLS, dtype=torch.int64, device="meta")
        seconds = torch.empty(n, CELLS, dtype=torch.float64, device="meta")
        self.meters = SharedBlock.allocate(_Meters(counts, seconds), "the counters")
        self._oom_kills = oom_kills()
        try:
            self._guardian = Guardian()
        except OSError as error:
            self.meters.close()
            raise cannot_start(error) from error
        # Whoever forgets to close: before multiprocessing waits for children at exit.
        self._finalizer = util.Finalize(
            self, end_workers, (self._handles, self._guardian), exitpriority=9
        )
        try:
            for rank in range(n):
                self.start(rank)
        except BaseException:
            self.close()
            raise

    def start(self, rank: int) -> None:
        """Start worker ``rank``, in place of one that was lost if there was one."""
        if rank in self._handles:
            self._end_one(rank)
        pairs = [socket.socketpair() for _ in ("steps", "stacks")]
        (steps, worker_steps), (stacks, worker_stacks) = pairs
        context = process_context(self.start_method)
        requests, worker_requests = context.Pipe()
        args = (self.setups[rank], worker_requests, worker_steps, worker_stacks)
        process = context.Process(target=worker_main, args=args, name=f"rlpyt worker {rank}")
        stacks.setblocking(False)
        limit_waits(steps.fileno(), socket.SO_RCVTIMEO, _TICK)
        for direction in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # in the middle of a message
            limit_waits(requests.fileno(), direction, self.timeout)
        try:
            start_process(process, torch_threads=self.setups[rank].torch_threads)
        except BaseException:
            for end in (requests, steps, stacks):
                end.close()
            raise
        finally:
            for end in (worker_requests, worker_steps, worker_stacks):
                end.close()
        tree = self.meters.tree
        meter = Meter(tree.counts[rank].numpy(), tree.seconds[rank].numpy())
        self._handles[rank] = WorkerHandle(process, requests, steps, stacks, meter)
        self._guardian.watch(process.pid or 0)

    def meter(self, rank: int) -> Meter:
        """The counters of a worker."""
        return self._handles[rank].meter

    def pid(self, rank: int) -> int:
        """The process id of a worker."""
        return self._handles[rank].pid

    def send(self, rank: int, request: Any, fds: Iterable[int] = ()) -> None:
        """Ask worker ``rank`` for something; file descriptors follow the request."""
        handle = self._handles[rank]
        handle.asked = type(request).__name__.lower()
        handle.since, handle.seen = time.monotonic(), None
        try:
            send(handle.requests, request)
            for fd in fds:
                reduction.send_handle(handle.requests, fd, handle.pid)
        except BlockingIOError:
            raise self._hanging(rank, time.monotonic() - handle.since) from None
        except OSError:
            raise self._lost(rank) from None
        except (AttributeError, TypeError, PicklingError) as error:
            handle.asked = None  # nothing was sent
            raise cannot_send(error) from error

    def gather(
        self, ranks: Iterable[int], replies: dict[int, Any], *, patience: float = 1.0
    ) -> None:
        """Wait for these workers' replies, and put them into ``replies``, by rank; the deadline
        counts ``patience`` times.
        """
        waiting = {self._handles[rank].requests: rank for rank in ranks}
        while waiting:
            answered = connection.wait(list(waiting), _TICK)
            for ready in answered:
                rank = waiting.pop(ready)  # type: ignore[call-overload]  # one of these
                replies[rank] = self._reply(rank)
            if not answered:
                for rank in waiting.values():
                    self.look_after(rank, patience=patience)

    def await_step(self, rank: int) -> None:
        """Wait until worker ``rank`` hands over a row."""
        handle = self._handles[rank]
        while True:
            try:
                told = handle.steps.recv(1)
            except BlockingIOError:  # nothing for a tick
                self.look_after(rank)
                continue
            except OSError:
                told = b""
            if not told:
                raise self._lost(rank)
            if told == FAILED:
                self._reply(rank)  # raises what it says
            return

    def answer_step(self, rank: int) -> None:
        """Tell worker ``rank`` that its actions are there."""
        handle = self._handles[rank]
        handle.since = time.monotonic()
        with suppress(OSError):  # the next wait will tell what became of it
            handle.steps.send(READY)

    def drain(self) -> None:
        """Have every worker give up what it was asked for, or raise what became of it."""
        for rank, handle in self._handles.items():
            if handle.asked is not None and self.setups[rank].agent is None:
                with suppress(OSError):  # it waits for actions, or will
                    handle.steps.send(FAILED)
            while handle.asked is not None:
                try:
                    self.gather([rank], {})
                except WorkerLostError:
                    if handle.asked is not None:  # that was no reply
                        raise
            flush(handle.steps)

    def _reply(self, rank: int) -> Any:
        handle = self._handles[rank]
        try:
            reply = receive(handle.requests)
        except BlockingIOError:
            raise self._hanging(rank, time.monotonic() - handle.since) from None
        except (EOFError, OSError):
            raise self._lost(rank) from None
        handle.asked, handle.ready = None, True
        if isinstance(reply, Failure):
            with suppress(BlockingIOError):  # it told that it failed on both ways
                handle.steps.recv(1, socket.MSG_DONTWAIT)
            raise self._failed(rank, reply)
        return reply

    def look_after(self, rank: int, *, patience: float = 1.0) -> None:
        """Raise if worker ``rank`` is dead, or has made no progress for too long."""
        handle = self._handles[rank]
        if not is_alive(handle.pid) and not handle.requests.poll():
            raise self._lost(rank)
        now, seen = time.monotonic(), (handle.meter.steps, int(handle.meter.env_row[0]))
        if seen != handle.seen:
            handle.since, handle.seen = now, seen
        allowed = self.timeout * patience + (0.0 if handle.ready else _START_PATIENCE)
        if now - handle.since > allowed:
            raise self._hanging(rank, now - handle.since)

    def _who(self, rank: int) -> tuple[str, str]:
        handle = self._handles[rank]
        where = f"pid {handle.pid}, envs {self.envs[rank]}, its step {handle.meter.steps}"
        return f"worker {rank}", where + (f", in {handle.asked!r}" if handle.asked else "")

    def _lost(self, rank: int) -> WorkerLostError:
        """What became of a worker that does not answer any more."""
        handle = self._handles[rank]
        handle.process.join(1.0)
        starting, oom = not handle.ready, oom_kills() > self._oom_kills
        error = died(handle.process.exitcode, *self._who(rank), starting=starting, oom=oom)
        return WorkerLostError(rank, error)

    def _failed(self, rank: int, failure: Failure) -> WorkerLostError:
        who, where = self._who(rank)
        return WorkerLostError(rank, failed(failure.error, failure.traceback, f"{who}, {where}"))

    def _hanging(self, rank: int, seconds: float) -> WorkerLostError:
        """Ask a worker where it stands, and end it."""
        handle = self._handles[rank]
        with suppress(ProcessLookupError):
            os.kill(handle.pid, HANG_SIGNAL)
        capsule, index = None, None
        with suppress(EOFError, OSError):
            if handle.requests.poll(1.0):
                told = receive(handle.requests)
                if isinstance(told, Failure) and told.error.capsule is not None:
                    capsule = told.error.capsule
                    index = capsule.get("env_index")
        stack = b""
        with suppress(BlockingIOError):
            stack = handle.stacks.recv(1 << 20)
        env = "" if index is None else f" in env {index}"
        error = hangs(seconds, *self._who(rank), stack.decode(errors="replace"), env=env)
        error.capsule = capsule
        kill_workers([handle])
        return WorkerLostError(rank, error, hangs=True)

    def _end_one(self, rank: int) -> None:
        handle = self._handles.pop(rank)
        kill_workers([handle])
        self._guardian.forget(handle.pid)
        handle.close_ends()

    def close(self) -> None:
        """End all workers: politely where they listen, and with what they have started.

        Raises:
            RlpytError: what an environment raised in its ``close``, unless another error is on its
                way.
        """
        last_words: dict[int, Failure | None] = self._finalizer() or {}
        self.meters.close()
        for rank, failure in last_words.items():
            if failure is None:
                message = f"worker {rank} did not close its environments within {GRACE:g} s"
                warnings.warn(f"{message} and was killed", RuntimeWarning, stacklevel=2)
            elif sys.exception() is None:
                raise failure.error from WorkerTraceback(failure.traceback)
