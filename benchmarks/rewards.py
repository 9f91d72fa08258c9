"""Intrinsic rewards alone: what computing and learning each costs.

    python benchmarks/rewards.py
    python benchmarks/rewards.py --only RND ICM --rounds 5 --threads 2
    python benchmarks/rewards.py --quick --kind vector --json out.json

Batches [T, B] of random observations, as a sampler gives them: images (84x84x4 uint8, episodes of
500 steps) or vectors of 17 numbers. The rewards take turns, ``--rounds`` times,
and the median is shown, in CPU seconds of one ``compute`` and one ``update`` with each reward's
defaults. A learner that takes a second for such a batch pays a tenth more for a reward of 0.1.
"""

import argparse
import inspect
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import Space, spaces
from peers.options import add_json, write_json
from rich.console import Console
from rich.table import Table

import rlpyt.rewards
from rlpyt.rewards import IntrinsicReward, RewardSamples, reward_samples

KINDS: dict[str, tuple[Space[Any], Space[Any]]] = {
    "image": (spaces.Box(0, 255, (84, 84, 4), np.uint8), spaces.Discrete(6)),
    "vector": (spaces.Box(-np.inf, np.inf, (17,), np.float32), spaces.Box(-1.0, 1.0, (6,))),
}
EPISODE = 500  # steps


class Cost(NamedTuple):
    """CPU seconds for one batch."""

    compute: float
    update: float


def main() -> None:
    arguments = parse(sys.argv[1:])
    torch.set_num_threads(arguments.threads)
    results = {}
    for kind in arguments.kind:
        costs = measure(arguments, kind)
        results[kind] = {name: cost._asdict() for name, cost in costs.items()}
        Console(width=100).print(table(costs, kind, arguments))
    write_json(arguments.json, results)


def measure(arguments: argparse.Namespace, kind: str) -> dict[str, Cost]:
    """The median of each reward's costs."""
    known = reward_classes()
    names = arguments.only or sorted(known)
    rewards = {name: build(known[name], kind, arguments.B) for name in names}
    seen: dict[str, list[Cost]] = {name: [] for name in names}
    for turn in range(arguments.rounds + 1):
        samples = batch(kind, arguments.T, arguments.B, turn)
        for name, reward in rewards.items():
            cost = Cost(*(seconds(part, samples) for part in (reward.compute, reward.update)))
            if turn:  # the first one warms up
                seen[name].append(cost)
    return {
        name: Cost(*map(statistics.median, zip(*costs, strict=True)))
        for name, costs in seen.items()
    }


def reward_classes() -> dict[str, Callable[..., IntrinsicReward]]:
    """Those that can be built of spaces alone, by name."""
    found = {}
    for name in rlpyt.rewards.__all__:
        thing = getattr(rlpyt.rewards, name)
        if not inspect.isclass(thing) or not issubclass(thing, IntrinsicReward):
            continue
        is_whole = thing is not rlpyt.rewards.Fabric  # which is made of the others
        if not inspect.isabstract(thing) and is_whole:
            found[name] = thing.from_spaces
    return found


def build(from_spaces: Callable[..., IntrinsicReward], kind: str, B: int) -> IntrinsicReward:
    """With its defaults."""
    return from_spaces(*KINDS[kind], n_envs=B, seed=0)


def batch(kind: str, T: int, B: int, turn: int) -> RewardSamples:
    """Consecutive transitions [T, B]."""
    observation_space, action_space = KINDS[kind]
    rng = np.random.default_rng(turn)
    shape = (T + 1, B, *(observation_space.shape or ()))
    if kind == "image":
        observation: Any = rng.integers(0, 256, shape, dtype=np.uint8)
        action: Any = rng.integers(0, 6, (T, B))
    else:
        observation = rng.normal(size=shape).astype(np.float32)
        action = rng.uniform(-1, 1, (T, B, *(action_space.shape or ()))).astype(np.float32)
    step = turn * T + np.arange(1, T + 1)
    return reward_samples(
        observation=observation[:-1],
        action=action,
        next_observation=observation[1:].copy(),
        terminated=np.repeat((step % EPISODE == 0)[:, None], B, axis=1),
    )


def seconds(function: Callable[[RewardSamples], Any], samples: RewardSamples) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    function(samples)
    return time.process_time() - start


def table(costs: dict[str, Cost], kind: str, arguments: argparse.Namespace) -> Table:
    """A line for each reward, the cheapest first."""
    title = f"{kind}: CPU seconds for [{arguments.T}, {arguments.B}], {arguments.threads} thread(s)"
    shown = Table(title=title)
    shown.add_column("reward")
    for column in ("compute", "update", "both", "us per step"):
        shown.add_column(column, justify="right")
    for name, cost in sorted(costs.items(), key=lambda item: sum(item[1])):
        both = sum(cost)
        each = both / (arguments.T * arguments.B) * 1e6
        shown.add_row(name, *(f"{x:.3f}" for x in (*cost, both)), f"{each:.0f}")
    return shown


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=sorted(reward_classes()), help="these rewards")
    parser.add_argument("--kind", nargs="+", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--T", type=int, default=128, help="steps of a batch")
    parser.add_argument("--B", type=int, default=8, help="environments of a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a small batch, one round")
    add_json(parser)
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.T, arguments.rounds = 16, 1
    return arguments


if __name__ == "__main__":
    main()
