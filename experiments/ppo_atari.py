"""PPO on Atari, with the settings of CleanRL's ppo_atari.py.

    python experiments/ppo_atari.py Pong --seed 1

Needs ``pip install -c constraints.txt -e ".[atari]"``. With this one process 10M steps take hours;
try ``--steps 100000`` first.

Published returns after 10M steps (CleanRL): Breakout 414.66 ± 28.09, Pong 20.36 ± 0.20,
BeamRider 1915.9 ± 484.6.

Differs from the source: FIRE is pressed as a game starts, and not after a lost life, where the
agent presses it itself.
"""

from dataclasses import replace
from functools import partial

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.envs import AtariConfig, AtariTrajInfo, EnvConfig
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = ("Breakout", "Pong", "BeamRider", "Qbert", "Seaquest", "SpaceInvaders")


def ppo_atari(game: str) -> MinibatchRl:
    """PPO for 10M agent steps (40M frames); rows of the log report whole games, not clipped."""
    atari = replace(AtariConfig.no_frameskip_v4(), use_fire_reset=True)
    return MinibatchRl(
        algo=PPO(
            discount=0.99,
            gae_lambda=0.95,
            learning_rate=2.5e-4,
            learning_rate_schedule="linear",
            epochs=4,
            minibatches=4,
            ratio_clip=0.1,
            value_clip=0.1,
            value_loss_coeff=0.5,
            entropy_loss_coeff=0.01,
            clip_grad_norm=0.5,
            normalize_advantage="minibatch",
        ),
        agent=PgAgent(),  # the Nature network, shared by policy and value
        sampler=SerialSampler(
            env=EnvConfig(id=f"{game}NoFrameskip-v4", atari=atari),
            batch_T=128,
            batch_B=8,
            TrajInfoCls=AtariTrajInfo,
        ),
        evaluator=Evaluator(episodes=10, greedy=False),
        n_steps=10_000_000,
        log_interval_steps=500_000,
        torch_threads=None,  # convolutions gain from more than one
    )


EXPERIMENTS = {game: partial(ppo_atari, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
