"""``rlpyt doctor``: what limits the speed of a run, and what to change?"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlpyt.cli.arguments import positive
from rlpyt.cli.command import USAGE_ERROR, Command, print_error
from rlpyt.cli.presets.registry import ALGORITHMS
from rlpyt.cli.rundir import find_run
from rlpyt.cli.target import option_words
from rlpyt.cli.train import add_runner_options, build_runner
from rlpyt.cli.tune import tune
from rlpyt.evaluation.doctor import Diagnosis, diagnose, shares_text
from rlpyt.evaluation.measure import measure
from rlpyt.evaluation.profile import RunProfile, read_profile
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]

_SECONDS, _TUNE_SECONDS = 10, 60
_OF_MEASUREMENTS = ("tune", "seconds", "out")  # beside the options of a run


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="RUN_DIR | ALGORITHM",
        help=f"a run to look at, or one of: {', '.join(sorted(ALGORITHMS))}",
    )
    parser.add_argument(
        "env",
        metavar="ENV",
        nargs="?",
        help="with ALGORITHM: the environment, as for rlpyt train",
    )
    add_runner_options(parser)
    parser.add_argument(
        "--seconds",
        type=positive,
        metavar="N",
        help=f"to measure, about (default {_SECONDS}; with --tune {_TUNE_SECONDS} in all)",
    )
    parser.add_argument(
        "--tune", action="store_true", help="measure several plans, and write the best"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="with --tune: where the best plan goes (default plan.json)",
    )
    parser.add_argument("--json", action="store_true", help="print the diagnosis as JSON")


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    _check(args, overrides)
    if args.env is None:
        run_dir = find_run(Path(args.target))
        _show(str(run_dir), read_profile(run_dir), args.json)
        return 0
    args.algorithm = args.target
    try:
        build_runner(args, overrides)
    except RlpytError as error:  # whatever its code: the command line asks for what is not
        print_error(error)
        return USAGE_ERROR
    if args.tune:
        tune(args, overrides, build_runner)
        return 0

    def build() -> BaseRunner:
        return build_runner(args, overrides)

    name = f"{args.algorithm} on {args.env}"
    with Console(stderr=True).status(f"{name}: {args.seconds} s of training", refresh_per_second=2):
        profile = measure(build, args.seconds)
    _show(name, profile, args.json)
    return 0


def _check(args: argparse.Namespace, overrides: list[str]) -> None:
    """Raise for options that do not go together; fill in defaults that depend on others."""
    measures = args.env is not None and "=" not in args.env
    if not measures:
        if args.target in ALGORITHMS and not Path(args.target).exists():
            hint = f"write rlpyt doctor {args.target} ENV"
            raise RlpytError("usage", f"{args.target} needs an environment", hint=hint)
        given = [*overrides, *([args.env] if args.env else [])]
        given += option_words(args)
        given += [f"--{name}" for name in _OF_MEASUREMENTS if vars(args)[name]]
        if given:
            what = f"{given[0]} is for a measurement, not for a run that has been"
            raise RlpytError("usage", what, hint="write rlpyt doctor ALGORITHM ENV")
    if args.out is not None and not args.tune:
        raise RlpytError("usage", "--out is for the best plan", hint="add --tune")
    args.out = args.out or Path("plan.json")
    args.seconds = args.seconds or (_TUNE_SECONDS if args.tune else _SECONDS)


def _show(name: str, profile: RunProfile, as_json: bool) -> None:
    diagnosis = diagnose(profile)
    if as_json:
        print(json.dumps({**asdict(diagnosis), "profile": asdict(profile)}, indent=2))
    else:
        _print(name, profile, diagnosis, Console(highlight=False))


def _print(name: str, profile: RunProfile, diagnosis: Diagnosis, console: Console) -> None:
    workers = "" if profile.sampler == "serial" else f", {profile.workers_text}"
    what = f"{profile.sampler} sampler{workers}, {profile.batch_B} environments"
    speed = f"{profile.steps_per_second:,.0f} steps/s"
    console.print(f"[bold]{escape(name)}[/bold]: {what}, {speed}", soft_wrap=True)
    console.print(f"[bold]{escape(diagnosis.evidence)}[/bold]", soft_wrap=True)
    console.print(f"the time: {shares_text(profile)}", soft_wrap=True)
    if not diagnosis.advice:
        console.print("no setting that is known here promises to change that")
        return
    table = Table("change", "predicted", "because", box=box.SIMPLE_HEAD, pad_edge=False)
    for advice in diagnosis.advice:
        gain = f"{advice.predicted_gain:.2f}x"
        table.add_row(escape(advice.change), gain, escape(advice.reason))
    console.print(table)


COMMAND = Command(
    summary="say what limits the speed of a run",
    description=(
        "Say what limits the speed of a run, and what to change with the gain it predicts: of the\n"
        "run in RUN_DIR, from its log, or of ALGORITHM on ENV, from a short run that is not kept.\n"
        "--tune measures several plans in turn and writes the fastest."
    ),
    examples=(
        "examples:\n"
        "  rlpyt doctor data/cartpole\n"
        "  rlpyt doctor ppo CartPole-v1 --sampler cpu --workers 2\n"
        "  rlpyt doctor ppo CartPole-v1 --seconds 20 sampler.batch_B=16 --json\n"
        "  rlpyt doctor ppo CartPole-v1 --tune --out plan.json"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
