"""A run's directory: made for a new run, found and read again for an old one."""

import argparse
import shutil
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, final

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.lock import RunLock
from rlpyt.evaluation.plot import plot_runs
from rlpyt.evaluation.runs import load_params
from rlpyt.logging.files import make_run_dir
from rlpyt.logging.logger import Logger
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.rebuild import component_from

__all__ = [
    "NewRunDir",
    "checkpoints_of",
    "draw_curve",
    "find_run",
    "has_evidence",
    "load_runner",
    "opened_log",
    "was_stopped",
]

_LOCK = ".lock"


@final
@dataclass
class NewRunDir:
    """Context in which ``path`` is there, made with its parents, for a run to begin in.

    Unless ``begun`` is set inside, what came to be in it, and the directories made, are taken away
    again on leaving.

    Raises:
        RlpytError: ``directory``, on entering, where it cannot be made or written, is in use, or
            holds a run.
    """

    path: Path
    begun: bool = False
    _made: list[Path] = field(default_factory=list, init=False, repr=False)  # innermost first
    _before: set[Path] = field(default_factory=set, init=False, repr=False)

    def __enter__(self) -> Self:
        _refuse_taken(self.path)
        self._made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        try:
            make_run_dir(self.path)
        except RlpytError:
            self._remove_made()
            raise
        self._before = set(self.path.iterdir())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.begun or (self.path / _LOCK).exists():  # another run has begun here meanwhile
            return
        for path in set(self.path.iterdir()) - self._before:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for path in self._made:
            with suppress(OSError):  # not there, or somebody has put something in
                path.rmdir()


def _refuse_taken(run_dir: Path) -> None:
    """A second run neither joins nor erases the first."""
    if (run_dir / _LOCK).exists():
        with RunLock(run_dir):  # names the holder, if there is one still
            pass
    if (run_dir / "progress.csv").exists() or (run_dir / "checkpoints").exists():
        raise RlpytError(
            "directory",
            f"{run_dir} already holds a run",
            hint=f"continue it with `rlpyt resume {run_dir}`, or choose another --out",
        )


def find_run(path: Path) -> Path:
    """``path`` where it is a run directory, or the one run below it.

    Raises:
        RlpytError: where there is none, or several.
    """
    if (path / "params.json").is_file():
        return path
    if not path.is_dir():
        what = f"{path} is not a directory" if path.exists() else f"there is no directory {path}"
        raise RlpytError("usage", what, hint="give a run's directory")
    found = sorted(file.parent for file in path.rglob("params.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise RlpytError(
            "usage", f"{path} holds no run (no params.json)", hint="give a run's directory"
        )
    raise RlpytError(
        "usage", f"{path} holds {len(found)} runs", hint=f"choose one, such as {found[0]}"
    )


def checkpoints_of(run_dir: Path) -> Checkpointer:
    """The run's checkpoints.

    Raises:
        RlpytError: where it was ended before it saved its first.
    """
    directory = run_dir / "checkpoints"
    if not directory.is_dir():
        what = f"{run_dir} has no checkpoint: the run ended before it saved its first"
        raise RlpytError("checkpoint", what, hint="train again")
    return Checkpointer(directory)


def load_runner(run_dir: Path) -> BaseRunner:
    """The runner that ``params.json`` describes, not yet initialised.

    Raises:
        RlpytError: where the configuration cannot be built again, such as a class that is no longer
        there.
    """
    params = load_params(run_dir)
    config = {key: value for key, value in params.items() if key not in {"name", "run_ID", "extra"}}
    runner = component_from(config, str(run_dir / "params.json"))
    if not isinstance(runner, BaseRunner):
        raise RlpytError("config", f"{run_dir} describes a {type(runner).__name__}, not a runner")
    return runner


def opened_log(
    run_dir: Path, name: str, run_ID: int, args: argparse.Namespace, *, resume: bool = False
) -> Logger:
    """The log of the run ``<name>_<run_ID>``, as the options of
    :func:`~rlpyt.cli.arguments.add_output_options` in ``args`` want it.
    """
    return Logger(
        run_dir,
        name,
        run_ID,
        tensorboard=not args.no_tensorboard,
        sinks=args.sink,
        console=not args.quiet,
        resume=resume,
    )


def draw_curve(run_dir: Path) -> str:
    """Draw ``curve.png`` into the run directory, and say where it is or why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a run left out, the only one
        try:
            return f"learning curve: {plot_runs([run_dir], run_dir / 'curve.png')}"
        except RlpytError as error:  # a short run may have no finished episode to show
            return f"no learning curve: {error.what}"


def was_stopped(run_dir: Path) -> bool:
    """Whether a signal ended the run there, and left a checkpoint to go on from."""
    stopped = read_run_state(run_dir) in {"interrupted", "preempted"}
    return stopped and (run_dir / "checkpoints").is_dir()


def has_evidence(run_dir: Path) -> bool:
    """Whether something failed there that can be made to happen again."""
    return any((run_dir / name).exists() for name in ("capsules", "failed_updates"))
