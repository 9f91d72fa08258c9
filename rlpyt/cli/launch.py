"""``rlpyt launch``: a grid of runs over the slots of this machine."""

import argparse
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rlpyt.cli.arguments import add_output_options, add_preflight_option, positive
from rlpyt.cli.command import RUN_ERROR, USAGE_ERROR, Command, print_error
from rlpyt.cli.grid_words import grid_of, seeds_of
from rlpyt.cli.preflight import checked_runner, print_forecast
from rlpyt.cli.presets.registry import ALGORITHMS
from rlpyt.cli.runs_table import print_runs
from rlpyt.cli.target import Target, check_given_once, env_override, option_words
from rlpyt.cli.train import add_runner_options
from rlpyt.launch.child import run_command
from rlpyt.launch.grid import Grid
from rlpyt.launch.launcher import Launcher
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import RunSpec
from rlpyt.launch.report import report_on
from rlpyt.launch.run_slot import run_slots
from rlpyt.logging.console import RunConsole
from rlpyt.logging.context import default_log_dir
from rlpyt.logging.sinks import check_sinks
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="algorithms (ppo, or ppo,a2c), functions that return a runner (module:function or "
        "file.py:function,function), a script (file.py), or the directory of a launch, to go on",
    )
    parser.add_argument(
        "env", nargs="?", metavar="ENV", help="of algorithms; or --grid env=ENV1,ENV2"
    )
    _add_grid_options(parser)
    _add_queue_options(parser)
    add_runner_options(parser)
    add_output_options(parser)


def _add_grid_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the grid")
    group.add_argument(
        "--grid",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=V1,V2",
        help="settings and their values, such as env=CartPole-v1,Acrobot-v1; all combinations run. "
        "All words up to the next option are of the grid: TARGET and ENV stand before it",
    )
    group.add_argument(
        "--seeds",
        type=seeds_of,
        default=1,
        metavar="N",
        help="runs of each setting, with seeds from 0; or which: 3,7 or 10-19 (default 1)",
    )


def _add_queue_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the queue")
    group.add_argument(
        "--affinity",
        default="auto",
        metavar="CODE",
        help="what the runs share, such as 8cpu_2gpu (default auto: all that may be used)",
    )
    group.add_argument(
        "--out", type=Path, metavar="DIR", help="of the experiment (default data/local/...)"
    )
    group.add_argument(
        "--priority", type=int, default=0, metavar="P", help="higher is sooner (default 0)"
    )
    group.add_argument(
        "--retries", type=_count, default=1, metavar="N", help="of a run that fails (default 1)"
    )
    group.add_argument("--dry-run", action="store_true", help="show the runs, and start none")
    group.add_argument(
        "--no-start", action="store_true", help="put the runs into the queue, and start none"
    )
    add_preflight_option(group)
    group.add_argument("--no-report", action="store_true", help="compare no runs at the end")


def _count(text: str) -> int:
    return 0 if text == "0" else positive(text)


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    overrides = [*env_override(args.env), *overrides]
    if Path(args.target).is_dir():
        return _go_on(Path(args.target), args, overrides)
    if args.seed:
        raise RlpytError("usage", "--seed is of one run", hint=f"write --seeds {args.seed},")
    target = Target.parse(args.target)
    check_sinks(args.sink)
    grid = grid_of(args.grid, args.seeds, target.choice)
    check_given_once(overrides, grid.paths, "--grid")
    specs = _specs(target, grid, args, overrides)
    slots = run_slots(args.affinity)
    try:
        runners = _runners(target, grid, args, overrides)
    except RlpytError as error:  # whatever its code: the command line asks for what is not
        print_error(error)
        return USAGE_ERROR
    directory = args.out or default_log_dir(target.title)
    print(f"{len(specs)} run{'s' * (len(specs) != 1)}, {len(slots)} at a time, into {directory}")
    if runners and not args.no_preflight:
        with_time = not (args.dry_run or Queue.is_in(directory))  # or some have run already
        print_forecast(runners, len(grid.seeds), len(slots), directory, with_time=with_time)
    if args.dry_run:
        for number, spec in enumerate(specs):
            slot = slots[number % len(slots)]
            print(shlex.join(run_command(spec, directory, slot.name, slot.pinned)))
        print("nothing was started")
        return 0
    with Queue(directory, create=True) as queue:
        n_new = queue.add(specs)
        if n_new < len(specs):
            print(f"{len(specs) - n_new} of them are known already")
        if args.no_start:
            print(f"start them with `rlpyt launch {directory}`")
            return 0
        return _drain(queue, args)


