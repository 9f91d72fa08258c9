"""``rlpyt resume``: continue a run exactly where its newest checkpoint stands."""

import argparse
from dataclasses import replace
from pathlib import Path

from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.cli.arguments import add_output_options
from rlpyt.cli.changes import accept_changes, change_settings
from rlpyt.cli.command import Command
from rlpyt.cli.rundir import checkpoints_of, draw_curve, find_run, load_runner, opened_log
from rlpyt.cli.samplers import add_sampler_options, chosen_sampler
from rlpyt.evaluation.runs import load_params
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.continued import train_or_continue
from rlpyt.runners.settings import change_table
from rlpyt.utils.config import fresh
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides

__all__ = ["COMMAND", "continue_run", "train_into"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    add_sampler_options(parser)
    parser.add_argument(
        "--empty-replay",
        action="store_true",
        help="of a run whose checkpoints leave the replay out: fill a new one, then learn on",
    )
    parser.add_argument(
        "--override",
        action="store_true",
        help="with key=value that the course of the run depends on: go on with it nevertheless",
    )
    add_output_options(parser)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    runner = replace(load_runner(run_dir), pause_steps=None)
    runner = replace(runner, sampler=chosen_sampler(runner.sampler, args))
    if args.empty_replay:
        runner = replace(runner, algo=_with_empty_replay(runner.algo))
    if overrides:
        runner = _changed(run_dir, runner, overrides, args)
    return continue_run(run_dir, runner, args)


def _changed(
    run_dir: Path, runner: BaseRunner, overrides: list[str], args: argparse.Namespace
) -> BaseRunner:
    """With other settings, which the run has from now on."""
    runner = apply_overrides(runner, overrides)
    state, manifest = checkpoints_of(run_dir).load_latest()
    changes = accept_changes(load_params(run_dir), runner, state, override=args.override)
    change_settings(run_dir, runner, changes, manifest.itr)
    if changes and not args.quiet:
        print(change_table(changes, accepted=True))
    return fresh(runner)


def continue_run(run_dir: Path, runner: BaseRunner, args: argparse.Namespace) -> int:
    """Continue the run in ``run_dir``, whose settings ``runner`` has, from its newest checkpoint,
    or from the start where it has none yet.
    """
    params = load_params(run_dir)
    name, run_ID = str(params.get("name", "run")), int(params.get("run_ID", 0))
    return train_into(run_dir, runner, args, name, run_ID)


def train_into(
    run_dir: Path, runner: BaseRunner, args: argparse.Namespace, name: str, run_ID: int
) -> int:
    """Train the run ``<name>_<run_ID>`` into ``run_dir``, which may hold a part of it already, and
    draw its curve; ``args`` has the options of :func:`add_output_options`.
    """
    logger = opened_log(run_dir, name, run_ID, args, resume=True)
    try:
        if train_or_continue(runner, logger) and not args.no_plot:
            logger.text(draw_curve(run_dir), runner.n_itr)
    finally:
        logger.close()
    return 0


def _with_empty_replay(algo: RlAlgorithm) -> RlAlgorithm:
    if not isinstance(algo, QAlgorithm):
        what = f"{type(algo).__name__} has no replay"
        raise RlpytError("usage", what, hint="leave --empty-replay out")
    return replace(algo, replay=replace(algo.replay, resume_empty=True))


COMMAND = Command(
    summary="continue an interrupted run",
    description=(
        "Continue the run in RUN_DIR, interrupted or paused, from its newest sound checkpoint:\n"
        "the result is bit for bit what the uninterrupted run would have given. With another\n"
        "sampler that holds for runs with a sampler.group_size.\n"
        "\n"
        "Settings can be changed as key=value: freely, such as n_steps, where the run's course\n"
        "does not depend on them; with --override, such as algo.learning_rate, where it does; not\n"
        "at all where its checkpoints do not fit, such as the size of a network."
    ),
    examples=(
        "examples:\n"
        "  rlpyt resume data/cartpole\n"
        "  rlpyt resume data/cartpole --sampler serial\n"
        "  rlpyt resume data/cartpole n_steps=200000\n"
        "  rlpyt resume data/cartpole algo.learning_rate=1e-4 --override"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
