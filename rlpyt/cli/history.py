"""The checkpoints that a run can go back to."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest
from rlpyt.checkpoint.manifest import Manifest
from rlpyt.cli.rundir import checkpoints_of
from rlpyt.evaluation.same_run import rank_checkpoints
from rlpyt.utils.errors import RlpytError

__all__ = ["Moment", "add_moment_options", "chosen_moment", "parts", "read_moments"]


@final
@dataclass(frozen=True)
class Moment:
    """An iteration that the run has a checkpoint of."""

    itr: int
    path: Path  # the first process's part
    manifest: Manifest | None  # None: it cannot be read
    problem: str = ""
    is_best: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    @property
    def age(self) -> float | None:
        """Seconds since it was saved, by the clock on the wall; None where that is not known."""
        if self.manifest is None:
            return None
        return (datetime.now(UTC) - datetime.fromisoformat(self.manifest.created)).total_seconds()


def parts(run_dir: Path) -> list[Checkpointer]:
    """The checkpoints of each process that has learned for the run, the first one's first.

    Raises:
        RlpytError: where the run was ended before it saved its first.
    """
    return rank_checkpoints(checkpoints_of(run_dir).directory)


def read_moments(run_dir: Path) -> list[Moment]:
    """Iterations of which all processes have a checkpoint, the newest first; their manifests are
    read, not their arrays.

    Raises:
        RlpytError: where there is none.
    """
    each = parts(run_dir)
    saved = each[0].saved()
    common = set(saved).intersection(*(part.saved() for part in each[1:]))
    if not common:
        what = f"{run_dir} has no checkpoint: the run ended before it saved its first"
        raise RlpytError("checkpoint", what, hint="train again")
    best = each[0].best()
    moments = []
    for itr in sorted(common, reverse=True):
        manifest, problem = None, ""
        try:
            manifest = read_manifest(saved[itr])
        except RlpytError as error:
            problem = error.what
        moments.append(Moment(itr, saved[itr], manifest, problem, saved[itr] == best))
    return moments


def add_moment_options(parser: Any) -> None:
    """Declare ``--itr`` and ``--best``."""
    parser.add_argument("--itr", type=int, metavar="N", help="the checkpoint of iteration N")
    parser.add_argument("--best", action="store_true", help="the checkpoint with the best score")


def chosen_moment(moments: Sequence[Moment], args: argparse.Namespace, back: int) -> Moment:
    """What the options choose; by default the one that is ``back`` behind the newest.

    Raises:
        RlpytError: ``usage``, for one that is not there.
    """
    hint = "`rlpyt rewind RUN_DIR` lists them; keep_checkpoints=N of a run keeps more"
    if args.itr is not None:
        found = next((each for each in moments if each.itr == args.itr), None)
        if found is None:
            have = ", ".join(str(each.itr) for each in moments)
            what = f"there is no checkpoint of iteration {args.itr}, but of {have}"
            raise RlpytError("usage", what, hint=hint)
        return found
    if args.best:
        best = next((each for each in moments if each.is_best), None)
        if best is None:
            what = "there is no best checkpoint: no episode had ended before any was saved"
            raise RlpytError("usage", what, hint="choose one by --itr")
        return best
    if back >= len(moments):
        what = f"{back} back from {len(moments)} checkpoint{'s' * (len(moments) != 1)}"
        raise RlpytError("usage", what, hint=hint)
    return moments[back]
