"""Files of a run directory: where it may be, how a file is replaced whole, and progress.csv."""

import csv
import errno
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from rlpyt.utils.errors import RlpytError

__all__ = [
    "ProgressCsv",
    "directory_error",
    "make_run_dir",
    "read_entries",
    "sync_to_disk",
    "write_atomic",
    "write_entries",
]


def directory_error(path: Path, error: OSError) -> RlpytError:
    """The user's error for a path that cannot be written: path, errno and a remedy."""
    code = errno.errorcode.get(error.errno or 0, "unknown")
    what = f"cannot write {path}: {error.strerror or error} ({code}, errno {error.errno})"
    return RlpytError("directory", what, hint="choose another log_dir, or free the path")


def make_run_dir(run_dir: Path) -> None:
    """Make ``run_dir`` and its parents.

    Raises:
        RlpytError: ``directory``, where it cannot be made or written; no file has been written
            then.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise directory_error(run_dir, error) from error
    if not os.access(run_dir, os.W_OK | os.X_OK):
        raise directory_error(run_dir, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def write_atomic(path: Path, content: bytes) -> None:
    """Replace the file ``path`` by ``content``: readers see the old or the new, never a part.

    Raises:
        OSError: and leaves the old file as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_entries(path: Path, name: str) -> list[dict[str, Any]]:
    """The list ``name`` in a JSON file of :func:`write_entries`, the first first; [] without the
    file.

    Raises:
        RlpytError: ``directory``, where the file cannot be read as that.
    """
    try:
        entries = json.loads(path.read_bytes())[name]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{path} cannot be read: {error}"
        raise RlpytError("directory", what, hint="restore it, or take it away") from error
    if not (isinstance(entries, list) and all(isinstance(each, dict) for each in entries)):
        raise RlpytError("directory", f"{path} holds no {name}", hint="restore it")
    return entries


def write_entries(path: Path, name: str, entries: Iterable[Any]) -> None:
    """The whole list ``name``, data for JSON, in place of what was there.

    Raises:
        OSError: where it cannot be written.
    """
    content = json.dumps({"format": 1, name: list(entries)}, indent=2)
    write_atomic(path, f"{content}\n".encode())


def sync_to_disk(directory: Path, *files: Path) -> None:
    """Have ``files`` in ``directory``, those that are there, survive a loss of power.

    Raises:
        OSError: where that cannot be done, or ``directory`` is gone.
    """
    for path in [*(path for path in files if path.exists()), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _cell(name: str, value: float) -> str:
    try:
        return str(int(value)) if isinstance(value, int | np.integer) else str(float(value))
    except (TypeError, ValueError) as error:
        raise TypeError(f"column {name!r} takes a number, not {value!r}") from error


@final
class ProgressCsv:
    """``progress.csv``: one row per logging interval, whole on disk after each :meth:`append`.

    Columns keep the order of their first appearance. A column that appears later is appended at
    the end, the rows before it padded with ``nan``. Rows that could not be written (a full disk)
    wait for the next append.
    """

    def __init__(self, path: Path) -> None:
        """Continue the file at ``path``, where there is one; a last row cut short is dropped."""
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        self._size = 0  # bytes of complete rows
        self._torn = False  # what follows them was cut short
        self._waiting: list[dict[str, str]] = []
        if path.exists():
            self._take(self._lines())
            self._torn = path.stat().st_size > self._size

    def append(self, values: Mapping[str, float]) -> None:
        """Write one row; columns it lacks are ``nan``.

        Raises:
            OSError: where it cannot be written; the row is kept for the next call.
            TypeError: for a value that is no number.
            ValueError: for a column name with a line break.
            RlpytError: ``directory``, where another process wrote to the file; it stays as it is.
        """
        row = {name: _cell(name, value) for name, value in values.items()}
        for name in row:
            if "\n" in name or "\r" in name:
                raise ValueError(f"column name {name!r} has a line break")
        self._waiting.append(row)
        new = dict.fromkeys(name for waiting in self._waiting for name in waiting)
        columns = [*self.columns, *(name for name in new if name not in self.columns)]
        self._check_alone()
        self._torn = True
        rows = [_line(row.get(name, "nan") for name in columns) for row in self._waiting]
        if len(columns) > len(self.columns):
            padding = ",nan" * (len(columns) - len(self.columns))
            old = self._lines()[1 : self.rows + 1] if self.rows else []
            lines = [_line(columns), *(f"{line[:-1]}{padding}\n" for line in old), *rows]
            write_atomic(self.path, "".join(lines).encode())
            self._take(lines)
        else:
            self._write_at_end("".join(rows).encode())
            self.rows += len(rows)
        self._torn = False
        self._waiting.clear()

    def truncate(self, columns: list[str], rows: int) -> None:
        """Go back to the first ``rows`` rows of ``columns``, byte for byte as they were.

        Raises:
            RlpytError: ``directory``, where the file does not hold them, or cannot be written; it
                is left as it was then.
        """
        found = f"{self.rows} rows, columns {self.columns}"
        if rows > self.rows or columns != self.columns[: len(columns)]:
            what = f"{self.path} does not hold {rows} rows of columns {columns}"
            hint = "resume in the directory of that run"
            raise RlpytError("directory", what, where=f"found {found}", hint=hint)
        cells = csv.reader(self._lines()[: rows + 1] if columns else [])
        lines = [_line(line[: len(columns)]) for line in cells]
        try:
            write_atomic(self.path, "".join(lines).encode())
        except OSError as error:
            raise directory_error(self.path, error) from error
        self._waiting.clear()
        self._torn = False
        self._take(lines)

    def _check_alone(self) -> None:
        """Nobody else writes here: what was not written by this object is never cut off."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size > self._size and not self._torn:
            what = f"{self.path} is being written by another logger, whose rows are kept"
            raise RlpytError("directory", what, hint="give each run its own run_ID or log_dir")

    def _lines(self) -> list[str]:
        """Complete lines of the file, line breaks kept."""
        lines = self.path.read_bytes().decode().split("\n")
        return [f"{line}\n" for line in lines[:-1]]

    def _take(self, lines: list[str]) -> None:
        self.columns = next(csv.reader(lines[:1]), [])
        self.rows = max(len(lines) - 1, 0)
        self._size = len("".join(lines).encode())

    def _write_at_end(self, content: bytes) -> None:
        """Append after the last complete row: what a failed attempt left behind is cut off."""
        with self.path.open("r+b", buffering=0) as file:
            file.truncate(self._size)
            file.seek(self._size)
            written = 0
            while written < len(content):
                written += file.write(content[written:])
        self._size += len(content)
