"""``state.json`` of a run directory: whether the run goes on, and how it has ended."""

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, final

from rlpyt.logging.files import directory_error, write_atomic
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import StopRequest

__all__ = ["RunState", "read_run_state", "write_run_state"]

_STATE = "state.json"


@final
@dataclass
class RunState:
    """Context that keeps the run directory's ``state.json`` true, however the run inside ends.

    Raises:
        RlpytError: ``directory``, on entering, where it cannot be written; ``exit``, where
            something inside, an environment say, called ``sys.exit``.
    """

    run_dir: Path
    stop: StopRequest
    is_complete: Callable[[], bool]  # or paused, where nothing else has ended it

    def __enter__(self) -> Self:
        write_run_state(self.run_dir, "running")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            write_run_state(self.run_dir, self._outcome(error))
        except RlpytError as unwritten:
            if error is None:
                raise
            warnings.warn(unwritten.what, RuntimeWarning, stacklevel=2)  # the error counts
        if isinstance(error, SystemExit) and not self.stop:
            what = f"the run was ended by sys.exit({error.code!r})"
            hint = "let environments and models raise an exception instead"
            raise RlpytError("exit", what, hint=hint) from error

    def _outcome(self, error: BaseException | None) -> str:
        if error is None:
            return "done" if self.is_complete() else "paused"
        if isinstance(error, RlpytError):
            return f"failed({error.code})"
        if isinstance(error, KeyboardInterrupt) or (self.stop and isinstance(error, SystemExit)):
            return self.stop.outcome
        if isinstance(error, SystemExit):
            return "failed(exit)"
        return f"failed({type(error).__name__})"


def write_run_state(run_dir: Path, state: str) -> None:
    """Say in ``state.json`` what became of the run: running, done, paused, interrupted, preempted
    or failed(<code>); converted, where it was another library's.

    Raises:
        RlpytError: ``directory``, where it cannot be written.
    """
    content = json.dumps({"state": state, "pid": os.getpid()})
    try:
        write_atomic(run_dir / _STATE, f"{content}\n".encode())
    except OSError as error:
        raise directory_error(run_dir / _STATE, error) from error


def read_run_state(run_dir: Path) -> str | None:
    """What ``state.json`` says; None where there is none, or what is there is no state."""
    try:
        state = json.loads((run_dir / _STATE).read_bytes())["state"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return state if isinstance(state, str) else None
