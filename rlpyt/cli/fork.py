"""``rlpyt fork``: a new run that begins where another stood, with other settings."""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlpyt.checkpoint.hashing import state_hash
from rlpyt.checkpoint.tree import flatten
from rlpyt.cli.arguments import add_output_options
from rlpyt.cli.changes import accept_changes, changed_values, write_settings
from rlpyt.cli.command import Command
from rlpyt.cli.history import Moment, add_moment_options, chosen_moment, parts, read_moments
from rlpyt.cli.resume import continue_run
from rlpyt.cli.rewind import cut_rows
from rlpyt.cli.rundir import NewRunDir, find_run, load_runner
from rlpyt.cli.samplers import add_sampler_options, chosen_sampler
from rlpyt.evaluation.runs import load_params
from rlpyt.logging.files import directory_error
from rlpyt.logging.lineage import LINEAGE, add_event
from rlpyt.logging.provenance import PROVENANCE
from rlpyt.logging.run_state import write_run_state
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.settings import Change, change_table
from rlpyt.utils.config import fresh
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides

__all__ = ["COMMAND"]

_COPIED = ("progress.csv", PROVENANCE, LINEAGE)
_COPIED_TOO = "git*.diff"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run to begin from")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="the new run's, new or empty"
    )
    add_moment_options(parser.add_mutually_exclusive_group())
    parser.add_argument(
        "--no-train", action="store_true", help="only make it; `rlpyt resume DIR` trains"
    )
    add_sampler_options(parser)
    add_output_options(parser)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    moment = chosen_moment(read_moments(run_dir), args, 0)
    runner = replace(load_runner(run_dir), pause_steps=None)
    runner = replace(runner, sampler=chosen_sampler(runner.sampler, args))
    runner = apply_overrides(runner, overrides)
    if moment.itr >= runner.n_itr and not args.no_train:
        what = f"iteration {moment.itr} is the end of a run of n_steps={runner.n_steps}"
        raise RlpytError("usage", what, hint="give n_steps=..., or an earlier checkpoint by --itr")
    state, _manifest = parts(run_dir)[0].load(moment.path)
    changes = accept_changes(load_params(run_dir), runner, state, override=True)
    with NewRunDir(args.out) as claim:
        _copy(run_dir, moment, args.out, state["logger"])
        _describe(run_dir, moment, args.out, runner, state, changes)
        claim.begun = True
    if not args.quiet:
        if changes:
            print(change_table(changes, accepted=True))
        print(f"{args.out} begins where {run_dir} stood at iteration {moment.itr}")
    return 0 if args.no_train else continue_run(args.out, fresh(runner), args)


def _copy(run_dir: Path, moment: Moment, out: Path, log: dict[str, Any]) -> None:
    """Checkpoint and rows until then, and what the run before was started from."""
    try:
        for part in parts(run_dir):
            path = part.saved()[moment.itr]
            shutil.copytree(path, out / path.relative_to(run_dir))
        for path in [*(run_dir / name for name in _COPIED), *run_dir.glob(_COPIED_TOO)]:
            if path.exists():
                shutil.copyfile(path, out / path.name)
    except (OSError, shutil.Error) as error:
        cause = error if not isinstance(error, shutil.Error) else OSError(str(error))
        raise directory_error(out, cause) from error
    cut_rows(out, log)


def _describe(
    run_dir: Path,
    moment: Moment,
    out: Path,
    runner: BaseRunner,
    state: dict[str, Any],
    changes: list[Change],
) -> None:
    arrays, _skeleton = flatten(state["agent"])
    assert moment.manifest is not None  # it was loaded
    add_event(
        out,
        "fork",
        origin=str(run_dir.resolve()),
        itr=moment.itr,
        cum_steps=moment.manifest.cum_steps,
        sha256=state_hash(arrays),  # as `rlpyt hash` gives it
        changed=changed_values(changes),
    )
    write_settings(out, load_params(run_dir), runner)
    write_run_state(out, "paused")


COMMAND = Command(
    summary="begin a run where another stands",
    description=(
        "Copy the state of RUN_DIR at a checkpoint, the newest unless chosen, with the rows until\n"
        "then, into DIR, and train on there with other settings, as key=value. RUN_DIR stays as\n"
        "it is. All state goes along: optimizer, replay, generators, environments; settings that\n"
        "it does not fit are refused. DIR/lineage.json says where the run comes from.\n"
        "For parameters alone, in another environment say, see rlpyt train --init-from."
    ),
    examples=(
        "examples:\n"
        "  rlpyt fork data/cartpole --out data/slower algo.learning_rate=1e-4\n"
        "  rlpyt fork data/cartpole --itr 400 --out data/longer n_steps=1000000 --no-train"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
