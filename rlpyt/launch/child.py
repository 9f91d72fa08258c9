"""The process of a run: how it is started in its slot, and how it is ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import final

from rlpyt.launch.queued_run import QueuedRun, RunSpec
from rlpyt.launch.run_slot import RunSlot
from rlpyt.launch.variant import save_variant
from rlpyt.logging.files import directory_error, make_run_dir
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ends_with_parent

__all__ = ["OUTPUT_FILE", "Child", "run_command"]

OUTPUT_FILE = "output.log"
"""What a run has printed, in its directory."""

_TAIL = 4000  # bytes of it that are searched for the error


def run_command(
    spec: RunSpec, directory: Path, slot_name: str, pinned: Sequence[str] = ()
) -> list[str]:
    """``[taskset -c CPUS] python script <slot>slt_<code> <log_dir> <run_ID> *args``."""
    log_dir = str((directory / spec.log_dir).resolve())
    return [*pinned, *spec.command, slot_name, log_dir, str(spec.run_ID), *spec.args]


@final
class Child:
    """A run that goes on, in a session of its own: signals of a terminal reach the launcher alone.

    It gets SIGTERM when the launcher has ended, however that came, and saves then.
    """

    def __init__(self, run: QueuedRun, directory: Path, slot: RunSlot) -> None:
        """Start it; what it prints goes to ``output.log``.

        Raises:
            RlpytError: ``directory``, where its directory cannot be written; ``launch``, where its
                program cannot be started.
        """
        spec = run.spec
        self.run = run
        self.slot = slot
        self.ends_by_request = False
        run_dir = directory / run.name
        make_run_dir(run_dir)
        save_variant(spec.variant, directory / spec.log_dir)
        self._output = run_dir / OUTPUT_FILE
        command = run_command(spec, directory, slot.name, slot.pinned)
        try:
            with self._output.open("ab") as output:
                self._start = output.tell()
                output.write(_heading(run, command))
                output.flush()
                self._process = subprocess.Popen(
                    command,
                    cwd=spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **slot.environment},
                    start_new_session=True,
                    preexec_fn=ends_with_parent(),
                )
        except OSError as error:
            if str(error.filename) == str(self._output):
                raise directory_error(self._output, error) from error
            what = f"cannot start {command[0]} in {spec.cwd}: {error.strerror}"
            raise RlpytError("launch", what, hint="is the program still there?") from error
        self.descriptor = os.pidfd_open(self._process.pid) if sys.platform == "linux" else None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has; :meth:`close` says how."""
        if self.descriptor is None:
            return self._process.poll() is not None
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def terminate(self) -> None:
        """Ask it to save and end."""
        self.ends_by_request = True
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, and what it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> int:
        """After its end: what it has started and left behind ends too. Returns the exit code, or
        the number of the signal, negative.
        """
        self.kill()  # while the process is not waited for, no other group has its number
        exit_code = self._process.wait()
        if self.descriptor is not None:
            os.close(self.descriptor)
        return exit_code

    def last_words(self) -> str:
        """The error that it has printed, on one line; "" where it has said nothing."""
        with self._output.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, end - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip() and not line.startswith(_MARK)]
        errors = [line for line in said if line.startswith("ERROR ")]
        return (errors or said or [""])[-1][:300]


_MARK = "=== "


def _heading(run: QueuedRun, command: Sequence[str]) -> bytes:
    now = datetime.now().isoformat(sep=" ", timespec="seconds")
    return f"{_MARK}{now}, attempt {run.attempts}: {' '.join(command)}\n".encode()
