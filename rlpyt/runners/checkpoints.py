"""The checkpoints of a run, as one process of its world has a part in them."""

import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.logging.logger import Logger
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.saver import RunSaver
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import readable
from rlpyt.utils.world import World

__all__ = ["RunCheckpoints", "checkpoint_size"]

_REPLAY = "algo/replay/"
_LEARNED = ("agent/", "algo/")
_MOMENTS = 2  # numbers that Adam keeps for each parameter, once it has taken a step
_WORTH_SAYING = 2**28  # bytes
_ROOM_FOR_ROWS = 2**16  # bytes of text: values and episodes that wait for a row of the log


@final
class RunCheckpoints:
    """All processes of a run save their parts at the same iteration. A process that is alone goes
    on while its part is written. Several wait: the first one's part, without which those of the
    others do not count, is written last.
    """

    def __init__(self, runner: BaseRunner, world: World, logger: Logger | None) -> None:
        """Below the first process's run directory, where it has a ``logger``."""
        self.replay_size = 0  # bytes, when it is full
        self._runner, self._world, self._logger = runner, world, logger
        self._is_forecast = False
        self._saver: RunSaver | None = None
        run_dir = world.gather(None if logger is None else logger.run_dir)[0]
        if run_dir is None:
            return
        steps = runner.checkpoint_interval_steps
        directory: Path = run_dir / "checkpoints"
        self._directory = directory / f"rank_{world.rank}" if world.rank else directory
        self._saver = RunSaver(
            self._directory,
            # The first may end before its part is saved: the others keep one more.
            keep=runner.keep_checkpoints + bool(world.rank),
            interval=None if steps is None else max(1, steps // runner.steps_per_itr),
            log_interval=runner.log_interval_itr,
            background=world.size == 1,
            before=None if logger is None else logger.sync,
        )

    def is_due(self, itr: int) -> bool:
        """Whether to save now, as the first process sees it."""
        saver = self._saver if self._world.is_first else None
        return saver is not None and saver.due(itr)

    def load(self) -> dict[str, Any]:
        """The state in the newest checkpoint that is sound in all processes.

        Raises:
            RlpytError: ``checkpoint``, where there is none; ``config``, without a logger.
        """
        if self._saver is None:
            raise RlpytError("config", "resume=True without a logger", hint="pass the run's logger")
        return self._saver.load_newest(self._world)

    def save(
        self, itr: int, state_dict: Callable[[], Mapping[str, Any]], score: float, *, needed: bool
    ) -> None:
        """Each its own part; the first, whose part makes the others' count, last, and only where
        all of them could: it would push out older ones that all have. All again at the next time
        where one could not.

        Raises:
            RlpytError: as :meth:`RunSaver.save`.
        """
        if self._saver is None:
            return
        [is_due] = self._world.any([not self._saver.has(itr)])
        if not is_due:
            return
        snapshot = Snapshot.of(state_dict())
        self._forecast(snapshot, itr)
        is_first, cum_steps = self._world.is_first, self._runner.cum_steps
        if not is_first:
            self._saver.save(snapshot, itr, cum_steps, score, needed=needed)
        self._world.meet()
        [is_lacking] = self._world.any([not is_first and not self._saver.has(itr)])
        if is_first and not is_lacking:
            self._saver.save(snapshot, itr, cum_steps, score, needed=needed)
        self._world.meet()

    def close(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """As a context's end, see :meth:`RunSaver.close`."""
        if self._saver is not None:
            self._saver.close(kind, error, trace)

    def _forecast(self, snapshot: Snapshot, itr: int) -> None:
        """Say, once, how much room the checkpoints will take; warn where there is less."""
        if self._is_forecast or self._logger is None:
            return
        self._is_forecast = True
        size = checkpoint_size(snapshot, replay_size=self.replay_size)
        kept = self._runner.keep_checkpoints
        total = size * (kept + 2)  # the best too, and the one that is being written
        each = f" in each of {self._world.size} ranks" * (self._world.size > 1)
        text = f"a checkpoint takes up to {readable(size)}, all of them {readable(total)}{each}"
        self._logger.text(text, itr, show=size >= _WORTH_SAYING)
        free = shutil.disk_usage(self._logger.run_dir).free
        if total > free:
            message = (
                f"{text}, and {readable(free)} are free in {self._logger.run_dir}: free some "
                f"space, or keep fewer (keep_checkpoints={kept})"
            )
            warnings.warn(message, RuntimeWarning, stacklevel=2)


def checkpoint_size(snapshot: Snapshot, *, replay_size: int) -> int:
    """Bytes that a checkpoint will take at most, once the replay is full and the optimizer has
    taken a step, where the run's state is ``snapshot`` now.
    """
    sizes = {name: array.nbytes for name, array in snapshot.arrays.items()}
    replay = sum(size for name, size in sizes.items() if name.startswith(_REPLAY))
    learned = sum(size for name, size in sizes.items() if name.startswith(_LEARNED)) - replay
    rest = sum(sizes.values()) - replay - learned
    if not any(name.startswith(_REPLAY) for name in sizes):
        replay_size = 0  # it is left out
    return rest + (1 + _MOMENTS) * learned + max(replay, replay_size) + _ROOM_FOR_ROWS
