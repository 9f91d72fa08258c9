"""``rlpyt env-check``: is this environment sound, and if not, what is to be mended?"""

import argparse

from rich.console import Console

from rlpyt.cli.arguments import positive, seed
from rlpyt.cli.command import Command
from rlpyt.envs.check import check_env
from rlpyt.envs.check_report import print_report
from rlpyt.envs.gym import find_spec

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "env", metavar="ENV", help='Gymnasium id, or "module:callable" that makes an environment'
    )
    parser.add_argument(
        "--steps",
        type=positive,
        default=1000,
        metavar="N",
        help="random steps to take (default 1000)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="of its episodes (default 0)"
    )


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    if ":" not in args.env:
        find_spec(args.env)  # an unknown id is a mistake on the command line, not a finding
    report = check_env(args.env, steps=args.steps, seed=args.seed)
    print_report(report, Console())
    return 0 if report.ok else 1


COMMAND = Command(
    summary="check an environment and say what to mend",
    description=(
        "Take random steps in ENV and check spaces, determinism under a seed, episode ends,\n"
        "finite numbers, pickling and speed. Exit code 1 if something must be mended."
    ),
    examples="example:\n  rlpyt env-check my_package.envs:make_maze",
    add_arguments=_add_arguments,
    run=_run,
)
