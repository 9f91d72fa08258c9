"""``rlpyt train``: one command to a learning curve."""

import argparse
import os
import re
from dataclasses import replace
from pathlib import Path

from gymnasium.spaces import Discrete

from rlpyt.algos.pg.ppo import PPO
from rlpyt.cli.arguments import add_device_option, add_output_options, positive, seed
from rlpyt.cli.command import USAGE_ERROR, Command, print_error
from rlpyt.cli.init_from import add_init_options, with_init
from rlpyt.cli.presets.registry import ALGORITHMS, check_algorithm, default_runner
from rlpyt.cli.resume import continue_run
from rlpyt.cli.rundir import NewRunDir, draw_curve, has_evidence, opened_log, was_stopped
from rlpyt.cli.runners import add_parallel_options, chosen_runner
from rlpyt.cli.samplers import add_sampler_options, chosen_sampler
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.context import default_log_dir
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.ranks import launched_seat
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides

__all__ = ["COMMAND", "add_runner_options", "build_runner", "env_of", "with_options"]


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """Declare what :func:`build_runner` reads, but for ALGORITHM and ENV."""
    parser.add_argument(
        "--steps", type=positive, metavar="N", help="environment steps in all (1e6 is a number too)"
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="of the whole run (default 0)"
    )
    parser.add_argument(
        "--n-envs", type=positive, metavar="N", help="environments stepped together (default 8)"
    )
    add_sampler_options(parser)
    add_parallel_options(parser)
    add_init_options(parser)
    parser.add_argument(
        "--recurrent",
        choices=["none", "lstm", "gru"],
        default="none",
        help="the agent's memory (default none)",
    )
    parser.add_argument(
        "--eval-episodes",
        type=positive,
        metavar="N",
        help="evaluate offline, N episodes each time",
    )
    add_device_option(parser)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "algorithm",
        metavar="ALGORITHM",
        help=f"one of: {', '.join(sorted(ALGORITHMS))}",
    )
    parser.add_argument(
        "env", metavar="ENV", help='Gymnasium id, or "module:callable" that makes an environment'
    )
    add_runner_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="run directory, new or empty (default data/local/...)",
    )
    add_output_options(parser)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    launched = launched_seat(1.0)
    if launched is not None and launched.rank:  # the first process of torchrun does the rest
        build_runner(args, overrides).train()
        return 0
    restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))
    if launched is not None and restarts and args.out and (args.out / "checkpoints").is_dir():
        return continue_run(args.out, build_runner(args, overrides), args)
    return _run_new(args, overrides)


def _run_new(args: argparse.Namespace, overrides: list[str]) -> int:
    name = re.sub(r"[^A-Za-z0-9_.=-]+", "-", f"{args.algorithm}_{args.env}")
    run_dir: Path = args.out or default_log_dir(name) / "run_0"
    with NewRunDir(run_dir) as claim:
        try:
            runner = build_runner(args, overrides)
        except RlpytError as error:  # whatever its code: the command line asks for what is not
            print_error(error)
            return USAGE_ERROR
        logger = opened_log(run_dir, name, 0, args)
        try:
            runner.train(logger)
            if not args.no_plot:
                logger.text(draw_curve(run_dir), runner.n_itr)
            logger.text(f"evaluate it with `rlpyt eval {run_dir}`", runner.n_itr)
        finally:
            is_told = was_stopped(run_dir) or has_evidence(run_dir)
            claim.begun = runner.cum_steps > 0 or is_told
            logger.close()
    return 0


def build_runner(args: argparse.Namespace, overrides: list[str]) -> BaseRunner:
    """The default runner with what the command line changes.

    Raises:
        RlpytError: for an unknown algorithm, environment or setting, or values that do not fit.
    """
    check_algorithm(args.algorithm)
    for override in overrides:
        if override.startswith(("sampler.env=", "sampler.env.id=")):
            raise RlpytError("config", override, hint="ENV is the second argument of rlpyt train")
    runner = default_runner(args.algorithm, env_of(args.env, overrides), args.recurrent)
    return with_options(runner, args, overrides)


def with_options(runner: BaseRunner, args: argparse.Namespace, overrides: list[str]) -> BaseRunner:
    """A copy of ``runner`` with what the options of :func:`add_runner_options`, but for the agent's
    memory, and the overrides change.

    Raises:
        RlpytError: for an unknown setting, or values that do not fit.
    """
    runner = chosen_runner(replace(runner, seed=args.seed, device=args.device), args)
    runner = with_init(runner, args)
    if args.steps is not None:
        runner = replace(runner, n_steps=args.steps)
    if args.n_envs is not None:
        runner = replace(runner, sampler=replace(runner.sampler, batch_B=args.n_envs))
        if args.recurrent != "none" and isinstance(runner.algo, PPO):  # whole sequences
            fewer = min(runner.algo.minibatches, args.n_envs)
            runner = replace(runner, algo=replace(runner.algo, minibatches=fewer))
    runner = replace(runner, sampler=chosen_sampler(runner.sampler, args))
    if args.eval_episodes is not None:
        runner = replace(runner, evaluator=Evaluator(episodes=args.eval_episodes))
    return apply_overrides(runner, overrides)


def env_of(env: str, overrides: list[str]) -> EnvConfig:
    """The environment with its overrides: its spaces, which choose the defaults, may depend on
    them.
    """
    any_spaces = EnvSpaces(Discrete(2), Discrete(2))
    draft = ALGORITHMS["ppo"](EnvConfig(id=env), any_spaces, "none")
    chosen = [override for override in overrides if override.startswith("sampler.env.")]
    return EnvConfig.of(apply_overrides(draft, chosen).sampler.env)


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
        "  rlpyt train dqn ALE/Pong-v5 algo.double=true agent.model_kwargs.dueling=true\n"
        "  rlpyt train ppo CartPole-v1 --sampler cpu --workers 2 sampler.group_size=4\n"
        "  rlpyt train ppo CartPole-v1 --world-size 2\n"
        "  rlpyt train sac HalfCheetah-v5 --async\n"
        "  rlpyt train ppo CartPole-v1 --init-from data/cartpole algo.learning_rate=1e-4\n"
        "  rlpyt train ppo Pendulum-v1 --eval-episodes 20 "
        "agent.model_kwargs.hidden_sizes=[256,256]\n"
        "  rlpyt train ppo my_package.envs:make_maze sampler.env.kwargs.size=9 --recurrent lstm"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
