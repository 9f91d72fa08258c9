"""Checkpoints that are written while the run goes on."""

import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple, final

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import available_memory, readable

__all__ = ["BackgroundWriter", "Label", "Written"]

_SHARE = 0.5  # of the free memory that a copy may take


class Label(NamedTuple):
    """Of which moment of the run a checkpoint is; ``score`` chooses the best."""

    itr: int
    cum_steps: int
    score: float | None


class Written(NamedTuple):
    """How the writing of a checkpoint has ended."""

    label: Label
    problem: RlpytError | None
    seconds: float  # of a processor, beside the run: 0 where the run has waited
    ended: float  # time.perf_counter, seconds


@final
class _GivenUpError(Exception):
    """Nobody waits for this checkpoint any more."""


@final
class BackgroundWriter:
    """Writes one checkpoint at a time in a thread: the state is copied at once, and the copy is
    written. Where the copy would take more than half of the free memory, the run waits instead.

    What the writing warns of, and its errors, come to the thread that asks, in :meth:`result`.
    """

    def __init__(self, checkpointer: Checkpointer, before: Callable[[], None]) -> None:
        """Save with ``checkpointer``, its warnings kept for :meth:`result`; ``before`` is called
        there first, and raises where nothing should be written.
        """
        self._told: list[str] = []
        self.checkpointer = replace(checkpointer, tell=self._told.append)
        self._before = before
        self._executor: ThreadPoolExecutor | None = None
        self._future: Future[Written] | None = None
        self._given_up = threading.Event()
        self._has_said = False

    @property
    def is_writing(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._future is not None and not self._future.done()

    def start(self, snapshot: Snapshot, label: Label, *, wait: bool = False) -> None:
        """Begin to write ``snapshot``; ``wait`` until it is written, if asked to. What changes in
        the state from now on is no part of it. The :meth:`result` of the one before has been taken.
        """
        assert self._future is None, "one at a time"
        if wait or not self._has_room(snapshot):
            written = self._write(snapshot, label)._replace(seconds=0.0)
            self._future = Future()  # only now: a signal in between must leave none to wait for
            self._future.set_result(written)
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        copied = replace(snapshot.copied(), look=self._look)
        self._future = self._executor.submit(self._write, copied, label)

    def result(self) -> Written | None:
        """How the checkpoint that was begun last has ended, waiting for it; None where that was
        told already. What its writing warned of is warned of now.
        """
        if self._future is None:
            return None
        future, self._future = self._future, None
        written = future.result()
        for message in self._told:
            warnings.warn(message, stacklevel=3)
        self._told.clear()
        return written

    def close(self, *, give_up: bool = False) -> None:
        """End the thread, when it has written what it writes, or has given that up."""
        if give_up:
            self._given_up.set()
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
        if give_up and self._future is not None:
            with suppress(_GivenUpError):
                self._future.result()
            self._future = None

    def _has_room(self, snapshot: Snapshot) -> bool:
        free = available_memory()
        if free is None or snapshot.size <= _SHARE * free:
            return True
        if not self._has_said:
            self._has_said = True
            message = (
                f"a copy of the state takes {readable(snapshot.size)} of memory, "
                f"{readable(free)} are free: the run waits while a checkpoint is written"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=4)
        return False

    def _look(self) -> None:
        if self._given_up.is_set():
            raise _GivenUpError

    def _write(self, snapshot: Snapshot, label: Label) -> Written:
        start, problem = time.thread_time(), None
        try:
            self._before()
            self.checkpointer.save(
                snapshot, itr=label.itr, cum_steps=label.cum_steps, score=label.score
            )
        except RlpytError as error:
            problem = error
        return Written(label, problem, time.thread_time() - start, time.perf_counter())
