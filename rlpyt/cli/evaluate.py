"""``rlpyt eval``: how good is a trained agent?"""

import argparse
import json
import math
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from rlpyt.checkpoint.manifest import Manifest
from rlpyt.cli.arguments import add_device_option, positive, seed
from rlpyt.cli.command import Command
from rlpyt.cli.rundir import checkpoints_of, find_run, load_runner
from rlpyt.cli.samplers import as_sampler
from rlpyt.cli.video import check_video, record_video
from rlpyt.data import TrajInfo
from rlpyt.logging.statistics import STATISTICS, five_statistics
from rlpyt.logging.table import format_number
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.device import resolve_device
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    parser.add_argument(
        "--episodes", type=positive, default=50, metavar="N", help="how many (default 50)"
    )
    parser.add_argument(
        "--seed", type=seed, metavar="N", help="of the evaluation (default: the run's)"
    )
    parser.add_argument(
        "--best", action="store_true", help="the best checkpoint instead of the newest"
    )
    parser.add_argument(
        "--stochastic",
        action="store_true",
        help="sample actions instead of taking the mode (the run's evaluator may say so too)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--video", type=Path, metavar="FILE.mp4", help="also record one episode")
    add_device_option(parser)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    with redirect_stdout(sys.stderr):  # what environments print is no part of the result
        result = _evaluate(run_dir, args)
    if args.json:
        print(json.dumps(result, allow_nan=False))
    else:
        _show(result, run_dir)
    return 0


def _evaluate(run_dir: Path, args: argparse.Namespace) -> dict[str, Any]:
    if args.video is not None:
        check_video(args.video)
    runner = load_runner(run_dir)
    # Here, whatever sampled in training: no workers for a few episodes, and videos need the env.
    runner = replace(runner, sampler=as_sampler(runner.sampler, "serial"))
    manifest = _load_agent(runner, run_dir, args)
    seed = runner.seed if args.seed is None else args.seed
    evaluator = _evaluator(runner, args)
    evaluator.initialize(runner.agent, runner.sampler, seed=seed, discount=runner.algo.discount)
    try:
        trajs = evaluator.evaluate(0)
    finally:
        evaluator.shutdown()
    result = _result(trajs, manifest, seed)
    if args.video is not None:
        video = record_video(runner, args.video, seed=seed, greedy=evaluator.greedy)
        result["video"] = str(video)
    return result


def _evaluator(runner: BaseRunner, args: argparse.Namespace) -> Evaluator:
    """The run's own evaluator, where it has one, for the episodes asked for."""
    own = Evaluator() if runner.evaluator is None else runner.evaluator
    greedy = own.greedy and not args.stochastic
    return replace(own, episodes=args.episodes, n_envs=min(10, args.episodes), greedy=greedy)


def _load_agent(runner: BaseRunner, run_dir: Path, args: argparse.Namespace) -> Manifest:
    """Build the agent and give it the checkpoint's parameters."""
    if runner.torch_threads is not None:
        torch.set_num_threads(runner.torch_threads)
    checkpoints = checkpoints_of(run_dir)
    if args.best:
        best = checkpoints.best()
        if best is None:
            what = f"{run_dir} has no best checkpoint: no episode had ended before any was saved"
            raise RlpytError("checkpoint", what, hint="leave out --best")
        state, manifest = checkpoints.load(best)
    else:
        state, manifest = checkpoints.load_latest()
    runner.agent.initialize(
        runner.sampler.env_spaces(), seed=runner.seed, device=resolve_device(args.device)
    )
    runner.agent.load_state_dict(state["agent"])
    return manifest


def _result(trajs: list[TrajInfo], manifest: Manifest, seed: int) -> dict[str, Any]:
    rows = [traj.columns() for traj in trajs]
    result: dict[str, Any] = {
        "episodes": len(rows),
        "seed": seed,
        "itr": manifest.itr,
        "cum_steps": manifest.cum_steps,
    }
    for name in rows[0] if rows else ():
        statistics = five_statistics(name, [row[name] for row in rows])
        result |= {key: x if math.isfinite(x) else None for key, x in statistics.items()}
    return result


def _show(result: dict[str, Any], run_dir: Path) -> None:
    console = Console(highlight=False)
    steps = f"{result['cum_steps']:,} steps"
    episodes = f"{result['episodes']} episode{'' if result['episodes'] == 1 else 's'}"
    heading = f"{episodes} after {steps}, evaluation seed {result['seed']}"
    console.print(f"{run_dir}: {heading}", markup=False, emoji=False, soft_wrap=True)
    table = Table("", box=None, pad_edge=False)
    for statistic in STATISTICS:
        table.add_column(statistic, justify="right", style="bold" if statistic == "Average" else "")
    for key in result:
        if key.endswith(STATISTICS[0]):
            name = key.removesuffix(STATISTICS[0])
            values = [result[f"{name}{statistic}"] for statistic in STATISTICS]
            table.add_row(name, *["-" if x is None else format_number(x) for x in values])
    if table.rows:
        console.print(table)
    if "video" in result:
        console.print(f"video: {result['video']}", markup=False, emoji=False, soft_wrap=True)


COMMAND = Command(
    summary="evaluate a trained agent",
    description=(
        "Run episodes with the newest parameters of RUN_DIR, on seeds that training never used."
    ),
    examples=(
        "examples:\n"
        "  rlpyt eval data/cartpole --episodes 50\n"
        "  rlpyt eval data/cartpole --json --video out.mp4"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
