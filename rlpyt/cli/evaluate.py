"""``rlpyt eval``: how good is a trained agent?"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.cli.command import Command
from rlpyt.cli.rundir import find_run, load_runner
from rlpyt.cli.video import record_video
from rlpyt.data import TrajInfo
from rlpyt.logging.statistics import five_statistics
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.device import resolve_device

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    parser.add_argument("--episodes", type=int, default=50, help="default 50")
    parser.add_argument(
        "--seed", type=int, default=None, help="of the evaluation; default: the run's"
    )
    parser.add_argument(
        "--best", action="store_true", help="the best checkpoint instead of the newest"
    )
    parser.add_argument(
        "--stochastic", action="store_true", help="sample actions instead of taking the mode"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--video", type=Path, metavar="FILE.mp4", help="also record one episode")
    parser.add_argument("--device", default="auto")


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir = find_run(args.run_dir)
    runner = load_runner(run_dir)
    manifest = _load_agent(runner, run_dir, args)
    seed = runner.seed if args.seed is None else args.seed
    evaluator = Evaluator(
        episodes=args.episodes, n_envs=min(10, args.episodes), greedy=not args.stochastic
    )
    evaluator.initialize(runner.agent, runner.sampler, seed=seed, discount=runner.algo.discount)
    try:
        trajs = evaluator.evaluate(0)
    finally:
        evaluator.shutdown()
    result = _result(trajs, manifest, seed)
    if args.video is not None:
        result["video"] = str(
            record_video(runner, args.video, seed=seed, greedy=not args.stochastic)
        )
    _show(result, run_dir, as_json=args.json)
    return 0


def _load_agent(runner: MinibatchRl, run_dir: Path, args: argparse.Namespace) -> Any:
    """Build the agent and give it the checkpoint's parameters."""
    if runner.torch_threads is not None:
        torch.set_num_threads(runner.torch_threads)
    checkpointer = Checkpointer(run_dir / "checkpoints")
    best = checkpointer.best() if args.best else None
    state, manifest = checkpointer.load(best) if best else checkpointer.load_latest()
    runner.agent.initialize(
        runner.sampler.env_spaces(), seed=runner.seed, device=resolve_device(args.device)
    )
    runner.agent.load_state_dict(state["agent"])
    return manifest


def _result(trajs: list[TrajInfo], manifest: Any, seed: int) -> dict[str, Any]:
    rows = [traj.columns() for traj in trajs]
    result: dict[str, Any] = {
        "episodes": len(rows),
        "seed": seed,
        "itr": manifest.itr,
        "cum_steps": manifest.cum_steps,
    }
    for name in rows[0] if rows else ():
        result |= five_statistics(name, [row[name] for row in rows])
    return result


def _show(result: dict[str, Any], run_dir: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    table = Table(
        title=f"{run_dir}: {result['episodes']} episodes after {result['cum_steps']:,} steps, seed {result['seed']}"
    )
    for column in ("", "Average", "Std", "Median", "Min", "Max"):
        table.add_column(column, justify="left" if not column else "right")
    for key in result:
        if key.endswith("Average"):
            name = key.removesuffix("Average")
            values = [
                result[name + suffix] for suffix in ("Average", "Std", "Median", "Min", "Max")
            ]
            table.add_row(name, *[f"{value:.4g}" for value in values])
    console = Console()
    console.print(table)
    if "video" in result:
        console.print(f"video: {result['video']}")


COMMAND = Command(
    summary="evaluate a trained agent",
    description="Run episodes with the newest parameters of RUN_DIR, on seeds that training never used.",
    examples="examples:\n  rlpyt eval data/cartpole --episodes 50\n  rlpyt eval data/cartpole --json --video out.mp4",
    add_arguments=_add_arguments,
    run=_run,
)
