"""Which runner: ``--world-size``, ``--async`` and ``--lockstep``."""

import argparse
from dataclasses import fields
from typing import Any

from rlpyt.cli.arguments import positive
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.ranks import launched_seat
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.utils.errors import RlpytError

__all__ = ["add_parallel_options", "chosen_runner"]


def add_parallel_options(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument(
        "--world-size",
        type=positive,
        metavar="N",
        help="processes that learn together, each on a device of its own (under torchrun: its)",
    )
    parser.add_argument(
        "--async",
        dest="is_async",
        action="store_true",
        help="sample in a process of its own, one batch ahead of learning",
    )
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="with --async: sample only by parameters that have learned from all before",
    )


def chosen_runner(runner: BaseRunner, args: argparse.Namespace) -> BaseRunner:
    """``runner`` as the options want it, or as torchrun does.

    Raises:
        RlpytError: for options that do not go together.
    """
    if args.lockstep and not args.is_async:
        raise RlpytError("usage", "--lockstep without --async", hint="give both, or neither")
    if args.is_async:
        own = {"world_size": args.world_size or 1, "lockstep": args.lockstep}
        return AsyncRl(**_common(runner), **own)
    if args.world_size is None and launched_seat(1.0) is None:
        return runner
    return SyncRl(**_common(runner), world_size=args.world_size)


def _common(runner: BaseRunner) -> dict[str, Any]:
    return {f.name: getattr(runner, f.name) for f in fields(BaseRunner) if f.init}
