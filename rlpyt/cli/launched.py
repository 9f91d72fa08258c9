"""The program of a run that ``rlpyt launch`` starts for an algorithm or an experiment:
``python -m rlpyt.cli.launched <slot>slt_<code> <log_dir> <run_ID> TARGET [options] [key=value]``.
"""

import sys
from dataclasses import replace

from rlpyt.cli.main import run_program
from rlpyt.cli.rundir import draw_curve
from rlpyt.cli.target import Target, run_options
from rlpyt.launch.launched import LaunchedRun
from rlpyt.logging.logger import Logger
from rlpyt.runners.continued import train_or_continue

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
    logger = Logger(
        run.run_dir,
        target.chosen(run.variant),
        run.run_ID,
        tensorboard=not args.no_tensorboard,
        sinks=args.sink,
        console=not args.quiet,
        resume=True,
    )
    try:
        if train_or_continue(runner, logger) and not args.no_plot:
            logger.text(draw_curve(run.run_dir), runner.n_itr)
    finally:
        logger.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
