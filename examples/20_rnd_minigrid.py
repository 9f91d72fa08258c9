"""RND in MiniGrid's locked room: only the goal pays, behind a door, whose key is somewhere.

Needs ``pip install -c constraints.txt -e ".[minigrid]"``. An argument sets the number of
environment steps, another ``0`` switches the intrinsic reward off, to compare:

    python examples/20_rnd_minigrid.py 500000
    python examples/20_rnd_minigrid.py 500000 0
    rlpyt plot data/local --out curve.png

``NonzeroRewardsAverage`` in the log is the part of the episodes that reach the goal,
``intrinsicReward`` what novelty was worth, before its weight.
"""

import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO, IntrinsicRewards
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.rewards import RND, RewardWeight
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

n_steps = int(sys.argv[1]) if sys.argv[1:] else 500_000
beta = float(sys.argv[2]) if sys.argv[2:] else 0.01
name = "rnd_doorkey" if beta else "ppo_doorkey"
curiosity = IntrinsicRewards(
    RewardCls=RND,
    weight=RewardWeight(beta=beta, schedule="linear", n_steps=n_steps),  # to 0 at the end
)
runner = MinibatchRl(
    algo=PPO(
        learning_rate=5e-4,
        ratio_clip=0.2,
        minibatches=8,
        entropy_loss_coeff=0.01,
        intrinsic=curiosity if beta else None,
    ),
    agent=PgAgent(),
    sampler=SerialSampler(
        env=EnvConfig(id="rlpyt.envs.minigrid:minigrid", kwargs={"env": "MiniGrid-DoorKey-8x8-v0"}),
        batch_T=128,
        batch_B=16,
    ),
    n_steps=n_steps,
)
with logger_context(default_log_dir(name), run_ID=0, name=name) as logger:
    runner.train(logger)
