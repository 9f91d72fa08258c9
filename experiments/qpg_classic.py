"""Off-policy actor-critics on classic control: SAC, TD3, DDPG, REDQ, CrossQ and TQC on Pendulum,
SAC's discrete form on CartPole.

    python experiments/qpg_classic.py sac_Pendulum --seed 1

Published for Pendulum-v1 after 20k steps (RL Baselines3 Zoo): SAC -157 ± 89, TD3 -152 ± 90, DDPG
-152 ± 94, TQC -151. For CartPole-v1 after 200k (SLM-Lab): discrete SAC 406.

Source: the Zoo's configurations (Raffin 2020). Differs: 1000 uniform actions come first in all of
them, where the Zoo has 100 to 10,000; TD3 and DDPG have 256 units in each layer for 400 and 300.
REDQ and CrossQ, which the Zoo has no settings for, have the size of the others; REDQ four steps of
its critics for each of the environment.
"""

from functools import partial
from typing import Any

from command_line import main

from rlpyt.agents import QpgAgent, QpgExploration
from rlpyt.algos import DDPG, REDQ, SAC, TD3, TQC, CrossQ, DiscreteSAC, Temperature
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.replays import ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler


def settings() -> dict[str, Any]:
    """What all have in common: a batch of 256 for each step, from 1000 steps on."""
    return {
        "replay": ReplayBuffer(size=100_000),
        "batch_size": 256,
        "min_steps_learn": 1_000,
        "replay_ratio": 256.0,
        "learning_rate": 1e-3,
    }


def pendulum(name: str) -> MinibatchRl:
    """20k steps in Pendulum-v1."""
    small = {"hidden_sizes": (256, 256)}
    deterministic = {**settings(), "discount": 0.98}
    algo: QpgAlgorithm = {
        "sac": lambda: SAC(**settings()),
        "td3": lambda: TD3(**deterministic),
        "ddpg": lambda: DDPG(**deterministic),
        "redq": lambda: REDQ(
            **{**settings(), "replay_ratio": 4 * 256.0}, n_critics=5, policy_delay=4
        ),
        "crossq": lambda: CrossQ(**settings(), critic_kwargs=small),
        "tqc": lambda: TQC(**settings(), n_critics=2, critic_kwargs=small),
    }[name]()
    return runner("Pendulum-v1", algo, 20_000, {"batch_renorm": name == "crossq"})


def cartpole() -> MinibatchRl:
    """50k steps in CartPole-v1; the policy may become nearly certain."""
    algo = DiscreteSAC(
        replay=ReplayBuffer(size=100_000),
        batch_size=64,
        min_steps_learn=1_000,
        replay_ratio=64.0,
        learning_rate=1e-3,
        temperature=Temperature(target_entropy=0.2),
    )
    return runner("CartPole-v1", algo, 50_000, {})


def runner(env: str, algo: QpgAlgorithm, n_steps: int, model_kwargs: dict[str, Any]) -> MinibatchRl:
    """One environment; 50 greedy episodes after each quarter."""
    exploration = QpgExploration(random_steps=algo.min_steps_learn)
    return MinibatchRl(
        algo=algo,
        agent=QpgAgent(policy=algo.policy, model_kwargs=model_kwargs, exploration=exploration),
        sampler=SerialSampler(env=env, batch_T=1, batch_B=1),
        n_steps=n_steps,
        log_interval_steps=n_steps // 4,
        evaluator=Evaluator(episodes=50, n_envs=10),
    )


EXPERIMENTS = {
    f"{name}_Pendulum": partial(pendulum, name)
    for name in ("sac", "td3", "ddpg", "redq", "crossq", "tqc")
} | {"sac_CartPole": cartpole}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
