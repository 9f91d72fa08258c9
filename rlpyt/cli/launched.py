"""The program of a run that ``rlpyt launch`` starts for an algorithm or an experiment:
``python -m rlpyt.cli.launched <slot>slt_<code> <log_dir> <run_ID> TARGET [options] [key=value]``.
"""

import sys
from dataclasses import replace

from rlpyt.cli.main import run_program
from rlpyt.cli.resume import train_into
from rlpyt.cli.target import Target, run_options
from rlpyt.launch.launched import LaunchedRun

__all__ = ["main"]


def main() -> int:
    """Train, or go on where the run was interrupted; returns the exit code."""
    return run_program(_run)


def _run() -> int:
    run = LaunchedRun.from_arguments()
    target = Target.parse(run.args[0])
    args, overrides = run_options(run.args[1:])
    runner = target.build(run.variant, args, overrides)
    runner = run.affinity.assign(replace(runner, seed=run.run_ID))
    if args.device != "auto":
        runner = replace(runner, device=args.device)
    return train_into(run.run_dir, runner, args, target.chosen(run.variant), run.run_ID)


if __name__ == "__main__":
    sys.exit(main())
