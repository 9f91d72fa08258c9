"""``rlpyt train``: one command to a learning curve."""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from rlpyt.cli.command import Command
from rlpyt.cli.presets import ALGORITHMS, default_runner
from rlpyt.cli.rundir import draw_curve
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.context import default_log_dir
from rlpyt.logging.logger import Logger
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.config import apply_overrides
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]


def _positive(text: str) -> int:
    try:
        value = int(float(text.replace("_", ""))) if "e" in text.lower() else int(text)
    except ValueError:
        value = 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("algorithm", help=f"one of: {', '.join(sorted(ALGORITHMS))}")
    parser.add_argument("env", help='Gymnasium id, or "module:callable" that makes an environment')
    parser.add_argument("--steps", type=_positive, help="environment steps in all")
    parser.add_argument("--seed", type=_seed, default=0, help="of the whole run (default 0)")
    parser.add_argument(
        "--n-envs", type=_positive, help="environments stepped together (default 8)"
    )
    parser.add_argument("--recurrent", choices=["none", "lstm", "gru"], default="none")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="run directory, new or empty (default data/local/...)",
    )
    parser.add_argument(
        "--eval-episodes",
        type=_positive,
        metavar="N",
        help="evaluate offline, N episodes each time",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, ... (default auto)")
    parser.add_argument("--no-tensorboard", action="store_true", help="write no event files")
    parser.add_argument("--no-plot", action="store_true", help="draw no curve.png at the end")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    runner = _build(args, overrides)
    name = f"{args.algorithm}_{args.env}".replace("/", "-").replace(":", "-")
    run_dir = args.out or default_log_dir(name) / "run_0"
    existed = run_dir.exists()
    _refuse_taken(run_dir)
    logger = Logger(run_dir, name, 0, tensorboard=not args.no_tensorboard, console=not args.quiet)
    try:
        logger.text(f"{args.algorithm} on {args.env}, seed {args.seed}, into {run_dir}", 0)
        runner.train(logger)
        if not args.no_plot:
            logger.text(f"learning curve: {draw_curve(run_dir)}", runner.n_itr)
    except RlpytError:
        if not existed and runner.cum_steps == 0:
            shutil.rmtree(run_dir, ignore_errors=True)  # it never started: leave nothing behind
        raise
    finally:
        logger.close()
    return 0


def _build(args: argparse.Namespace, overrides: list[str]) -> MinibatchRl:
    """The default runner with what the command line changes."""
    runner = default_runner(args.algorithm, EnvConfig(id=args.env), args.recurrent)
    runner = replace(runner, seed=args.seed, device=args.device)
    if args.steps is not None:
        runner = replace(runner, n_steps=args.steps)
    if args.n_envs is not None:
        runner = replace(runner, sampler=replace(runner.sampler, batch_B=args.n_envs))
    if args.eval_episodes is not None:
        runner = replace(runner, evaluator=Evaluator(episodes=args.eval_episodes))
    return apply_overrides(runner, overrides)


def _refuse_taken(run_dir: Path) -> None:
    """A second run never erases the first."""
    if (run_dir / "progress.csv").exists() or (run_dir / "checkpoints").exists():
        raise RlpytError(
            "directory",
            f"{run_dir} already holds a run",
            hint=f"continue it with `rlpyt resume {run_dir}`, or choose another --out",
        )


COMMAND = Command(
    summary="train an agent",
    description=(
        "Train ALGORITHM on ENV, with defaults chosen from the environment's spaces.\n"
        "Any setting can be given as key=value; its name is the path in the run's params.json."
    ),
    examples=(
        "examples:\n"
        "  rlpyt train ppo CartPole-v1 --steps 100000 --seed 0 --out data/cartpole\n"
        "  rlpyt train a2c Acrobot-v1 --n-envs 16 algo.learning_rate=1e-3\n"
        "  rlpyt train ppo Pendulum-v1 --eval-episodes 20 agent.model_kwargs.hidden_sizes=[256,256]"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
