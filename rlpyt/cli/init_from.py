"""Whose parameters a run starts with: ``--init-from``, ``--init-part``, ``--init-checkpoint``."""

import argparse
from dataclasses import replace
from pathlib import Path

from rlpyt.cli.rundir import checkpoints_of, find_run
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.init_from import InitFrom
from rlpyt.utils.errors import RlpytError

__all__ = ["add_init_options", "with_init"]


def add_init_options(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument(
        "--init-from",
        type=_absolute,
        metavar="RUN_DIR",
        help="start with the parameters of that run's agent; all else is new",
    )
    parser.add_argument(
        "--init-part",
        choices=["agent", "encoder"],
        help="with --init-from: all of the agent (default), or what encodes observations",
    )
    parser.add_argument(
        "--init-checkpoint",
        choices=["latest", "best"],
        help="with --init-from: which of its checkpoints (default latest)",
    )


def with_init(runner: BaseRunner, args: argparse.Namespace) -> BaseRunner:
    """``runner`` as the options want it.

    Raises:
        RlpytError: for a directory without a run or checkpoint, and options that go with another.
    """
    if args.init_from is None:
        for option, value in (("part", args.init_part), ("checkpoint", args.init_checkpoint)):
            if value is not None:
                what = f"--init-{option} without --init-from"
                raise RlpytError("usage", what, hint="give both, or neither")
        return runner
    run_dir = find_run(args.init_from)
    checkpoints_of(run_dir)
    init = InitFrom(
        run_dir=str(run_dir),
        checkpoint=args.init_checkpoint or "latest",
        part=args.init_part or "agent",
    )
    return replace(runner, init_from=init)


def _absolute(text: str) -> Path:
    """The same from every folder, such as that of a launched run."""
    return Path(text).absolute()
