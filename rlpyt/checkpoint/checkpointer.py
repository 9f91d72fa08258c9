"""The checkpoints of one run: the last few and the best kept, the newest sound one loaded."""

import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from rlpyt.checkpoint.files import (
    read_checkpoint,
    read_manifest,
    replace_file,
    storage_error,
    temporary_path,
    write_checkpoint,
)
from rlpyt.checkpoint.manifest import Manifest
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import is_alive

__all__ = ["Checkpointer"]

_NAME = re.compile(r"itr_(\d{9,})(?:\.(\d+))?")  # iteration; how many saves at it came before
_TEMPORARY = re.compile(r"\.tmp-(\d{1,9})-.+")
_BEST = "best.json"


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)


@final
@dataclass
class Checkpointer:
    """Saves to and loads from ``directory``: one subdirectory ``itr_000000100`` per checkpoint.

    ``keep`` is how many iterations stay, the newest ones; the checkpoint with the highest ``score``
    stays too, and ``best.json`` names it. One process at a time: a run holds a
    :class:`~rlpyt.checkpoint.lock.RunLock`.

    Raises:
        RlpytError: ``config``, for ``keep`` below 1.
    """

    directory: Path
    keep: int = field(default=2, kw_only=True)
    tell: Callable[[str], None] = field(default=_warn, kw_only=True)  # what saving warns of
    _has_saved: bool = field(default=False, init=False, repr=False, compare=False)
    _damaged: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise RlpytError(
                "config",
                f"keep={self.keep} checkpoints",
                where="Checkpointer",
                hint="use 1 or more",
            )

    def save(
        self,
        state: Any,
        *,
        itr: int,
        cum_steps: int,
        metrics: dict[str, float] | None = None,
        score: float | None = None,
    ) -> Path:
        """Write ``state`` (see :mod:`rlpyt.checkpoint.tree`), or a snapshot of it; remove what is
        kept no longer.

        Returns the path of the new checkpoint. A higher ``score`` is better; NaN is none.
        Checkpoints of iterations after ``itr``, which the run has gone back behind, are renamed
        ``aside-...``, with a warning, and neither loaded nor removed.

        Raises:
            RlpytError: ``checkpoint``, for a state that cannot be saved, or a disk that is full or
                cannot be written; the checkpoints before are intact.
        """
        path = self._unused(f"itr_{itr:09d}")
        try:
            for before, aside in self._set_aside_after(itr):
                self.tell(
                    f"{before} is of a later iteration than {itr}, which is being saved: "
                    f"it is now {aside.name}"
                )
            write_checkpoint(
                path,
                state,
                itr=itr,
                cum_steps=cum_steps,
                metrics=metrics,
                score=score,
                make_parents=not self._has_saved,  # a directory that vanishes is not made again
            )
            self._has_saved = True
            self._tidy()
        except OSError as error:
            raise storage_error(path, error) from error
        return path

    def go_back(self, itr: int) -> list[Path]:
        """Set aside the checkpoints of iterations after ``itr``, as :meth:`save` does, for the run
        to go on from there. Where they are now.

        Raises:
            RlpytError: ``checkpoint``, where the directory cannot be written.
        """
        try:
            moved = [aside for _path, aside in self._set_aside_after(itr)]
            self._point_to(self._best())
        except OSError as error:
            raise storage_error(self.directory / _BEST, error) from error
        return moved

    def latest(self) -> Path | None:
        """The newest checkpoint, not verified; None if there is none."""
        return max(self._all(), key=_order, default=None)

    def saved(self) -> dict[int, Path]:
        """The newest checkpoint of each iteration that has one, not verified."""
        return {_order(path)[0]: path for path in sorted(self._all(), key=_order)}

    def best(self) -> Path | None:
        """The checkpoint with the highest score, the earliest of equals; None if none has one."""
        best = self._best()
        return best[0] if best else None

    def load(self, path: Path) -> tuple[Any, Manifest]:
        """The state in checkpoint ``path``, and its manifest.

        Raises:
            RlpytError: ``checkpoint``, naming the file that is missing, damaged or of a foreign
                format (pickle); ``version``, for another version of the format.
        """
        return read_checkpoint(path)

    def load_latest(self) -> tuple[Any, Manifest]:
        """The newest state that is sound, and its manifest; damaged ones are named in a warning.

        Raises:
            RlpytError: ``checkpoint``, if there is none, naming each and why; ``version``, if the
                newest sound one is of another version of the format.
        """
        unfinished = sorted(path.name for path in self._abandoned())
        if unfinished:
            warnings.warn(
                f"ignored what a process that died left behind: {unfinished}", stacklevel=2
            )
        problems: list[str] = []
        for path in sorted(self._all(), key=_order, reverse=True):
            try:
                loaded = read_checkpoint(path)
            except RlpytError as error:
                if error.code == "version":
                    raise
                self._damaged.add(path)
                problems.append(f"{error.what} ({error.where})")
                continue
            if problems:
                warnings.warn(f"fell back to {path.name}: {'; '.join(problems)}", stacklevel=2)
            return loaded
        what = "none of the checkpoints can be loaded" if problems else "there is no checkpoint"
        raise RlpytError("checkpoint", "; ".join([what, *problems]), where=str(self.directory))

    def _all(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return [path for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]

    def _abandoned(self) -> list[Path]:
        """Temporary files and directories of processes that are no more, or of this one before."""
        if not self.directory.is_dir():
            return []
        found = ((path, _TEMPORARY.fullmatch(path.name)) for path in self.directory.iterdir())
        return [path for path, match in found if match and not _is_another_process(int(match[1]))]

    def _unused(self, name: str) -> Path:
        path = self.directory / name
        count = 0
        while path.exists():
            count += 1
            path = self.directory / f"{name}.{count}"
        return path

    def _set_aside_after(self, itr: int) -> list[tuple[Path, Path]]:
        """Where they were, and where they are now."""
        moved = []
        for path in sorted(self._all(), key=_order):
            if _order(path)[0] > itr:
                aside = self._unused(f"aside-{path.name}")
                path.rename(aside)
                moved.append((path, aside))
        return moved

    def _best(self) -> tuple[Path, float] | None:
        # From the manifests, not from best.json: a crash may have come between the two.
        best: tuple[Path, float] | None = None
        for path in sorted(self._all(), key=_order):
            try:
                score = read_manifest(path).score
            except RlpytError:
                continue  # damaged; loading it says so
            if score is not None and not math.isnan(score) and (best is None or score > best[1]):
                best = path, score
        return best

    def _tidy(self) -> None:
        """Point ``best.json`` to the best checkpoint, and remove those that are kept no longer."""
        best = self._best()
        sound = sorted(set(self._all()) - self._damaged, key=_order)
        newest_of_itr = {_order(path)[0]: path for path in sound}
        kept = set(list(newest_of_itr.values())[-self.keep :])
        if best:
            kept.add(best[0])
        try:
            self._point_to(best)
        finally:  # on a full disk too: this is what makes room
            for path in (set(self._all()) - kept).union(self._abandoned()):
                self._remove(path)

    def _remove(self, path: Path) -> None:
        """Remove ``path`` such that, killed on the way, nothing with its name is left."""
        try:
            if path.is_dir():
                doomed = temporary_path(path)
                path.rename(doomed)
                shutil.rmtree(doomed)
            else:
                path.unlink()
        except FileNotFoundError:
            pass  # gone, perhaps with its whole directory: the next write says that
        except OSError as error:
            self.tell(f"cannot remove {path}: {error.strerror}")

    def _point_to(self, best: tuple[Path, float] | None) -> None:
        pointer = self.directory / _BEST
        if best is None:
            pointer.unlink(missing_ok=True)
            return
        content = json.dumps({"checkpoint": best[0].name}).encode() + b"\n"
        if not pointer.exists() or pointer.read_bytes() != content:
            replace_file(pointer, content)


def _order(path: Path) -> tuple[int, int]:
    """Iteration, and how many checkpoints were saved at it before."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1]), int(match[2] or 0)


def _is_another_process(pid: int) -> bool:
    # our own id: from before a restart under the same one, or left by an interrupt
    return pid != os.getpid() and is_alive(pid)
