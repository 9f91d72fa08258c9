"""APPO on classic control: PPO's settings of RL Baselines3 Zoo, V-trace for GAE.

    python experiments/appo_classic.py cartpole --seed 1

Published return for PPO (Zoo's benchmark, one run): CartPole-v1 500. Source: see
``ppo_classic.py``.
"""

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import APPO
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def cartpole() -> MinibatchRl:
    """CartPole-v1, 100k steps."""
    return MinibatchRl(
        algo=APPO(
            discount=0.98,
            vtrace_lambda=0.8,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            ratio_clip=0.2,
            ratio_clip_schedule="linear",
            epochs=20,
            minibatches=1,
            value_loss_coeff=1.0,
            entropy_loss_coeff=0.0,
        ),
        agent=PgAgent(),
        sampler=SerialSampler(env="CartPole-v1", batch_T=32, batch_B=8),
        n_steps=100_000,
    )


EXPERIMENTS = {"cartpole": cartpole}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
