"""A2C on MuJoCo, with the settings of rlpyt 0.1 (Stooke & Abbeel 2019, arXiv:1909.01500).

    python experiments/a2c_mujoco.py Hopper-v5 --seed 1

Needs ``pip install -c constraints.txt -e ".[mujoco]"``.

No table was published for these settings; they learn slowly and steadily. Source: the configuration
``a2c_1M`` of rlpyt 0.1.
"""

from functools import partial

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import A2C
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

ENVS = ("HalfCheetah-v5", "Walker2d-v5", "Hopper-v5", "Ant-v5", "InvertedPendulum-v5", "Swimmer-v5")


def a2c_mujoco(env: str) -> MinibatchRl:
    """A2C for 1M steps in the Gymnasium environment ``env``."""
    return MinibatchRl(
        algo=A2C(
            discount=0.99,
            gae_lambda=1.0,
            learning_rate=3e-5,
            value_loss_coeff=0.5,
            entropy_loss_coeff=0.0,
            clip_grad_norm=1e6,
            normalize_advantage=True,
        ),
        agent=PgAgent(model_kwargs={"normalize_observation": True}),
        sampler=SerialSampler(env=env, batch_T=100, batch_B=8),
        n_steps=1_000_000,
        log_interval_steps=20_000,
    )


EXPERIMENTS = {env: partial(a2c_mujoco, env) for env in ENVS}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
