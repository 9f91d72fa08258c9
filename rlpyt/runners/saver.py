"""When a run saves, and what its directory says of it."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any, final

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.logging.logger import Logger

__all__ = ["RunSaver", "read_run_state", "write_run_state"]

_STATE = "state.json"
_COST = 50.0  # by default, training takes at least so many times as long as the saving between


@final
class RunSaver:
    """Saves after every ``interval`` iterations; by default at each log row, as far as that costs
    under 2 % of the time.
    """

    def __init__(
        self, logger: Logger, *, keep: int, interval: int | None, log_interval: int
    ) -> None:
        """Save below the directory of ``logger``."""
        self.logger = logger
        self._checkpointer = Checkpointer(logger.run_dir / "checkpoints", keep=keep)
        self._interval = interval
        self._log_interval = log_interval
        self._last_save = -math.inf  # time.perf_counter, seconds
        self._cost = 0.0  # seconds that the last save took

    def due(self, itr: int) -> bool:
        """Whether to save after iteration ``itr``."""
        if self._interval is not None:
            return itr % self._interval == 0
        waited = time.perf_counter() - self._last_save
        return itr % self._log_interval == 0 and waited >= _COST * self._cost

    def save(self, state: dict[str, Any], itr: int, cum_steps: int, score: float) -> None:
        """Write one checkpoint; ``score`` chooses the best."""
        start = time.perf_counter()
        self._checkpointer.save(
            state, itr=itr, cum_steps=cum_steps, score=None if math.isnan(score) else score
        )
        self._last_save = time.perf_counter()
        self._cost = self._last_save - start

    def load_latest(self) -> dict[str, Any]:
        """The newest sound checkpoint."""
        state, _manifest = self._checkpointer.load_latest()
        loaded: dict[str, Any] = state
        return loaded


def write_run_state(run_dir: Path, state: str) -> None:
    """Say in ``state.json`` what became of the run: running, done, interrupted, preempted or
    failed(<code>).
    """
    temporary = run_dir / f".{_STATE}.tmp"
    temporary.write_text(json.dumps({"state": state, "pid": os.getpid()}) + "\n")
    temporary.replace(run_dir / _STATE)


def read_run_state(run_dir: Path) -> str | None:
    """What ``state.json`` says; None where there is none."""
    path = run_dir / _STATE
    if not path.is_file():
        return None
    state: str = json.loads(path.read_text())["state"]
    return state
