"""``rlpyt rerun``: train once more what a run directory describes, and compare."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from rlpyt.cli.arguments import add_output_options
from rlpyt.cli.command import RUN_ERROR, Command
from rlpyt.cli.rundir import (
    NewRunDir,
    draw_curve,
    find_run,
    has_evidence,
    load_runner,
    opened_log,
    was_stopped,
)
from rlpyt.cli.then_and_now import difference_table, differences, ways_back
from rlpyt.evaluation.runs import load_params
from rlpyt.evaluation.same_run import read_rows, row_difference
from rlpyt.logging.lineage import read_lineage
from rlpyt.logging.provenance import PROVENANCE, read_sessions
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.ranks import launched_seat
from rlpyt.utils.config import config_dict
from rlpyt.utils.device import resolve_device
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.provenance import describe_session

__all__ = ["COMMAND", "code_importable"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the new run goes (default RUN_DIR_rerun); must not be there yet",
    )
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 unless all rows are identical"
    )
    add_output_options(parser)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    sessions = read_sessions(run_dir)
    with code_importable(sessions):
        runner = load_runner(run_dir)
        launched = launched_seat(1.0)
        if launched is not None and launched.rank:  # the first process of torchrun does the rest
            runner.train()
            return 0
        resolved = run_dir.resolve()
        out: Path = args.out or resolved.with_name(f"{resolved.name}_rerun")
        if out.exists():
            hint = "choose another --out, or take it away"
            raise RlpytError("usage", f"{out} is there already", hint=hint)
        is_identical = _train(runner, run_dir, out, sessions, args)
    return RUN_ERROR if args.check and not is_identical else 0


def _train(
    runner: BaseRunner,
    run_dir: Path,
    out: Path,
    sessions: list[dict[str, Any]],
    args: argparse.Namespace,
) -> bool:
    """Whether the rows are those of ``run_dir``."""
    params = load_params(run_dir)
    with NewRunDir(out) as claim:
        name, run_ID = str(params.get("name", "run")), int(params.get("run_ID", 0))
        logger = opened_log(out, name, run_ID, args)
        try:
            for line in [*_since_then(run_dir, runner, sessions), *_not_settings(run_dir)]:
                logger.text(line, 0)
            runner.train(logger)
            if not args.no_plot:
                logger.text(draw_curve(out), runner.n_itr)
            difference = _first_difference(run_dir, out)
            logger.text(difference or _identical(run_dir, out), runner.n_itr)
            return difference is None
        finally:
            claim.begun = runner.cum_steps > 0 or was_stopped(out) or has_evidence(out)
            logger.close()


def _since_then(run_dir: Path, runner: BaseRunner, sessions: list[dict[str, Any]]) -> list[str]:
    """What is to be known before the rerun: what differs, and how to get it back."""
    if not sessions:
        return [f"{run_dir} has no {PROVENANCE}: what has changed since is not known"]
    then = sessions[-1]
    now = _session_now(runner)
    found = differences(then, now)
    texts = [difference_table(found), *ways_back(run_dir, then, found)] if found else []
    for number, (before, after) in enumerate(pairwise(sessions), 2):
        changed = [each.what for each in differences(before, after) if each.what != "settings"]
        if changed:
            what = ", ".join(changed)
            texts.append(f"session {number} of that run differed from the one before in: {what}")
    return texts


def _not_settings(run_dir: Path) -> list[str]:
    """What the run is besides its settings, which the rerun begins with."""
    told = {"fork": "began where another stood", "override": "was continued with other settings"}
    return [
        f"that run {told[each['event']]} after iteration {each.get('itr')}: its settings from the "
        "start on are another run"
        for each in read_lineage(run_dir)
        if each.get("event") in told
    ]


def _session_now(runner: BaseRunner) -> Mapping[str, Any]:
    """What a session of ``runner`` in this process would be."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(runner.torch_threads or threads)
        session = describe_session(
            config_dict(runner),
            seed=runner.seed,
            plan=runner.sampler.plan(),
            device=resolve_device(runner.device.partition(",")[0]),
        )
    finally:
        torch.set_num_threads(threads)
    return session.record


def _first_difference(run_dir: Path, out: Path) -> str | None:
    """Where the rerun's rows are first not what the run's were, time measurements aside."""
    found = row_difference(run_dir, out)
    if found is not None:
        steps = f" ({found.steps:,} steps)" if found.steps is not None else ""
        values = f"{found.one} then, {found.other} now"
        return f"differs first in row {found.row}{steps}, {found.column}: {values}"
    before, after = len(read_rows(run_dir)), len(read_rows(out))
    if before > after:
        return f"differs: {run_dir} has {before} rows, {out} {after}"
    return None


def _identical(run_dir: Path, out: Path) -> str:
    before, after = len(read_rows(run_dir)), len(read_rows(out))
    if before == after:
        return f"identical: {before} rows"
    return f"identical: {before} rows; {run_dir} has no more, the rerun has {after}"


@contextmanager
def code_importable(sessions: list[dict[str, Any]]) -> Iterator[None]:
    """Modules of the folder where the user's code was can be imported, as then."""
    folders = [each.get("folder", "") for each in sessions]
    folders = [each for each in folders if each not in sys.path and Path(each).is_dir() and each]
    added = list(dict.fromkeys(folders))
    sys.path += added
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


COMMAND = Command(
    summary="train a run once more and compare",
    description=(
        "Train what RUN_DIR describes into a new directory. First it says what is not as it was\n"
        "then: code, packages, machine; in the end whether the rows of progress.csv are the same,\n"
        "but for measurements of time. Your working tree is left as it is."
    ),
    examples=(
        "examples:\n"
        "  rlpyt rerun data/cartpole\n"
        "  rlpyt rerun data/cartpole --out data/again --check"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
