"""Pendulum with an off-policy actor-critic: SAC, or another one of its family.

    python examples/9_continuous_control.py            # SAC, 20,000 steps
    python examples/9_continuous_control.py 20000 td3  # or ddpg, redq, tqc, crossq

What differs between them is the algorithm and the kind of policy; CrossQ's policy also normalises
its batches. A return of -150 is as good as it gets: the pendulum has to be swung up first.
"""

import sys
from typing import Any

from rlpyt.agents import QpgAgent, QpgExploration
from rlpyt.algos import DDPG, REDQ, SAC, TD3, TQC, CrossQ
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

SMALL = {"hidden_sizes": (256, 256)}
ALGORITHMS: dict[str, tuple[type[QpgAlgorithm], dict[str, Any]]] = {
    "sac": (SAC, {}),
    "td3": (TD3, {"discount": 0.98}),
    "ddpg": (DDPG, {"discount": 0.98}),
    "redq": (REDQ, {"n_critics": 5, "replay_ratio": 4 * 256.0, "policy_delay": 4}),
    "tqc": (TQC, {"n_critics": 2, "critic_kwargs": SMALL}),
    "crossq": (CrossQ, {"critic_kwargs": SMALL}),
}


def build(name: str, n_steps: int) -> MinibatchRl:
    """A step of learning for each step of one environment, after 1000 uniform actions."""
    cls, settings = ALGORITHMS[name]
    random_steps = min(1_000, n_steps // 2)
    algo = cls(
        **{
            "replay": ReplayBuffer(size=100_000),
            "min_steps_learn": random_steps,
            "learning_rate": 1e-3,
            **settings,
        }
    )
    agent = QpgAgent(
        policy=algo.policy,
        model_kwargs={"batch_renorm": True} if name == "crossq" else {},
        exploration=QpgExploration(random_steps=random_steps),
    )
    return MinibatchRl(
        algo=algo,
        agent=agent,
        sampler=SerialSampler(env="Pendulum-v1", batch_T=1, batch_B=1),
        n_steps=n_steps,
        log_interval_steps=max(1, n_steps // 10),
        evaluator=Evaluator(episodes=10),
    )


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 20_000
    name = sys.argv[2] if sys.argv[2:] else "sac"
    with logger_context(default_log_dir(f"{name}_pendulum"), 0, name) as logger:
        build(name, n_steps).train(logger)
