"""IMPALA on Atari, with the settings for Atari in its paper's appendix (Espeholt et al. 2018,
arXiv:1802.01561), and the residual network.

    python experiments/impala_atari.py Breakout --seed 1

Needs ``pip install -c constraints.txt -e ".[atari]"``. 200M frames take days: try
``--steps 100000`` first.

Published scores after 200M frames ("IMPALA (deep)", one expert for each game): Breakout 787.34,
Pong 20.98, BeamRider 32463.47, Qbert 351200.12, Seaquest 1753.20, SpaceInvaders 43595.78.

Differs from the source: batches come from 32 environments that step together. RMSProp starts from
zero mean squares (in TensorFlow from ones). FIRE is pressed as a game starts, and not after a lost
life.
"""

from dataclasses import replace
from functools import partial

import torch
from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import IMPALA
from rlpyt.envs import AtariConfig, AtariTrajInfo, EnvConfig
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = ("Pong", "Breakout", "BeamRider", "Qbert", "Seaquest", "SpaceInvaders")
BATCH_T, BATCH_B = 20, 32


def impala_atari(game: str, recurrent: str = "none") -> MinibatchRl:
    """IMPALA for 50M agent steps (200M frames); rows of the log report whole games, not clipped.

    There are sums of losses in the paper and means here: its clip of 40 and its ε of 0.01, under
    the root, are divided by the steps of a batch.
    """
    atari = replace(AtariConfig.no_frameskip_v4(), use_fire_reset=True)
    steps = BATCH_T * BATCH_B
    return MinibatchRl(
        algo=IMPALA(
            discount=0.99,
            rho_clip=1.0,
            c_clip=1.0,
            pg_rho_clip=1.0,
            learning_rate=6e-4,
            learning_rate_schedule="linear",
            value_loss_coeff=0.5,
            entropy_loss_coeff=0.01,
            clip_grad_norm=40.0 / steps,
            OptimCls=torch.optim.RMSprop,
            optim_kwargs={"alpha": 0.99, "eps": 0.01**0.5 / steps},
        ),
        agent=PgAgent(model_kwargs={"image": "impala", "recurrent": recurrent, "rnn_size": 256}),
        sampler=SerialSampler(
            env=EnvConfig(id=f"{game}NoFrameskip-v4", atari=atari),
            batch_T=BATCH_T,
            batch_B=BATCH_B,
            TrajInfoCls=AtariTrajInfo,
        ),
        evaluator=Evaluator(episodes=10, greedy=False),
        n_steps=50_000_000,
        log_interval_steps=1_000_000,
        torch_threads=None,  # convolutions gain from more than one
    )


EXPERIMENTS = {
    **{game: partial(impala_atari, game) for game in GAMES},
    **{f"lstm_{game}": partial(impala_atari, game, "lstm") for game in GAMES},
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
