"""PPO on classic control, with the settings of RL Baselines3 Zoo.

    python experiments/ppo_classic.py acrobot --seed 1

Published returns (Zoo's benchmark, one run each): CartPole-v1 500, Acrobot-v1 -73.5. The masked
CartPole has no published result for these settings; 400 counts as solved.

Source: hyperparams/ppo.yml of DLR-RM/rl-baselines3-zoo. There
``vf_coef`` multiplies the whole squared error, here ``value_loss_coeff`` half of it: hence 1.0 for
0.5.
"""

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def cartpole() -> MinibatchRl:
    """CartPole-v1, 100k steps."""
    return MinibatchRl(
        algo=PPO(
            discount=0.98,
            gae_lambda=0.8,
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


def acrobot() -> MinibatchRl:
    """Acrobot-v1, 1M steps, observations and rewards normalised."""
    return MinibatchRl(
        algo=PPO(
            discount=0.99,
            gae_lambda=0.94,
            learning_rate=3e-4,
            ratio_clip=0.2,
            epochs=4,
            minibatches=64,
            value_loss_coeff=1.0,
            entropy_loss_coeff=0.0,
            normalize_reward=True,
        ),
        agent=PgAgent(model_kwargs={"normalize_observation": True}),
        sampler=SerialSampler(env="Acrobot-v1", batch_T=256, batch_B=16),
        n_steps=1_000_000,
    )


def masked_velocity_cartpole() -> MinibatchRl:
    """CartPole-v1 without velocities, an LSTM, 300k steps: our own settings, not the Zoo's."""
    return MinibatchRl(
        algo=PPO(
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            ratio_clip_schedule="linear",
            epochs=10,
            value_loss_coeff=0.1,  # policy and value share the memory: the value must not rule it
            entropy_loss_coeff=0.0,
        ),
        agent=PgAgent(model_kwargs={"recurrent": "lstm"}),
        sampler=SerialSampler(
            env="rlpyt.envs.classic:masked_velocity_cartpole", batch_T=64, batch_B=8
        ),
        n_steps=300_000,
    )


EXPERIMENTS = {
    "cartpole": cartpole,
    "acrobot": acrobot,
    "masked_velocity_cartpole": masked_velocity_cartpole,
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
