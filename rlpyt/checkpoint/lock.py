"""One run per directory: a lock that names its holder and that no crash can leave behind."""

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import is_alive

__all__ = ["RunLock"]

_NAME = ".lock"
_PATIENCE = (
    1.0  # seconds for a holder to write its name, or for the last children of a dead one to end
)
_POLL = 0.02  # seconds


@final
@dataclass
class RunLock:
    """Context in which this process alone may write into ``run_dir``, which it creates if need be.

    The operating system holds the lock (``flock``) on ``<run_dir>/.lock`` and lets go of it when
    the holder dies, however it dies. The file says who holds it, as JSON: ``pid``, ``host``,
    ``start`` (UTC, ISO 8601). It is removed on leaving.

    Raises:
        RlpytError: ``directory``, on entering, if another run holds the lock (naming it), or if
            ``run_dir`` cannot be created or written.
    """

    run_dir: Path
    _descriptor: int | None = field(default=None, init=False, repr=False, compare=False)

    def __enter__(self) -> Self:
        try:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._acquire()
        except OSError as error:
            raise RlpytError(
                "directory",
                f"cannot use {self.run_dir} as a run directory: {error.strerror} "
                f"({errno.errorcode.get(error.errno or 0)})",
                where=str(error.filename or self.run_dir),
                hint="choose a directory that can be written",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._descriptor is not None
        if self._is_current(self._descriptor):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    @property
    def _path(self) -> Path:
        return self.run_dir / _NAME

    def _acquire(self) -> int:
        """The open, locked file; child processes that execute a new program do not inherit it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            acquired = False
            try:
                acquired = self._try(descriptor, last=time.monotonic() > deadline)
            finally:
                if not acquired:
                    os.close(descriptor)
            if acquired:
                return descriptor
            time.sleep(_POLL)

    def _try(self, descriptor: int, *, last: bool) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            if last or _is_running(holder):
                raise self._taken(holder) from None
            return False
        if not self._is_current(descriptor):
            return False  # the holder before removed the file between our opening and locking it
        os.ftruncate(descriptor, 0)
        start = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"pid": os.getpid(), "host": socket.gethostname(), "start": start}
        os.pwrite(descriptor, json.dumps(content).encode() + b"\n", 0)
        return True

    def _is_current(self, descriptor: int) -> bool:
        """Whether the open file is still the one at the path."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _taken(self, holder: dict[str, Any]) -> RlpytError:
        return RlpytError(
            "directory",
            f"{self.run_dir} is in use by process {holder.get('pid', 'unknown')} "
            f"on host {holder.get('host', 'unknown')} since {holder.get('start', 'unknown')}",
            where=str(self._path),
            hint="wait for that run to end, stop it, or choose another directory",
        )


def _holder(descriptor: int) -> dict[str, Any]:
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}  # not written yet
    return content if isinstance(content, dict) else {}


def _is_running(holder: dict[str, Any]) -> bool:
    """Whether the holder is known and alive; on another host it counts as alive."""
    pid = holder.get("pid")
    if not isinstance(pid, int):
        return False
    return holder.get("host") != socket.gethostname() or is_alive(pid)
