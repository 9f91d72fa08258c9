"""DQN on Atari, with the settings of Dopamine's dqn (JAX: Adam and the squared error).

    python experiments/dqn_atari.py Pong --seed 1 --steps 750000

Needs ``pip install -c constraints.txt -e ".[atari]"``. The full run of 50M agent steps takes days
on CPUs; the first three iterations of 250k steps take about 80 minutes on one core.

Published training returns of Pong in the first three iterations (Castro et al. 2018, five seeds):
-20.2 ± 0.1, -18.5 ± 0.8, -16.3 ± 1.2.

Differs from the source: four games are stepped together, with one gradient step for each step of
the four, which is the same ratio. Dopamine's loss is the squared error, ours half of it: with half
of Adam's ε, 0.75e-4 for 1.5e-4, the steps are the same. That matters: gradients are of ε's size.
"""

from functools import partial

from command_line import main

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import DQN
from rlpyt.envs import AtariConfig, AtariTrajInfo, EnvConfig
from rlpyt.replays import FrameStorage, ReplayBuffer
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = ("Pong", "Breakout", "Asterix", "Qbert", "Seaquest", "SpaceInvaders")


def dqn_atari(game: str) -> MinibatchRl:
    """DQN for 50M agent steps (200M frames)."""
    return MinibatchRl(
        algo=DQN(
            discount=0.99,
            replay=ReplayBuffer(size=1_000_000, storage=FrameStorage(n_frames=4)),
            batch_size=32,
            min_steps_learn=20_000,
            replay_ratio=8.0,  # a batch of 32 for every 4 steps
            learning_rate=6.25e-5,
            optim_kwargs={"eps": 0.75e-4},
            target_update_interval=2_000,  # gradient steps, that is 8000 agent steps
            clip_grad_norm=None,
            delta_clip=None,
        ),
        agent=DqnAgent(epsilon=EpsilonGreedy(final=0.01, delay=20_000, steps=250_000)),
        sampler=SerialSampler(
            env=EnvConfig(id=f"ALE/{game}-v5", atari=AtariConfig(noop_max=0)),
            batch_T=1,
            batch_B=4,
            TrajInfoCls=AtariTrajInfo,
        ),
        n_steps=50_000_000,
        log_interval_steps=10_000,
        log_traj_window=10,
        checkpoint_interval_steps=250_000,
        keep_checkpoints=1,
    )


EXPERIMENTS = {game: partial(dqn_atari, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
