"""IMPALA on small environments, with settings of our own.

    python experiments/impala_classic.py memory_corridor --seed 1

There are no published results for these: CartPole-v1 counts as solved at 475, the corridor at 0.9
of 1.
"""

import torch
from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import IMPALA
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

ADAM = {"OptimCls": torch.optim.Adam, "optim_kwargs": {"eps": 1e-5}, "clip_grad_norm": 0.5}


def cartpole() -> MinibatchRl:
    """CartPole-v1, 200k steps."""
    return MinibatchRl(
        algo=IMPALA(vtrace_lambda=0.95, learning_rate=2e-3, entropy_loss_coeff=0.0, **ADAM),
        agent=PgAgent(),
        sampler=SerialSampler(env="CartPole-v1", batch_T=20, batch_B=8),
        n_steps=200_000,
    )


def memory_corridor() -> MinibatchRl:
    """A cue to be remembered for ten steps, an LSTM, 200k steps."""
    return MinibatchRl(
        algo=IMPALA(learning_rate=2e-3, entropy_loss_coeff=0.01, **ADAM),
        agent=PgAgent(model_kwargs={"recurrent": "lstm"}),
        sampler=SerialSampler(env="rlpyt.envs:MemoryCorridor", batch_T=20, batch_B=8),
        n_steps=200_000,
    )


EXPERIMENTS = {"cartpole": cartpole, "memory_corridor": memory_corridor}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
