"""PPO on MuJoCo, with the settings of CleanRL's ppo_continuous_action.py.

    python experiments/ppo_mujoco.py Walker2d-v5 --seed 1

Needs ``pip install -c constraints.txt -e ".[mujoco]"``.

Published returns after 1M steps (CleanRL, -v2 environments, so that they compare only
roughly with -v5): HalfCheetah 2262 ± 1197, Walker2d 3312 ± 430, Hopper 2311 ± 441,
InvertedPendulum 852 ± 17, Humanoid 676 ± 79, Pusher -60.5.

Source: Huang et al. 2022, "The 37 implementation details of PPO". One environment, 2048 steps.
"""

from functools import partial

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

ENVS = (
    "HalfCheetah-v5",
    "Walker2d-v5",
    "Hopper-v5",
    "Ant-v5",
    "Humanoid-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
)


def ppo_mujoco(env: str) -> MinibatchRl:
    """PPO for 1M steps in the Gymnasium environment ``env``."""
    return MinibatchRl(
        algo=PPO(
            discount=0.99,
            gae_lambda=0.95,
            learning_rate=3e-4,
            learning_rate_schedule="linear",
            epochs=10,
            minibatches=32,
            ratio_clip=0.2,
            value_clip=0.2,
            value_loss_coeff=0.5,
            entropy_loss_coeff=0.0,
            clip_grad_norm=0.5,
            normalize_advantage="minibatch",
            normalize_reward=True,
        ),
        agent=PgAgent(model_kwargs={"normalize_observation": True}),
        sampler=SerialSampler(env=env, batch_T=2048, batch_B=1),
        n_steps=1_000_000,
        log_interval_steps=20_480,
    )


EXPERIMENTS = {env: partial(ppo_mujoco, env) for env in ENVS}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
