"""What an intrinsic reward costs a whole learner: PPO on Pong with it and without.

    python benchmarks/rewards_in_ppo.py
    python benchmarks/rewards_in_ppo.py --rounds 6 last_channels=1 update_proportion=0.25
    python benchmarks/rewards_in_ppo.py --rewards RND ICM RE3 --json out.json

Each learner has the model and settings of ``experiments/ppo_atari.py``, but for a constant learning
rate and for FIRE, which the agent presses itself, and learns on one thread. They take turns, an
iteration of 8 x 128 steps each, in rotated order; the first round warms up. The cost is the median
over the rounds of how much longer than PPO alone an iteration took, in CPU time and by the clock.
``key=value`` are arguments of the rewards.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from peers.options import add_json, write_json
from peers.report import machine, machine_line
from rewards import reward_classes
from rich.console import Console
from rich.progress import track
from rich.table import Table

import rlpyt.rewards
from rlpyt.agents import PgAgent
from rlpyt.algos import PPO, IntrinsicRewards
from rlpyt.data import BatchSpec
from rlpyt.envs import AtariConfig, EnvConfig
from rlpyt.samplers import SerialSampler
from rlpyt.utils.overrides import apply_overrides

T, B = 128, 8
ALONE = "PPO alone"


class Spent(NamedTuple):
    """Seconds for one iteration."""

    cpu: float
    wall: float


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    here = machine()
    wanted = {ALONE: None, **{name: getattr(rlpyt.rewards, name) for name in args.rewards}}
    made = [learner(RewardCls, args.options, args.rounds + 1) for RewardCls in wanted.values()]
    learners = dict(zip(wanted, made, strict=True))
    spent: dict[str, list[Spent]] = {name: [] for name in learners}
    for turn in track(range(args.rounds + 1), description="rounds"):
        names = [*learners]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found = timed(learners[name][0], turn)
            if turn:
                spent[name].append(found)
    for _iterate, end in learners.values():
        end()
    Console(width=100).print(table(spent, args.options, machine_line(here)))
    write_json(args.json, {"machine": here, "options": args.options, "seconds": spent})


def learner(
    RewardCls: Any, options: list[str], n_itr: int
) -> tuple[Callable[[int], None], Callable[[], None]]:
    """One iteration of PPO, paid by ``RewardCls`` too if there is one, and what ends it."""
    atari = AtariConfig.no_frameskip_v4()
    sampler = SerialSampler(
        env=EnvConfig(id="PongNoFrameskip-v4", atari=atari), batch_T=T, batch_B=B
    )
    intrinsic = RewardCls and apply_overrides(
        IntrinsicRewards(RewardCls=RewardCls), [f"reward_kwargs.{pair}" for pair in options]
    )
    algo = PPO(
        discount=0.99,
        learning_rate=2.5e-4,
        epochs=4,
        minibatches=4,
        ratio_clip=0.1,
        value_clip=0.1,
        intrinsic=intrinsic,
    )
    agent = PgAgent()
    agent.initialize(sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    algo.initialize(agent, n_itr=n_itr, batch_spec=BatchSpec(T, B), seed=0)
    sampler.initialize(agent, seed=0, discount=algo.discount, bootstrap_value=True)

    def iterate(itr: int) -> None:
        samples, _trajs = sampler.obtain_samples(itr)
        algo.optimize_agent(itr, samples)

    return iterate, sampler.shutdown


def timed(iterate: Callable[[int], None], itr: int) -> Spent:
    """CPU seconds of this process, and seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    iterate(itr)
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def table(spent: dict[str, list[Spent]], options: list[str], caption: str) -> Table:
    """A line for each learner."""
    told = " ".join(options) or "defaults"
    shown = Table(title=f"PPO on Pong, [{T}, {B}] an iteration, rewards with {told}")
    shown.caption = caption
    shown.add_column("learner")
    for column in ("CPU s an iteration", "s an iteration", "cost in CPU", "cost by the clock"):
        shown.add_column(column, justify="right")
    for name, own in spent.items():
        cpu, wall = (statistics.median(each) for each in zip(*own, strict=True))
        costs = [
            statistics.median(
                mine[i] / theirs[i] - 1 for mine, theirs in zip(own, spent[ALONE], strict=True)
            )
            for i in range(2)
        ]
        words = ["" if name == ALONE else f"{cost:+.1%}" for cost in costs]
        shown.add_row(name, f"{cpu:.2f}", f"{wall:.2f}", *words)
    return shown


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted(reward_classes())
    parser.add_argument("options", nargs="*", metavar="key=value", help="arguments of the rewards")
    parser.add_argument("--rewards", nargs="+", choices=names, default=["RND"])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    add_json(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
