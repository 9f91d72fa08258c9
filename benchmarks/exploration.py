"""How much of a grid without rewards is seen: intrinsic rewards against uniformly random actions.

    python benchmarks/exploration.py --seeds 5
    python benchmarks/exploration.py --only SND NGU
    python benchmarks/exploration.py --all

PPO, paid by nothing but the intrinsic reward, in the four rooms of 20 x 20 cells; every episode
starts in the same corner and is too short for a random walk to get far. Counted are the different
cells that all episodes of the run have visited, and those of an episode, on average over its last
tenth. The last column says in how many seeds the run has seen at least twice what random actions
see.
"""

import argparse
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peers.options import add_json, write_json
from peers.report import machine, machine_line
from rich.console import Console
from rich.progress import track
from rich.table import Table

import rlpyt.rewards
from rlpyt.agents import PgAgent
from rlpyt.algos import PPO, IntrinsicRewards
from rlpyt.data import BatchSpec
from rlpyt.envs import EnvConfig, FourRooms
from rlpyt.rewards import RND, IntrinsicReward
from rlpyt.samplers import SerialSampler

SIZE, T, B = 20, 128, 8
N_CELLS = FourRooms(size=SIZE).n_cells
OF_FOUR_KINDS = ("RND", "RE3", "ICM", "E3B")  # what an error, neighbours, a model, an ellipsoid do
ALL = (
    *OF_FOUR_KINDS,
    "Disagreement",
    "RIDE",
    "PseudoCounts",
    "NGU",
    "RISE",
    "REVD",
    "BYOLExplore",
    "SND",
    "GIRM",
)

# Few cells: what is known may be learned quickly.
OPTIONS: dict[type[IntrinsicReward] | None, dict[str, Any]] = {
    RND: {"learning_rate": 1e-3, "batch_size": 64},
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a run has visited."""

    cells: int
    per_episode: float
    seconds: float


def cells_of(observation: Any) -> Any:
    """Which cell each observation [..., 2 * SIZE] is of."""
    vectors = np.asarray(observation)
    return vectors[..., :SIZE].argmax(-1) * SIZE + vectors[..., SIZE:].argmax(-1)


def run(
    RewardCls: type[IntrinsicReward] | None, *, steps: int, episode_steps: int, seed: int
) -> Seen:
    """PPO with ``RewardCls`` alone; None: it does not learn, and acts uniformly."""
    env = EnvConfig(
        id="rlpyt.envs.four_rooms:FourRooms",
        kwargs={"size": SIZE, "episode_steps": episode_steps, "one_hot": True},
    )
    sampler = SerialSampler(env=env, batch_T=T, batch_B=B)
    intrinsic = IntrinsicRewards(
        RewardCls=RewardCls or RND,
        reward_kwargs=OPTIONS.get(RewardCls, {}),
        extrinsic_weight=0.0,
    )
    algo = PPO(intrinsic=intrinsic, learning_rate=1e-3, minibatches=4, epochs=4)
    agent = PgAgent()
    agent.initialize(sampler.env_spaces(), seed=seed, device=torch.device("cpu"))
    if RewardCls is None:  # exactly uniform, and left so
        for parameter in agent.model.policy.parameters():
            parameter.data.zero_()
    n_itr = steps // (T * B)
    algo.initialize(agent, n_itr=n_itr, batch_spec=BatchSpec(T, B), seed=seed)
    sampler.initialize(agent, seed=seed, discount=algo.discount, bootstrap_value=True)
    seen: set[int] = set()
    late: list[Any] = []
    start = time.perf_counter()
    try:
        for itr in range(n_itr):
            samples, _trajs = sampler.obtain_samples(itr)
            found = cells_of(samples.observation)
            seen |= set(found.flat)
            if itr >= int(0.9 * n_itr):
                late.append(found)
            if RewardCls is not None:
                algo.optimize_agent(itr, samples)
    finally:
        sampler.shutdown()
    windows = np.concatenate(late)[: len(late) * T // episode_steps * episode_steps]
    parts = windows.reshape(-1, episode_steps, B).transpose(0, 2, 1).reshape(-1, episode_steps)
    per_episode = float(np.mean([len(set(part)) for part in parts.tolist()]))
    return Seen(cells=len(seen), per_episode=per_episode, seconds=time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=102_400, help="environment steps of a run")
    parser.add_argument("--episode-steps", type=int, default=45)
    parser.add_argument("--seeds", type=int, default=5)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", nargs="+", choices=ALL, default=OF_FOUR_KINDS)
    which.add_argument("--all", action="store_const", const=ALL, dest="only", help="all rewards")
    add_json(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    here = machine()
    kinds: dict[str, type[IntrinsicReward] | None] = {"random": None}
    kinds |= {name: getattr(rlpyt.rewards, name) for name in args.only}
    jobs = [(name, seed) for seed in range(args.seeds) for name in kinds]
    found: dict[str, list[Seen]] = {name: [] for name in kinds}
    for name, seed in track(jobs, description="runs"):
        budget = {"steps": args.steps, "episode_steps": args.episode_steps}
        found[name].append(run(kinds[name], **budget, seed=seed))
    title = f"four rooms, {args.steps:,} steps, {args.seeds} seeds"
    caption = f"Episodes of {args.episode_steps} steps. {machine_line(here)}"
    table = Table(title=title, caption=caption)
    for column in (
        "",
        f"cells of {N_CELLS}",
        "least",
        "in an episode",
        "seconds",
        "twice the random",
    ):
        table.add_column(column, justify="left" if not column else "right")
    random = [run.cells for run in found["random"]]
    for name, runs in found.items():
        cells = [run.cells for run in runs]
        twice = sum(own >= 2 * other for own, other in zip(cells, random, strict=True))
        table.add_row(
            name,
            f"{np.mean(cells):.0f}",
            str(min(cells)),
            f"{np.mean([run.per_episode for run in runs]):.0f}",
            f"{np.mean([run.seconds for run in runs]):.0f}",
            f"{twice} of {len(cells)}",
        )
    Console(width=100).print(table)
    write_json(args.json, {name: [vars(run) for run in runs] for name, runs in found.items()})


if __name__ == "__main__":
    main()
