"""Services that collect runs of many machines: each is written by a thread of its own, so that none
can hold up a run, whatever becomes of it or of the network.
"""

import json
import math
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

from rlpyt.logging.files import write_atomic
from rlpyt.logging.run_state import read_run_state
from rlpyt.logging.statistics import scalar_tag

__all__ = ["RemoteSink", "RunLabel", "Service", "SinkRecords"]

_WAITING = 1000  # rows that may wait for a service
_PATIENCE = 10.0  # seconds that the end of a run waits for one


class RunLabel(NamedTuple):
    """What a run is called in a service."""

    name: str
    run_ID: int
    run_dir: Path
    quiet: bool = False  # print nothing, as far as the service lets that be chosen

    def __str__(self) -> str:
        return f"{self.name}_{self.run_ID}"


class Service(Protocol):
    """One service's way to take a run. Any method may raise anything, and may take long."""

    @property
    def name(self) -> str:
        """What users call it."""

    def begin(self, settings: Mapping[str, Any], run_id: str | None) -> str:
        """Begin a run, or continue the service's run ``run_id``; returns its id."""

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Take one row: finite values by tag, such as ``Return/Average``."""

    def close(self, *, success: bool) -> None:
        """The run is over."""


@final
class SinkRecords:
    """``sinks.json`` of a run directory: of each service the run's id there and the last step that
    it was sent.
    """

    def __init__(self, run_dir: Path) -> None:
        """Read what is there."""
        self._path = run_dir / "sinks.json"
        self._lock = threading.Lock()
        self._records: dict[str, dict[str, Any]] = {}
        with suppress(OSError, ValueError, TypeError):  # the first time; or lost: a run begins anew
            self._records = dict(json.loads(self._path.read_bytes()))

    def get(self, key: str) -> tuple[str | None, int]:
        """(id, step) of the service ``key``; (None, -1) before the first time."""
        record = self._records.get(key, {})
        return record.get("id"), int(record.get("step", -1))

    def set(self, key: str, run_id: str, step: int) -> None:
        """Keep them.

        Raises:
            OSError: where the file cannot be written.
        """
        with self._lock:
            self._records[key] = {"id": run_id, "step": step}
            content = json.dumps(self._records, indent=2)
            write_atomic(self._path, f"{content}\n".encode())


@final
@dataclass
class RemoteSink:
    """A sink whose service is spoken to by a daemon thread.

    Rows wait in a queue; when it is full, further ones are left out. A resumed run continues its
    run in the service, and does not send again what was sent: those rows are the same.
    """

    service: Service
    key: str  # in sinks.json
    records: SinkRecords
    run_dir: Path
    waiting: int = _WAITING  # rows
    patience: float = _PATIENCE  # seconds
    _failure: str = field(default="", init=False)
    _given: int = field(default=0, init=False)  # rows
    _taken: int = field(default=0, init=False)  # of those, by the service; the thread counts
    _settings: Mapping[str, Any] = field(default_factory=dict, init=False)
    _run_id: str | None = field(default=None, init=False)
    _step: int = field(default=-1, init=False)  # the last that was sent
    _thread: threading.Thread | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # None only wakes the thread up, to see that it is closing.
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(self.waiting)
        self._closing = threading.Event()

    @property
    def name(self) -> str:
        """The service's."""
        return self.service.name

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Start the thread, which begins the run or continues it."""
        self._settings = settings
        if self._thread is None:
            self._run_id, self._step = self.records.get(self.key)
            # A daemon: where it hangs it does not keep the process.
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Let the row be sent; at once.

        Raises:
            OSError: where the service has failed meanwhile.
        """
        self._check()
        if self._thread is None:
            self.begin({})
        finite = {scalar_tag(name): float(x) for name, x in values.items() if math.isfinite(x)}
        self._given += 1
        with suppress(queue.Full):
            self._queue.put_nowait(partial(self._send, finite, step))

    def restart(self, step: int) -> None:
        """Nothing is to be done: what comes again has been sent."""

    def close(self) -> None:
        """Wait for what is to be sent, but not for long.

        Raises:
            OSError: where rows are missing in the service, saying how many.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        with suppress(queue.Full):  # then the thread has a row to wake up for
            self._queue.put_nowait(None)
        thread.join(self.patience)
        self._check()
        missing = self._given - self._taken
        if thread.is_alive():
            what = f"it does not answer, {missing} rows are missing after {self.patience:g} s"
            raise OSError(what)
        if missing:
            raise OSError(f"it did not keep up, {missing} rows are missing")

    def _check(self) -> None:
        if self._failure:
            raise OSError(self._failure)

    def _work(self) -> None:
        """The thread's course: one call of the service after the other, until the sink is closed
        and no row is left, or a call fails.
        """
        try:
            self._run_id = self.service.begin(self._settings, self._run_id)
            self.records.set(self.key, self._run_id, self._step)
            while not (self._closing.is_set() and self._queue.empty()):
                action = self._queue.get()
                if action is not None:
                    action()
            self.service.close(success=_ended_well(self.run_dir))
        except Exception as error:  # whatever a service raises, the run goes on
            first_line = str(error).strip().partition("\n")[0]
            self._failure = f"{type(error).__name__}: {first_line}"

    def _send(self, values: Mapping[str, float], step: int) -> None:
        if step > self._step:
            self.service.write(values, step)
            self._step = step
            assert self._run_id is not None
            self.records.set(self.key, self._run_id, step)
        self._taken += 1


def _ended_well(run_dir: Path) -> bool:
    """Whether the run is done; one without a state is no runner's, and over when it says."""
    return read_run_state(run_dir) in ("done", None)
