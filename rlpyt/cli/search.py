"""``rlpyt search``: which settings score highest, over groups of seeds."""

import argparse
import shlex
from functools import partial
from pathlib import Path

from rich import box
from rich.markup import escape
from rich.table import Table

from rlpyt.cli.command import RUN_ERROR, USAGE_ERROR, Command, print_error
from rlpyt.cli.preflight import checked_runner, print_forecast
from rlpyt.cli.presets.registry import ALGORITHMS
from rlpyt.cli.search_arguments import add_search_arguments
from rlpyt.cli.space_words import space_of
from rlpyt.cli.target import Target, check_given_once, env_override, option_words
from rlpyt.evaluation.run_scores import ScoreRule
from rlpyt.evaluation.runs import short_name
from rlpyt.launch.affinity import get_n_run_slots
from rlpyt.launch.queue import Queue
from rlpyt.logging.console import RunConsole
from rlpyt.logging.context import default_log_dir
from rlpyt.search.experiment import check_search, run_search
from rlpyt.search.figure import FIGURE_FILE
from rlpyt.search.plan import SearchPlan, plan_search
from rlpyt.search.program import Program, trial_name
from rlpyt.search.results import (
    BIAS,
    CSV_FILE,
    SearchResult,
    TrialResult,
    settings_text,
    value_text,
)
from rlpyt.search.space import edges
from rlpyt.search.standing import WORST
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]

_MOST_ROWS = 20  # on the terminal
_FRESH = 10  # seeds to train the best with


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    overrides = [*env_override(args.env), *overrides]
    target = Target.parse(args.target)
    build = None
    if target.kind != "script":
        build = partial(checked_runner, target, args, overrides)
    try:
        n_steps = args.steps if build is None else build({}).n_steps
        plan = _plan(target, args, overrides, n_steps)
        runners = check_search(plan, build, args.affinity)
    except RlpytError as error:  # whatever its code: the command line asks for what is not
        print_error(error)
        return USAGE_ERROR
    program = _program(target, args, overrides)
    directory = args.out or default_log_dir(f"search-{target.title}")
    slots = get_n_run_slots(args.affinity)
    print(f"{plan.text}; {slots} runs at a time, into {directory}")
    if runners and not args.no_preflight:
        share = plan.share * plan.n_trials / len(runners)
        with_time = not (args.dry_run or Queue.is_in(directory))
        print_forecast(runners, len(plan.seeds), slots, directory, with_time=with_time, share=share)
    if args.dry_run:
        _print_trials(plan)
        return 0
    console = RunConsole(highlight=False, soft_wrap=True)
    try:
        result = run_search(
            plan,
            program,
            directory,
            build,
            affinity_code=args.affinity,
            tell=partial(console.print, markup=False),
        )
    except SystemExit:
        console.print(f"stopped; go on with the same command and --out {directory}", markup=False)
        raise
    _print(result, args, overrides, target, console)
    return 0 if result.best is not None else RUN_ERROR


def _plan(
    target: Target, args: argparse.Namespace, overrides: list[str], n_steps: int | None
) -> SearchPlan:
    if args.seed:
        hint = f"write --seeds {args.seed}, for the runs or --search-seed for the values"
        raise RlpytError("usage", "--seed is of one run", hint=hint)
    if not args.space and not target.choice:
        hint = "write --space algo.learning_rate=log:1e-5:1e-2"
        raise RlpytError("usage", "no --space is given", hint=hint)
    space = space_of(args.space)
    plan = plan_search(
        {**space, **target.choice},
        method=args.method,
        n_trials=args.trials,
        seeds=args.seeds,
        n_steps=n_steps,
        factor=args.factor,
        n_rungs=args.rungs,
        min_steps=args.min_steps,
        search_seed=args.search_seed,
        rule=ScoreRule(kind=args.score, column=args.y),
    )
    check_given_once(overrides, plan.space, "--space")
    return plan


def _program(target: Target, args: argparse.Namespace, overrides: list[str]) -> Program:
    if target.kind == "script":  # the trial's variant tells it the steps
        args = argparse.Namespace(**{**vars(args), "steps": None})
    command, words = target.program(args, overrides)
    return Program(name=words or [target.path], command=command, cwd=str(Path.cwd()), args=words)


def _print_trials(plan: SearchPlan) -> None:
    for number, values in enumerate(plan.values()):
        print(f"{trial_name(number)}: {settings_text(values)}")
    if plan.method == "optuna":
        for values in edges(plan.space):
            print(f"an edge of the space: {settings_text(values)}")
    print("nothing was started")


