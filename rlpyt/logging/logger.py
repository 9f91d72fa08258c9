"""The logger of one run: it owns the run directory's text, table and event files."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, final

from rlpyt.logging.console import RunConsole
from rlpyt.logging.files import (
    ProgressCsv,
    directory_error,
    make_run_dir,
    sync_to_disk,
    write_atomic,
)
from rlpyt.logging.provenance import add_session
from rlpyt.logging.remote import RunLabel
from rlpyt.logging.sink import Sink
from rlpyt.logging.sinks import remote_sinks
from rlpyt.logging.table import metrics_table
from rlpyt.logging.tensorboard import TensorBoardSink
from rlpyt.utils.config import config_value, flatten_config
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.provenance import Session

__all__ = ["Logger"]

_MAX_FAILURES = 10  # consecutive rows that progress.csv may fail to take before the run stops


@final
class Logger:
    """Writes one run: progress.csv, params.json, variant.json, provenance.json, debug.log, and
    sinks: TensorBoard events, and services such as W&B.

    ``progress.csv`` is the record; when anything else fails, the logger warns once and the run goes
    on. A full disk delays rows of ``progress.csv`` and stops the run after ten rows in a row.
    """

    def __init__(
        self,
        run_dir: Path | str,
        name: str,
        run_ID: int,
        *,
        tensorboard: bool = True,
        sinks: Sequence[str] = (),
        console: bool = True,
        resume: bool = False,
    ) -> None:
        """Open ``run_dir`` for the run ``<name>_<run_ID>``; ``resume`` continues what is there.

        Args:
            run_dir: made where it is not there.
            name: of the run, or of the group of runs that ``run_ID`` tells apart.
            run_ID: see ``name``.
            tensorboard: whether to write event files.
            sinks: services that get the rows too: ``"wandb"``, ``"mlflow"``, ``"trackio"``.
            console: whether to print.
            resume: continue what is there.

        Raises:
            RlpytError: ``directory``, where it cannot be written, holds a run and ``resume`` is
                false; ``config``, for a sink that is unknown or not installed. No file has been
                written then.
        """
        label = RunLabel(name, run_ID, Path(run_dir), quiet=not console)
        self._sinks: list[Sink] = [*remote_sinks(sinks, label)]
        self.run_dir = Path(run_dir)
        self.name = name
        self.run_ID = run_ID
        path = self.run_dir / "progress.csv"
        make_run_dir(self.run_dir)
        if not resume and path.exists() and path.stat().st_size:
            hint = (
                "choose another run_ID or log_dir, or continue that run: resume=True here, and "
                "train(logger, resume=True)"
            )
            raise RlpytError("directory", f"{path} is another run's, which is kept", hint=hint)
        try:
            self._text = (self.run_dir / "debug.log").open("a", encoding="utf-8")
            self._csv = ProgressCsv(path)
        except OSError as error:
            raise directory_error(Path(error.filename), error) from error
        if tensorboard:
            self._sinks.append(TensorBoardSink(self.run_dir))
        self._step = -1
        self._failures = 0
        self._warned: set[str] = set()
        self.console = RunConsole(quiet=not console, highlight=False)

    def log_params(self, config: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
        """Write ``params.json`` and ``variant.json``, and tell the sinks.

        ``params.json`` is ``config`` with ``name`` and ``run_ID``, and ``extra`` (what is no
        setting: versions, machine) under ``"extra"``. ``variant.json`` is ``config`` flattened,
        with ``exp_name``, as viskit reads it.

        Raises:
            RlpytError: ``directory``, where they cannot be written.
        """
        settings = config_value(config)
        params = {
            **settings,
            "name": self.name,
            "run_ID": self.run_ID,
            "extra": config_value(extra),
        }
        variant = {**flatten_config(settings), "exp_name": self.name}
        for file_name, content in (("params.json", params), ("variant.json", variant)):
            path = self.run_dir / file_name
            try:
                write_atomic(path, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
            except OSError as error:
                raise directory_error(path, error) from error
        for sink in self._sinks:
            sink.begin(flatten_config(settings))

    def log_session(self, session: Session) -> None:
        """Add to ``provenance.json`` what the run, or its resumption, is started from."""
        self._attempt("provenance.json", lambda: add_session(self.run_dir, session))

    def text(self, message: str, itr: int, *, show: bool = True) -> None:
        """Append ``message`` to debug.log, each line with time, run and iteration; print it too,
        if ``show``.
        """
        prefix = f"{datetime.now():%Y-%m-%d %H:%M:%S.%f}  | {self.name}_{self.run_ID} itr #{itr} "
        lines = [f"{prefix}{line}" for line in message.splitlines() or [""]]
        self._attempt("debug.log", lambda: self._write_text(lines))
        if show:
            printed = partial(self.console.print, markup=False, emoji=False, soft_wrap=True)
            self._attempt("console", lambda: printed(message))

    def row(self, values: Mapping[str, float], step: int) -> None:
        """Log one row at environment step ``step``: to file, sinks and, as a table, terminal.

        Raises:
            RlpytError: ``directory``, when progress.csv could not be written ten times in a row,
                or another process wrote to it.
            TypeError: for a value that is no number.
        """
        self._write_row(values)
        self._step = step
        for sink in list(self._sinks):
            if not self._attempt(sink.name, partial(sink.write, values, step)):
                self._sinks.remove(sink)  # it would fail, and say so, at each row: once will do
        if self.console.is_terminal and not self.console.quiet:
            title = f"{self.name}_{self.run_ID} · {step:,} steps"
            self._attempt("console", lambda: self.console.print(metrics_table(title, values)))

    def state_dict(self) -> dict[str, Any]:
        """Where the log stands: ``columns`` and ``rows`` of progress.csv, the last ``step``."""
        return {"columns": list(self._csv.columns), "rows": self._csv.rows, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state`` was taken: progress.csv byte for byte, sinks by step.

        Raises:
            RlpytError: ``directory``, where progress.csv does not hold those rows.
        """
        self._csv.truncate(list(state["columns"]), int(state["rows"]))
        self._step = int(state["step"])
        for sink in self._sinks:
            self._attempt(sink.name, partial(sink.restart, self._step + 1))

    def sync(self) -> None:
        """Have the rows written so far survive a loss of power: a checkpoint that counts them does.

        Raises:
            RlpytError: ``directory``, where the run's directory is gone or cannot be written.
        """
        try:
            sync_to_disk(self.run_dir, self._csv.path)
        except OSError as error:
            raise directory_error(self.run_dir, error) from error

    def close(self) -> None:
        """Close every file and let go of the directory; a second call does nothing."""
        for sink in self._sinks:
            self._attempt(sink.name, sink.close, "progress.csv has every row")
        with suppress(OSError):  # its lines are flushed one by one; what failed was warned of
            self._text.close()

    def _write_text(self, lines: list[str]) -> None:
        self._text.write("".join(f"{line}\n" for line in lines))
        self._text.flush()

    def _write_row(self, values: Mapping[str, float]) -> None:
        try:
            self._csv.append(values)
        except OSError as error:
            self._failures += 1
            if self._failures >= _MAX_FAILURES:
                raise directory_error(self._csv.path, error) from error
            self._warn("progress.csv", error, "rows wait in memory")
        else:
            self._failures = 0

    def _attempt(
        self, sink: str, action: Callable[[], None], outcome: str = "the run goes on without"
    ) -> bool:
        """Whether ``action`` could write to ``sink``."""
        try:
            action()
        except OSError as error:
            self._warn(sink, error, outcome)
            return False
        return True

    def _warn(self, sink: str, error: OSError, outcome: str) -> None:
        if sink not in self._warned:
            self._warned.add(sink)
            message = f"{sink} of {self.run_dir} cannot be written: {error}; {outcome}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)
