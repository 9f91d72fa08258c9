"""``rlpyt convert``: what another library has learned, as a run of ours."""

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch

from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.cli.command import Command
from rlpyt.cli.presets.registry import check_algorithm, default_runner
from rlpyt.cli.rundir import NewRunDir
from rlpyt.cli.train import env_of
from rlpyt.convert.fitting import critic_of, fill, n_critics, refuse_other_bounds
from rlpyt.convert.foreign import Foreign, read_foreign
from rlpyt.convert.layouts import LAYOUTS, plan_of
from rlpyt.convert.source import Plan, Source
from rlpyt.logging.logger import Logger
from rlpyt.logging.run_state import write_run_state
from rlpyt.models.mlp import Nonlinearity
from rlpyt.runners.announce import log_settings
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kind",
        choices=sorted(LAYOUTS),
        metavar="KIND",
        help=f"one of: {', '.join(sorted(LAYOUTS))}",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what the library saved")
    parser.add_argument("env", metavar="ENV", help="the environment that it was trained on")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="run directory, new or empty"
    )
    parser.add_argument(
        "--algorithm", metavar="NAME", help="of the run's settings (default: by the parameters)"
    )
    parser.add_argument(
        "--nonlinearity",
        choices=get_args(Nonlinearity),
        help="between hidden layers (default: as saved, or what the library usually takes)",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="run the code in the file, in a process that is shut in; for files you trust anyway",
    )
    parser.add_argument(
        "--no-sandbox",
        action="store_true",
        help="where no process can be shut in, read tensors and plain containers all the same",
    )


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    if args.algorithm is not None:
        check_algorithm(args.algorithm)
    if args.allow_pickle:
        what = "WARNING: --allow-pickle runs whatever code is in"
        print(f"{what} {args.file}; it is shut in, but trust is better", file=sys.stderr)
    foreign = read_foreign(
        args.kind, args.file, run_code=args.allow_pickle, confined=not args.no_sandbox
    )
    nonlinearity = args.nonlinearity or foreign.nonlinearity
    plan = plan_of(args.kind, Source(foreign.tensors, args.file), nonlinearity)
    runner = _runner(plan, foreign, args, overrides)
    env_spaces = runner.sampler.env_spaces()
    refuse_other_bounds(plan, env_spaces, args.file)
    runner.agent.initialize(env_spaces, seed=runner.seed, device=torch.device("cpu"))
    fill(runner.agent, plan, args.file)
    critic = critic_of(plan, env_spaces, args.file)
    state = {
        "itr": 0,
        "agent": runner.agent.state_dict(),
        "critic": None if critic is None else critic.state_dict(),
    }
    _write(args, runner, state, foreign.cum_steps)
    n = sum(tensor.numel() for _origin, tensor in plan.parameters.values())
    print(f"{n:,} parameters of an agent for {plan.algorithm} are in {args.out}")
    print(f"evaluate it with `rlpyt eval {args.out}`")
    return 0


def _runner(
    plan: Plan, foreign: Foreign, args: argparse.Namespace, overrides: list[str]
) -> BaseRunner:
    """The default runner for an agent with these parameters."""
    runner = default_runner(args.algorithm or plan.algorithm, env_of(args.env, overrides))
    if plan.critic and isinstance(runner.algo, QpgAlgorithm):
        kwargs = {**runner.algo.critic_kwargs, **plan.critic_kwargs}
        algo = replace(runner.algo, n_critics=n_critics(plan), critic_kwargs=kwargs)
        runner = replace(runner, algo=algo)
    if not isinstance(runner.agent, PgAgent | DqnAgent | QpgAgent):
        what = f"{args.algorithm} has an agent of another kind"
        raise RlpytError("usage", what, hint="leave --algorithm out")
    runner = replace(runner, agent=replace(runner.agent, model_kwargs=plan.model_kwargs))
    if foreign.discount is not None:
        runner = replace(runner, algo=replace(runner.algo, discount=foreign.discount))
    return apply_overrides(runner, overrides)


def _write(
    args: argparse.Namespace, runner: BaseRunner, state: dict[str, Any], cum_steps: int
) -> None:
    """A run directory that ``rlpyt eval`` and ``--init-from`` take."""
    with args.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    lineage = {"converted_from": args.kind, "file": str(args.file.absolute()), "sha256": digest}
    with NewRunDir(args.out) as claim:
        logger = Logger(
            args.out, f"{args.kind}_{args.file.stem}", 0, tensorboard=False, console=False
        )
        try:
            log_settings(logger, runner, {}, torch.device("cpu"), resume=False, lineage=lineage)
            Checkpointer(args.out / "checkpoints").save(state, itr=0, cum_steps=cum_steps)
            write_run_state(args.out, "converted")
            claim.begun = True
        finally:
            logger.close()


COMMAND = Command(
    summary="make a run of another library's checkpoint",
    description=(
        "Read FILE of Stable-Baselines3 (sb3), CleanRL (cleanrl) or rlpyt 0.1 (rlpyt), in a\n"
        "process without network and without any right to write, and make a run of the\n"
        "parameters that `rlpyt eval` and `rlpyt train --init-from` take. Optimizers and replays\n"
        "stay behind."
    ),
    examples=(
        "examples:\n"
        "  rlpyt convert sb3 ppo_cartpole.zip CartPole-v1 --out data/from_sb3\n"
        "  rlpyt convert cleanrl ppo.cleanrl_model CartPole-v1 --out data/from_cleanrl\n"
        "  rlpyt convert rlpyt params.pkl Hopper-v5 --out data/from_rlpyt"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
