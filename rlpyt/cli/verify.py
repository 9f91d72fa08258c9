"""``rlpyt verify``: whether an algorithm learns here what it is known to learn."""

import argparse
import json
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from rlpyt.cli.arguments import positive, seed
from rlpyt.cli.command import RUN_ERROR, Command
from rlpyt.cli.presets.registry import check_algorithm
from rlpyt.cli.verify_tasks import FULL_TASKS, QUICK_TASKS, Task
from rlpyt.utils.errors import RlpytError

__all__ = ["COMMAND", "read_bands"]

_BANDS = "verify_bands.json"
_UNSEEN = 10_000  # an evaluation's seed is that much above the training's


class _Outcome(NamedTuple):
    """Of one training run."""

    algorithm: str
    task: str
    score: float | None  # None: it failed
    band: list[float] | None  # the least that passes, and scores that were seen
    seconds: float
    problem: str

    @property
    def passes(self) -> bool:
        """Whether it learned what it should; without a band there is nothing to say."""
        return self.score is not None and self.band is not None and self.score >= self.band[0]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("algorithm", nargs="?", metavar="ALGO", help="as rlpyt train has them")
    parser.add_argument("--all", action="store_true", help="every algorithm that has a task")
    parser.add_argument(
        "--quick", action="store_true", help="on tasks of seconds, which every algorithm has"
    )
    parser.add_argument("--seed", type=seed, default=100, metavar="S", help="(default 100)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--make-bands",
        type=Path,
        metavar="FILE",
        help="instead: train with seeds 0, 1, ..., and write the scores there",
    )
    parser.add_argument(
        "--seeds", type=positive, default=3, metavar="N", help="of --make-bands (default 3)"
    )


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    kind = "quick" if args.quick else "full"
    tasks = _chosen(args)
    if args.make_bands is not None:
        _make_bands(args.make_bands, kind, tasks, args.seeds)
        return 0
    bands = read_bands()[kind]
    outcomes = []
    for algorithm, task in tasks.items():
        outcome = _outcome(algorithm, task, args.seed, bands.get(algorithm))
        outcomes.append(outcome)
        if not args.json:
            print(_line(outcome), flush=True)
    passed = all(outcome.passes for outcome in outcomes)
    if args.json:
        told = [{**each._asdict(), "passes": each.passes} for each in outcomes]
        print(json.dumps({"verdict": _verdict(passed), "kind": kind, "algorithms": told}))
    else:
        n, seconds = sum(each.passes for each in outcomes), sum(each.seconds for each in outcomes)
        print(
            f"{_verdict(passed)}: {n} of {len(outcomes)} learned what they should, {seconds:.0f} s"
        )
    return 0 if passed else RUN_ERROR


def _verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def _chosen(args: argparse.Namespace) -> Mapping[str, Task]:
    tasks = QUICK_TASKS if args.quick else FULL_TASKS
    if args.all == (args.algorithm is not None):
        hint = "rlpyt verify ppo, or rlpyt verify --all --quick"
        raise RlpytError("usage", "give an algorithm, or --all", hint=hint)
    if args.all:
        return tasks
    check_algorithm(args.algorithm)
    if args.algorithm not in tasks:
        what = f"{args.algorithm} has no task of minutes, only {', '.join(tasks)} have"
        raise RlpytError("usage", what, hint=f"rlpyt verify {args.algorithm} --quick")
    return {args.algorithm: tasks[args.algorithm]}


def _outcome(algorithm: str, task: Task, run_seed: int, scores: list[float] | None) -> _Outcome:
    band = None if scores is None else [min(scores) - task.slack, *scores]
    start = time.perf_counter()
    try:
        score, problem = _score(task, run_seed), ""
    except RlpytError as error:  # the others are still to be seen
        score, problem = None, str(error)
    return _Outcome(algorithm, task.name, score, band, time.perf_counter() - start, problem)


def _score(task: Task, run_seed: int) -> float:
    """The mean return of evaluation episodes after training."""
    runner = replace(task.build(), seed=run_seed)
    runner.train()
    evaluator = replace(task.evaluator)
    unseen = runner.seed + _UNSEEN
    evaluator.initialize(runner.agent, runner.sampler, seed=unseen, discount=runner.algo.discount)
    try:
        trajs = evaluator.evaluate(0)
    finally:
        evaluator.shutdown()
    returns = [traj.Return for traj in trajs]
    return math.fsum(returns) / len(returns)


def _line(outcome: _Outcome) -> str:
    if outcome.score is None:
        return f"{outcome.algorithm:9} fail  {outcome.problem}"
    if outcome.band is None:
        return f"{outcome.algorithm:9} fail  {outcome.score:.2f}, and no band to compare with"
    low, *seen = outcome.band
    what = f"{outcome.score:8.2f}, at least {low:.2f}"
    scores = ", ".join(f"{score:.2f}" for score in seen)
    verdict = _verdict(outcome.passes)
    told = f"{outcome.algorithm:9} {verdict}  {what} (seen {scores})"
    return f"{told}  {outcome.task}  {outcome.seconds:.1f} s"


def read_bands() -> dict[str, dict[str, list[float]]]:
    """By kind and algorithm, the scores that were seen, one for each seed."""
    content = json.loads(files("rlpyt.cli").joinpath(_BANDS).read_text(encoding="utf-8"))
    return {kind: content[kind] for kind in ("quick", "full")}


def _make_bands(path: Path, kind: str, tasks: Mapping[str, Task], n_seeds: int) -> None:
    """Train each task with every seed, and put the scores into the file, beside what it has."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for algorithm, task in tasks.items():
        start = time.perf_counter()
        scores = [round(_score(task, each), 2) for each in range(n_seeds)]
        seconds = (time.perf_counter() - start) / n_seeds
        content.setdefault(kind, {})[algorithm] = scores
        content[kind] = dict(sorted(content[kind].items()))
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        shown = ", ".join(f"{score:.2f}" for score in scores)
        print(f"{algorithm:9} {shown}  {seconds:.1f} s each", flush=True)


COMMAND = Command(
    summary="check that algorithms learn here what they are known to learn",
    description=(
        "Train ALGO for minutes on a task whose results are known, evaluate it, and compare with\n"
        "the scores that were seen: prints `pass` or `fail`. With --quick for seconds, on a task\n"
        "that is as small as can be; `--all --quick` is a check of an installation.\n"
        "\n"
        "Exit code 0: all pass. 1: not."
    ),
    examples=("examples:\n  rlpyt verify ppo\n  rlpyt verify --all --quick --json"),
    add_arguments=_add_arguments,
    run=_run,
)
