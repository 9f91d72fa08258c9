"""A run in a queue: what is to be run, and what has become of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, final

from rlpyt.launch.json_file import json_value
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ProcessIdentity

__all__ = ["QueueState", "QueuedRun", "RunSpec"]

QueueState = Literal["queued", "running", "done", "failed", "stopped"]
"""Of a run: it waits, goes on, ended well, ended otherwise, or was stopped by somebody."""


@final
@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """What is to be run: ``command <slot>slt_<code> <log_dir> <run_ID> *args``, in ``cwd``.

    ``run_ID`` is also what a run is to use as its seed.
    """

    command: Sequence[str]  # the program, and what stands before the slot: (python, script)
    cwd: str
    log_dir: str = ""  # of the variant, below the experiment's: "learning_rate=0.001/env=Pong"
    run_ID: int = 0
    variant: Mapping[str, Any]
    args: Sequence[str] = ()
    priority: int = 0  # higher is sooner
    retries: int = 1  # how many failures are tried again

    def __post_init__(self) -> None:
        """Raise ``queue`` for what no queue can have."""
        path = PurePosixPath(self.log_dir)
        if path.is_absolute() or ".." in path.parts:
            what = f"log_dir {self.log_dir!r} leads out of the experiment's directory"
            raise RlpytError("queue", what, hint="use make_variants, or a name")
        if self.run_ID < 0 or self.retries < 0:
            what = f"run_ID={self.run_ID}, retries={self.retries}"
            raise RlpytError("queue", what, hint="use 0 or more")
        if not self.command:
            raise RlpytError("queue", "an empty command", hint="give [sys.executable, script]")

    @property
    def name(self) -> str:
        """Its directory below the experiment's: ``lr=0.001/run_3``."""
        return str(PurePosixPath(self.log_dir) / f"run_{self.run_ID}")

    def as_json(self) -> str:
        """What is to be run, in parts."""
        parts = {
            "command": list(self.command),
            "cwd": self.cwd,
            "variant": json_value(self.variant, ""),
            "args": list(self.args),
        }
        return json.dumps(parts, sort_keys=True)


@final
@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """A run as it stands in the queue now."""

    id: int  # in the order of their coming
    spec: RunSpec
    state: QueueState
    wanted: Literal["stopped", "queued"] | None  # asked of whoever runs it
    attempts: int  # how often it was started
    failures: int  # how often it ended by itself, and not well
    launcher: int | None  # of the last attempt, as all below
    slot: int | None
    process: ProcessIdentity | None
    exit_code: int | None  # negative: the signal
    reason: str  # why it is in its state, for people
    queued_at: float  # seconds since 1970, as all times
    started_at: float | None
    ended_at: float | None
    seconds: float  # that its attempts took so far, without the one that goes on

    @property
    def name(self) -> str:
        """Its directory below the experiment's."""
        return self.spec.name
