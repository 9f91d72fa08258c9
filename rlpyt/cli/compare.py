"""``rlpyt compare``: statistics of algorithms over seeds and environments, as a report."""

import argparse
import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlpyt.cli.arguments import add_score_options, positive, seed
from rlpyt.cli.command import Command
from rlpyt.evaluation.comparison import Comparison, compare_runs
from rlpyt.evaluation.comparison_tables import aggregate_rows, interval_text
from rlpyt.evaluation.normalization import METHODS
from rlpyt.evaluation.report import write_report
from rlpyt.evaluation.run_scores import ScoreRule
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND"]

_MOST_PAIRS = 10  # on the terminal


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dirs", type=Path, nargs="+", metavar="DIR", help="runs, or folders of runs"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("comparison"),
        metavar="DIR",
        help="where report, tables and figures go (default comparison)",
    )
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    _add_score_arguments(parser)
    parser.add_argument(
        "--replications",
        type=positive,
        default=10_000,
        metavar="N",
        help="of each bootstrap (default 10000)",
    )
    parser.add_argument(
        "--confidence",
        type=_confidence,
        default=0.95,
        metavar="P",
        help="of the intervals (default 0.95)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="S", help="of the resampling (default 0)"
    )


def _add_score_arguments(parser: argparse.ArgumentParser) -> None:
    """What is compared."""
    add_score_options(parser)
    parser.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="compare after N steps, without runs that are shorter (default: the shortest run's)",
    )
    parser.add_argument(
        "--normalize",
        default="auto",
        metavar="HOW",
        help=f"{', '.join(METHODS)}, or a JSON file: {{ENV: [LOW, HIGH]}} (default auto: one "
        "environment not at all, several by reference scores or by the range of their runs)",
    )


def _confidence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    if args.out.exists() and not args.out.is_dir():
        raise RlpytError("usage", f"--out {args.out} is a file", hint="name a folder")
    comparison = compare_runs(
        args.dirs,
        rule=ScoreRule(kind=args.score, column=args.y, steps=args.steps),
        normalize=args.normalize,
        replications=args.replications,
        confidence=args.confidence,
        seed=args.seed,
    )
    report, *_ = write_report(comparison, args.out)
    if args.json:
        print(json.dumps({**comparison.as_dict(), "report": str(report)}, indent=2))
    else:
        _print(comparison, report, Console(highlight=False))
    return 0


def _print(comparison: Comparison, report: Path, console: Console) -> None:
    tasks, n = comparison.data.tasks, len(comparison.data.runs)
    over = tasks[0] if len(tasks) == 1 else f"{len(tasks)} environments"
    what = f"{len(comparison.algorithms)} algorithm{'s' * (len(comparison.algorithms) != 1)}"
    console.print(
        f"[bold]{what} on {escape(over)}[/bold], {n} runs; {escape(comparison.rule.text)}",
        soft_wrap=True,
    )
    console.print(_table(comparison))
    for pair in comparison.pairs[:_MOST_PAIRS]:
        value, span = interval_text(pair.probability)
        line = f"P({pair.better} > {pair.other}) = {value} {span}"
        console.print(escape(line), soft_wrap=True)
    if len(comparison.pairs) > _MOST_PAIRS:
        console.print(f"... {len(comparison.pairs) - _MOST_PAIRS} more in improvement.csv")
    for note in comparison.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)
    console.print(escape(str(report)), soft_wrap=True)


def _table(comparison: Comparison) -> Table:
    """One line for each algorithm, with the interval of the first statistic."""
    rows = aggregate_rows(comparison)
    first, *others = next(iter(rows.values()))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("algorithm", overflow="fold")
    for title in (first, f"{100 * comparison.confidence:g} % interval", *others):
        table.add_column(title, justify="right")
    for name, intervals in rows.items():
        texts = [interval_text(interval) for interval in intervals.values()]
        table.add_row(escape(name), *texts[0], *(value for value, _ in texts[1:]))
    return table


COMMAND = Command(
    summary="compare algorithms over seeds and environments",
    description=(
        "Compare the runs in the given folders: IQM, mean, median, optimality gap, ranks,\n"
        "performance profiles, probability of improvement and sample efficiency, with\n"
        "bootstrap intervals over seeds. Runs that differ in more than seed and environment\n"
        "are of different algorithms.\n"
        "Writes report.html, tables (CSV, LaTeX) and figures (PNG)."
    ),
    examples=(
        "examples:\n"
        "  rlpyt compare data/ppo data/a2c --out comparison\n"
        "  rlpyt compare data --score auc --steps 100000\n"
        "  rlpyt compare data --normalize scores.json --json\n"
        '  with scores.json: {"CartPole-v1": [0, 500], "Acrobot-v1": [-500, -80]}'
    ),
    add_arguments=_add_arguments,
    run=_run,
)
