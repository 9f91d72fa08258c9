"""RL² (PPO with an LSTM over trials) on environments with tasks; judged on tasks never trained on.

    python experiments/ppo_meta.py point_robot --seed 1

A trial is three episodes of one task. ``FirstEpisodeReturn`` and ``LastEpisodeReturn`` of
progress.csv tell what the agent makes of an unknown task, and of one that it has met. The settings
are our own: Duan et al. 2016 publish none for these environments. Tasks are those of PEARL: 80 to
train on and 20 to test on for the point robot, 100 and 30 for cheetah-vel, which needs
``pip install -c constraints.txt -e ".[mujoco]"``.
"""

from typing import Any

from command_line import main

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.envs import EnvConfig
from rlpyt.envs.trials import TRIAL_INFO_KEYS, TrialTrajInfo
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler


def runner(name: str, *, n_train: int, n_test: int, steps: int, n_steps: int) -> MinibatchRl:
    """Three episodes of ``steps`` steps are a trial, which is one row of a batch."""

    def env(split: str) -> EnvConfig:
        kwargs: dict[str, Any] = {
            "env": f"rlpyt.envs.meta:{name}",
            "episodes": 3,
            "n_train": n_train,
            "n_test": n_test,
            "task_seed": 1337,
            "split": split,
        }
        return EnvConfig(id="rlpyt.envs.trials:trials", kwargs=kwargs, info_keys=TRIAL_INFO_KEYS)

    return MinibatchRl(
        algo=PPO(
            discount=0.99,
            gae_lambda=0.95,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            ratio_clip=0.2,
            epochs=8,
            minibatches=4,
            value_loss_coeff=0.5,
            entropy_loss_coeff=0.0,
            normalize_reward=True,
        ),
        agent=PgAgent(model_kwargs={"recurrent": "lstm", "normalize_observation": True}),
        sampler=SerialSampler(
            env=env("train"), batch_T=3 * steps, batch_B=64, TrajInfoCls=TrialTrajInfo
        ),
        evaluator=Evaluator(episodes=40, n_envs=20, env=env("test")),
        n_steps=n_steps,
    )


def point_robot() -> MinibatchRl:
    """Goals in the square, 2M steps."""
    return runner("point_robot", n_train=80, n_test=20, steps=20, n_steps=2_000_000)


def cheetah_vel() -> MinibatchRl:
    """Velocities from 0 to 3, 20M steps."""
    return runner("cheetah_vel", n_train=100, n_test=30, steps=200, n_steps=20_000_000)


EXPERIMENTS = {"point_robot": point_robot, "cheetah_vel": cheetah_vel}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