def _print(
    result: SearchResult,
    args: argparse.Namespace,
    overrides: list[str],
    target: Target,
    console: RunConsole,
) -> None:
    console.print(_table(result))
    if len(result.trials) > _MOST_ROWS:
        console.print(f"... {len(result.trials) - _MOST_ROWS} more in {CSV_FILE}")
    for note in result.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}")
    best = result.best
    if best is None:
        console.print(f"no trial has a score; see `rlpyt status {result.directory}`", markup=False)
        return
    console.print(f"[yellow]note:[/yellow] {BIAS}:")
    for line in _best_commands(result, best, args, overrides, target):
        console.print(f"  {line}", markup=False)
    files = f"{result.directory / CSV_FILE}, {result.directory / FIGURE_FILE}"
    console.print(files, markup=False)


def _table(result: SearchResult) -> Table:
    paths = list(result.plan.space)
    trials = result.trials[:_MOST_ROWS]
    columns: dict[str, list[str]] = {"rank": [str(n) for n, _ in enumerate(trials, 1)]}
    columns["trial"] = [trial.name for trial in trials]
    for path in paths:
        columns[short_name(path, paths)] = [_short(trial.values[path]) for trial in trials]
    columns["IQM"] = ["failed" if t.iqm == WORST else f"{t.iqm:.4g}" for t in trials]
    ends = [trial.interval for trial in trials]
    columns["95 % interval"] = ["" if e is None else f"{e[0]:.4g} to {e[1]:.4g}" for e in ends]
    columns["failed"] = [str(trial.n_failed or "") for trial in trials]
    columns["steps"] = ["" if trial.steps is None else f"{trial.steps:,}" for trial in trials]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    for title in shown:
        table.add_column(escape(title), justify="right", overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(escape, cells))
    return table


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value_text(value)


def _best_commands(
    result: SearchResult,
    best: TrialResult,
    args: argparse.Namespace,
    overrides: list[str],
    target: Target,
) -> list[str]:
    """The command lines that train the best again, with seeds it was not chosen by."""
    first = max(result.plan.seeds) + 1
    seeds = ["--seeds", f"{first}-{first + _FRESH - 1}"]
    values = {path: value for path, value in best.values.items() if path != target.kind}
    settings = [f"{path}={value_text(value)}" for path, value in values.items()]
    name = args.target
    if target.kind in best.values:
        name = f"{args.target.partition(':')[0]}:" * bool(target.path) + target.chosen(best.values)
    if target.kind == "script":
        steps = [f"n_steps={result.plan.n_steps}"] if result.plan.n_steps else []
        return [shlex.join(["rlpyt", "launch", name, *seeds, "--grid", *settings, *steps])]
    env = [part.partition("=")[2] for part in overrides if part.startswith("env=")]
    own = [part for part in overrides if not part.startswith("env=")]
    words = [*option_words(args), *own, *settings]
    lines = [shlex.join(["rlpyt", "launch", name, *env, *seeds, *words])]
    if target.kind == "algorithm":
        lines.append(shlex.join(["rlpyt", "train", name, *env, "--seed", str(first), *words]))
    return lines


COMMAND = Command(
    summary="search the settings that score highest, over groups of seeds",
    description=(
        "Try points of a space of settings, each with a group of seeds, over all of this machine,\n"
        "and rank them by the interquartile mean (IQM) of their runs' scores; a run that fails\n"
        "counts as the worst. Random search trains all of them; successive halving\n"
        "(arXiv:1502.07943) all for a while, and the best go on from their checkpoints; optuna\n"
        'chooses the next by what is known of the others (pip install "rlpyt[optuna]").\n'
        "The same command with the same --out goes on after an interruption.\n"
        "Settings that are key=value, as for rlpyt train, are the same in all runs."
    ),
    examples=(
        "examples:\n"
        "  rlpyt search ppo CartPole-v1 --space algo.learning_rate=log:1e-5:1e-2 --steps 50000\n"
        "  rlpyt search ppo CartPole-v1 --halving --trials 27 --seeds 3 --steps 100000\n"
        "    --space algo.learning_rate=log:1e-5:1e-2 algo.discount=uniform:0.9:0.999\n"
        "    algo.epochs=int:1:10 algo.minibatches=1,2,4 --out data/search\n"
        "  rlpyt search experiments/ppo_classic.py:acrobot --method optuna\n"
        "    --space algo.gae_lambda=uniform:0.8:1\n"
        "  rlpyt search my_script.py --space algo.learning_rate=log:1e-4:1e-2\n"
        f"algorithms: {', '.join(sorted(ALGORITHMS))}"
    ),
    add_arguments=add_search_arguments,
    run=_run,
    takes_overrides=True,
)
