"""When a run saves, and what follows where it cannot."""

import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, final

from rlpyt.checkpoint.background import BackgroundWriter, Label
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["RunSaver"]

_COST = 50.0  # by default, training takes at least so many times as long as the saving between
_MAX_FAILURES = 3  # consecutive checkpoints that may fail before the run stops


@final
class RunSaver:
    """Saves after every ``interval`` iterations; by default at each log row, as far as that costs
    under 2 % of the time.

    In the ``background``, the run goes on while a copy of its state is written: the cost is the
    time that the copy takes, and the processor time of the writing. A failure of the writing is
    reported by a later call.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep: int,
        interval: int | None,
        log_interval: int,
        background: bool = True,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Save below ``directory``; ``before`` is called first, in the thread that writes."""
        self.saved_itr: int | None = None  # iteration of the newest checkpoint
        checkpointer = Checkpointer(directory, keep=keep)
        self._writer = BackgroundWriter(checkpointer, before or (lambda: None))
        self._checkpointer = self._writer.checkpointer
        self._interval = interval
        self._log_interval = log_interval
        self._background = background
        self._last_save = -math.inf  # time.perf_counter, seconds
        self._cost = 0.0  # seconds that the last save took from training
        self._failures = 0

    def due(self, itr: int) -> bool:
        """Whether to save after iteration ``itr``.

        Raises:
            RlpytError: as :meth:`save`, of a checkpoint that was written meanwhile.
        """
        if not self._writer.is_writing:
            self.settle()
        if self._interval is not None:
            return itr % self._interval == 0
        if self._writer.is_writing:
            return False
        waited = time.perf_counter() - self._last_save
        return itr % self._log_interval == 0 and waited >= _COST * self._cost

    def save(self, state: Any, itr: int, cum_steps: int, score: float, *, needed: bool) -> None:
        """Save one checkpoint, once the one before is written; ``score`` chooses the best. Where it
        is ``needed``, because the run ends with it, wait until it is written.

        Raises:
            RlpytError: where one could not be written and is ``needed``, or was the third in a row;
                before that there is a warning, and the run goes on.
        """
        self.settle()
        start = time.perf_counter()
        label = Label(itr, cum_steps, None if math.isnan(score) else score)
        wait = needed or not self._background
        self._writer.start(Snapshot.of(state), label, wait=wait)
        self._last_save = time.perf_counter()
        self._cost = self._last_save - start
        if wait:
            self.settle(needed=needed)

    def settle(self, *, needed: bool = False) -> None:
        """Wait for the checkpoint that is being written, and take note of how it ended.

        Raises:
            RlpytError: as :meth:`save`.
        """
        written = self._writer.result()
        if written is None:
            return
        self._cost += written.seconds
        self._last_save = written.ended
        problem = written.problem
        if problem is None:
            self._failures = 0
            self.saved_itr = written.label.itr
            return
        self._failures += 1
        if needed or self._failures >= _MAX_FAILURES:
            raise problem
        message = f"{problem.what}; the run goes on, and saves again at the next checkpoint"
        warnings.warn(message, RuntimeWarning, stacklevel=2)

    def has(self, itr: int) -> bool:
        """Whether there is a checkpoint of iteration ``itr``, once what is being written is there.

        Raises:
            RlpytError: as :meth:`save`.
        """
        self.settle()
        return self.saved_itr == itr

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As a context's end: a checkpoint that is being written is whole before the run ends,
        unless it is to end at once.
        """
        self._writer.close(give_up=isinstance(error, SystemExit | KeyboardInterrupt))
        try:
            self.settle()
        except RlpytError as unwritten:
            if error is None:
                raise
            warnings.warn(unwritten.what, RuntimeWarning, stacklevel=2)  # the error counts

    def load_newest(self, world: World) -> dict[str, Any]:
        """The newest checkpoint that is sound in all processes.

        Raises:
            RlpytError: ``checkpoint``, where there is none.
        """
        if world.size == 1:
            state, manifest = self._checkpointer.load_latest()
            self.saved_itr = manifest.itr
            loaded: dict[str, Any] = state
            return loaded
        paths = self._checkpointer.saved()
        common = set.intersection(*map(set, world.gather(sorted(paths))))
        problems: list[str] = []
        for itr in sorted(common, reverse=True):
            problem = None
            try:
                loaded, _manifest = self._checkpointer.load(paths[itr])
            except RlpytError as error:
                problem = f"rank {world.rank}: {error.what} ({error.where})"
            found = [told for told in world.gather(problem) if told is not None]
            if not found:
                if problems:
                    message = f"fell back to iteration {itr}: {'; '.join(problems)}"
                    warnings.warn(message, RuntimeWarning, stacklevel=2)
                self.saved_itr = itr
                return loaded
            problems += found
        what = "there is no checkpoint that all ranks have"
        where = str(self._checkpointer.directory)
        hint = "resume with as many ranks as the run had"
        raise RlpytError("checkpoint", "; ".join([what, *problems]), where=where, hint=hint)