def _runners(
    target: Target, grid: Grid, args: argparse.Namespace, overrides: list[str]
) -> list[BaseRunner]:
    """Of each variant, checked; none of a script, which builds its own."""
    if target.kind == "script":
        return []
    return grid.check_each(partial(checked_runner, target, args, overrides))


def _go_on(directory: Path, args: argparse.Namespace, overrides: list[str]) -> int:
    """With the queue that is there."""
    given = [*overrides, *args.grid, *option_words(args)]
    if given or args.seeds != 1 or args.out is not None:
        what = f"{directory} has its runs already; {' '.join(given) or 'a grid'} would change them"
        hint = "give only --affinity; or give algorithm, grid and --out as they were, to add runs"
        raise RlpytError("usage", what, hint=hint)
    with Queue(directory) as queue:
        if args.dry_run:
            print_runs(queue.runs())
            return 0
        return _drain(queue, args)


def _specs(
    target: Target, grid: Grid, args: argparse.Namespace, overrides: list[str]
) -> list[RunSpec]:
    command, words = target.program(args, overrides)
    return [
        RunSpec(
            command=command,
            cwd=str(Path.cwd()),
            log_dir=run.log_dir,
            run_ID=run.run_ID,
            variant=run.variant,
            args=words,
            priority=args.priority,
            retries=args.retries,
        )
        for run in grid
    ]


def _drain(queue: Queue, args: argparse.Namespace) -> int:
    others = [other for other in queue.launchers() if other.process.is_running]
    for other in others:
        print(
            f"process {other.process.pid} launches from this queue on this machine too: both start "
            "runs, each in slots of its own (--no-start only adds runs)"
        )
    directory = queue.directory
    print(f"watch them with `rlpyt watch {directory}`")
    with _shown(queue) as tell:
        launcher = Launcher(queue, args.affinity, tell=tell)
        try:
            launcher.drain()
        except SystemExit:
            tell(f"stopped; go on with `rlpyt launch {directory}`")
            raise
    unfinished = [run for run in queue.runs() if run.state != "done"]
    if unfinished:
        print_runs(unfinished)
    report = None if args.no_report else report_on(queue)
    counts = ", ".join(f"{n} {state}" for state, n in queue.counts().items())
    print(f"{counts}; " + (f"report: {report}" if report else f"runs: {directory}"))
    return RUN_ERROR if any(run.state == "failed" for run in unfinished) else 0


@contextmanager
def _shown(queue: Queue) -> Iterator[Callable[[str], None]]:
    """Gives what prints a line; on a terminal, above a bar of the runs that have ended."""
    console = RunConsole(highlight=False, soft_wrap=True)
    bar = Progress(
        TextColumn("[bold]runs[/bold]"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=None, counts="")

    def tell(line: str) -> None:
        counts = queue.counts()
        ended = sum(n for state, n in counts.items() if state not in {"queued", "running"})
        texts = ", ".join(f"{n} {state}" for state, n in counts.items())
        bar.update(task, completed=ended, total=sum(counts.values()), counts=texts)
        console.print(line, markup=False)

    with bar:
        yield tell


COMMAND = Command(
    summary="train a grid of settings and seeds, on all of this machine",
    description=(
        "Run every combination of settings, each with several seeds, over the CPUs and\n"
        "accelerators of this machine, and compare them at the end. The runs stand in a queue in\n"
        "the experiment's directory: the same command, or `rlpyt launch DIR`, goes on after an\n"
        "interruption, also from other machines that share the directory.\n"
        "Settings are key=value, as for rlpyt train, and are the same in all runs."
    ),
    examples=(
        "examples:\n"
        "  rlpyt launch ppo CartPole-v1 --seeds 5 --steps 100000 --out data/cartpole\n"
        "  rlpyt launch ppo,a2c --grid env=CartPole-v1,Acrobot-v1 --seeds 3\n"
        "  rlpyt launch dqn env=CartPole-v1 --grid algo.learning_rate=1e-3,3e-4 "
        "algo.double=true,false\n"
        "  rlpyt launch experiments/ppo_classic.py:cartpole,acrobot --seeds 5 "
        "--affinity 8cpu_2cpr\n"
        "  rlpyt launch my_script.py --grid algo.learning_rate=1e-3,3e-4 --seeds 3\n"
        "  rlpyt launch data/cartpole\n"
        f"algorithms: {', '.join(sorted(ALGORITHMS))}"
    ),
    add_arguments=_add_arguments,
    run=_run,
    takes_overrides=True,
)
