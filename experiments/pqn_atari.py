"""PQN on Atari, with the settings of its authors.

    python experiments/pqn_atari.py Breakout --seed 1

Needs ``pip install -c constraints.txt -e ".[atari]"``. 128 games take a while to load; they are
stepped by one thread for each CPU.

Published: learning curves (Gallici et al. 2024, arXiv:2407.04811). CleanRL's PQN, with 8 games and
other settings, has 384.9 ± 12.4 on Breakout and 20.49 ± 0.11 on Pong after 10M steps.

Source: the configuration pqn_atari of mttga/purejaxql; its learning rate is constant. The paper's
curves go on to 400M frames: ``--steps 100000000``.

Differs from the source: ale-py instead of EnvPool, which also takes up to 30 no-ops and presses
FIRE after a lost life, not only as a game starts. Layer normalisation of a convolution is over
channels and places, there over the channels of each place. Initial weights are torch's.
"""

from dataclasses import replace
from functools import partial

import torch
from command_line import main

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import PQN
from rlpyt.envs import AtariConfig, AtariTrajInfo, EnvConfig
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = ("Pong", "Breakout", "BeamRider", "Qbert", "Seaquest", "SpaceInvaders")


def pqn_atari(game: str) -> MinibatchRl:
    """PQN for 10M agent steps (40M frames); a lost life ends an episode."""
    atari = replace(AtariConfig.no_frameskip_v4(), use_fire_reset=True)
    return MinibatchRl(
        algo=PQN(
            discount=0.99,
            q_lambda=0.65,
            learning_rate=2.5e-4,
            learning_rate_schedule="constant",
            epochs=2,
            minibatches=32,
            clip_grad_norm=10.0,
            OptimCls=torch.optim.RAdam,
        ),
        agent=DqnAgent(
            model_kwargs={"layer_norm": True},
            epsilon=EpsilonGreedy(initial=1.0, final=0.001, steps=1_000_000, evaluation=0.0),
        ),
        sampler=SerialSampler(
            env=EnvConfig(id=f"{game}NoFrameskip-v4", atari=atari),
            batch_T=32,
            batch_B=128,
            TrajInfoCls=AtariTrajInfo,
        ),
        n_steps=10_000_000,
        log_interval_steps=100_000,
        torch_threads=None,  # convolutions gain from more than one
    )


EXPERIMENTS = {game: partial(pqn_atari, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
