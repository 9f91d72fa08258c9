"""PPO on MiniGrid's locked room, alone and with intrinsic rewards.

    python experiments/ppo_minigrid.py re3_DoorKey-8x8 --seed 1

The agent sees 7x7 cells before it, picks up a key, opens a door and goes to the goal; only the goal
pays. Published, as curves only: with RE3 (Seo et al. 2021, arXiv:2102.09430) A2C solves DoorKey-8x8
several times sooner.

Source of the settings of PPO: rl-starter-files of MiniGrid's authors (16 environments, 128 steps,
4 epochs, discount 0.99, entropy 0.01), with a learning rate of 5e-4 for 1e-3. Needs
``pip install -c constraints.txt -e ".[minigrid]"``.
"""

from functools import partial

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO, IntrinsicRewards
from rlpyt.envs import EnvConfig
from rlpyt.rewards import E3B, RE3, RND, RewardWeight
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

N_STEPS = 256_000


def minigrid(id_: str, intrinsic: IntrinsicRewards | None = None) -> MinibatchRl:
    """256k steps. The measure is the last 100 training episodes: a policy without memory draws."""
    env = EnvConfig(id="rlpyt.envs.minigrid:minigrid", kwargs={"env": id_})
    return MinibatchRl(
        algo=PPO(
            learning_rate=5e-4,
            ratio_clip=0.2,
            minibatches=8,
            value_loss_coeff=1.0,
            entropy_loss_coeff=0.01,
            intrinsic=intrinsic,
        ),
        agent=PgAgent(),
        sampler=SerialSampler(env=env, batch_T=128, batch_B=16),
        n_steps=N_STEPS,
        log_interval_steps=20_480,
    )


def weight(beta: float) -> RewardWeight:
    """Down to nothing at the end, where only the goal should count."""
    return RewardWeight(beta=beta, schedule="linear", n_steps=N_STEPS)


def re3(beta: float = 0.01) -> IntrinsicRewards:
    """Distance to the third nearest of the latest 10k states, through a random network."""
    return IntrinsicRewards(RewardCls=RE3, weight=weight(beta))


def e3b(beta: float = 0.01) -> IntrinsicRewards:
    """What is outside the ellipsoid of the episode."""
    return IntrinsicRewards(RewardCls=E3B, weight=weight(beta))


def rnd(beta: float = 0.01) -> IntrinsicRewards:
    """What a network cannot yet say of a random one's output."""
    return IntrinsicRewards(RewardCls=RND, weight=weight(beta))


def experiments(name: str) -> dict[str, partial[MinibatchRl]]:
    """PPO alone and with each reward."""
    id_ = f"MiniGrid-{name}-v0"
    return {
        f"ppo_{name}": partial(minigrid, id_),
        f"re3_{name}": partial(minigrid, id_, re3()),
        f"e3b_{name}": partial(minigrid, id_, e3b()),
        f"rnd_{name}": partial(minigrid, id_, rnd()),
    }


EXPERIMENTS = {**experiments("DoorKey-8x8"), **experiments("KeyCorridorS3R2")}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
