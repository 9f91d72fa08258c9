"""A2C on classic control, with the settings of RL Baselines3 Zoo.

    python experiments/a2c_classic.py acrobot --seed 1

Published returns (Zoo's benchmark, one run each): CartPole-v1 500, Acrobot-v1 -83.4.

Source: hyperparams/a2c.yml of DLR-RM/rl-baselines3-zoo and the defaults of Stable-Baselines3. There
``vf_coef`` multiplies the whole squared error, here ``value_loss_coeff`` half of it: hence 1.0 for
0.5.
"""

import torch
from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import A2C
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def cartpole() -> MinibatchRl:
    """CartPole-v1, 500k steps."""
    return MinibatchRl(
        algo=A2C(
            discount=0.99,
            gae_lambda=1.0,
            learning_rate=7e-4,
            value_loss_coeff=1.0,
            entropy_loss_coeff=0.0,
            clip_grad_norm=0.5,
            OptimCls=torch.optim.RMSprop,
            optim_kwargs={"alpha": 0.99, "eps": 1e-5},
        ),
        agent=PgAgent(),
        sampler=SerialSampler(env="CartPole-v1", batch_T=5, batch_B=8),
        n_steps=500_000,
    )


def acrobot() -> MinibatchRl:
    """Acrobot-v1, 500k steps, observations and rewards normalised."""
    return MinibatchRl(
        algo=A2C(
            discount=0.99,
            gae_lambda=1.0,
            learning_rate=7e-4,
            value_loss_coeff=1.0,
            entropy_loss_coeff=0.0,
            clip_grad_norm=0.5,
            normalize_reward=True,
            OptimCls=torch.optim.RMSprop,
            optim_kwargs={"alpha": 0.99, "eps": 1e-5},
        ),
        agent=PgAgent(model_kwargs={"normalize_observation": True}),
        sampler=SerialSampler(env="Acrobot-v1", batch_T=5, batch_B=16),
        n_steps=500_000,
    )


EXPERIMENTS = {"cartpole": cartpole, "acrobot": acrobot}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
