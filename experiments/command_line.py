"""The command line that every experiment has: which one, seed, steps, where the run goes, and any
other setting as key=value.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rlpyt.logging import Logger, default_log_dir
from rlpyt.runners import MinibatchRl
from rlpyt.utils.overrides import apply_overrides


def main(
    description: str | None,
    experiments: Mapping[str, Callable[[], MinibatchRl]],
    argv: Sequence[str] | None = None,
) -> None:
    """Run one of ``experiments``, by name; the first where none is named."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    first = next(iter(experiments))
    parser.add_argument("name", nargs="?", default=first, choices=list(experiments))
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="such as algo.replay.size=100000"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="environment steps, instead of the published")
    parser.add_argument("--out", type=Path, help="run directory (default data/local/...)")
    args = parser.parse_intermixed_args(argv)
    runner = replace(experiments[args.name](), seed=args.seed)
    if args.steps is not None:
        runner = replace(runner, n_steps=args.steps)
    runner = apply_overrides(runner, args.overrides)
    logger = Logger(args.out or default_log_dir(args.name) / "run_0", args.name, 0)
    try:
        runner.train(logger)
    finally:
        logger.close()
