"""Bootstrap intervals of IQM, mean, median and optimality gap: ours and rliable's, in turn.

    python benchmarks/bootstrap.py
    python benchmarks/bootstrap.py --rounds 5 --rliable-replications 1000 --json out.json

Needs rliable beside rlpyt: pip install -c constraints.txt -e ".[oracles]". Ten algorithms on 26
tasks with 10 runs each, 50 000 replications; rliable makes fewer of them, and what compares is the
time of one. Both compute in this process, in one thread, in turn. Figures of different runs do not
compare; ratios of one run do.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from peers.options import add_json, write_json

from rlpyt.evaluation import AGGREGATES, bootstrap_interval

Scores = Mapping[str, np.ndarray]


class Seconds(NamedTuple):
    """Of one replication of all statistics of all algorithms."""

    cpu: float
    wall: float


def ours(scores: Scores, replications: int) -> None:
    def all_four(x: np.ndarray) -> np.ndarray:
        return np.stack([statistic(x) for statistic in AGGREGATES.values()], axis=-1)

    rng = np.random.default_rng(0)
    for each in scores.values():
        bootstrap_interval(each, all_four, rng, replications=replications)


def rliable_estimates() -> Callable[[Scores, int], None]:
    """Their function for the same; an error that says what to install where it is missing."""
    try:
        from rliable import library, metrics
    except ImportError as error:
        sys.exit(f'rliable is needed ({error}): pip install -c constraints.txt -e ".[oracles]"')

    def all_four(x: np.ndarray) -> np.ndarray:
        return np.array(
            [
                metrics.aggregate_iqm(x),
                metrics.aggregate_mean(x),
                metrics.aggregate_median(x),
                metrics.aggregate_optimality_gap(x),
            ]
        )

    def estimate(scores: Scores, replications: int) -> None:
        library.get_interval_estimates(scores, all_four, reps=replications)

    return estimate


def measure(run: Callable[[Scores, int], None], scores: Scores, replications: int) -> Seconds:
    cpu, wall = time.process_time(), time.perf_counter()
    run(scores, replications)
    return Seconds(
        (time.process_time() - cpu) / replications, (time.perf_counter() - wall) / replications
    )


def main() -> None:
    arguments = parse(sys.argv[1:])
    theirs = rliable_estimates()
    rng = np.random.default_rng(0)
    shape = (arguments.runs, arguments.tasks)
    scores = {f"algorithm {i}": rng.normal(0.8, 0.5, shape) for i in range(arguments.algorithms)}
    rounds: list[dict[str, Any]] = []
    for _ in range(arguments.rounds):
        us = measure(ours, scores, arguments.replications)
        them = measure(theirs, scores, arguments.rliable_replications)
        rounds.append({"ours": us._asdict(), "rliable": them._asdict()})
        print(
            f"{arguments.replications} replications: ours {us.cpu * arguments.replications:.2f} s "
            f"of CPU; rliable {them.cpu * arguments.replications:.0f} s, from "
            f"{arguments.rliable_replications} of them"
        )
    for clock in Seconds._fields:
        ratio = statistics.median(each["rliable"][clock] / each["ours"][clock] for each in rounds)
        print(f"rliable / ours, by {clock} time, median of {len(rounds)} rounds: {ratio:.0f}")
    settings = {name: value for name, value in vars(arguments).items() if name != "json"}
    write_json(arguments.json, {"settings": settings, "rounds": rounds})


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--algorithms", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=26)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--replications", type=int, default=50_000)
    parser.add_argument("--rliable-replications", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    add_json(parser)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
