"""Rainbow on CartPole, put together from its six parts. An argument sets the number of environment
steps; 30,000 take about a minute.

Each part is an argument of its own: take one out and see what it does, or put one into another
algorithm. The few numbers here only make it quick; nobody tuned them. ``rlpyt train rainbow
CartPole-v1`` has better ones.
"""

import sys

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import CategoricalDQN
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import Prioritized, ReplayBuffer
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def build(n_steps: int) -> MinibatchRl:
    """The runner, not yet started."""
    replay = ReplayBuffer(
        size=50_000,
        n_step_return=3,  # 1. returns of three steps
        prioritized=Prioritized(alpha=0.5, beta=0.4, beta_final=1.0, beta_steps=n_steps),  # 2.
    )
    algo = CategoricalDQN(  # 3. the distribution of returns
        replay=replay,
        double=True,  # 4. double Q-learning
        batch_size=64,
        min_steps_learn=n_steps // 50,
        replay_ratio=32.0,  # a gradient step for every 2 environment steps
        learning_rate=1e-3,
        learning_rate_schedule="linear",
        target_update_interval=100,  # gradient steps
    )
    agent = DqnAgent(
        model_kwargs={
            "head": "categorical",
            "dueling": True,  # 5. value and advantages apart
            "noisy": True,  # 6. noise in the layers explores, hence no ε
            "hidden_sizes": (128, 128),
        },
        value_range=(0.0, 100.0),  # with a discount of 0.99 no return is greater
        epsilon=EpsilonGreedy(initial=0.0, final=0.0, evaluation=0.0),
    )
    sampler = SerialSampler(env="CartPole-v1", batch_T=4, batch_B=4)
    return MinibatchRl(algo=algo, agent=agent, sampler=sampler, n_steps=n_steps, seed=0)


if __name__ == "__main__":
    runner = build(int(sys.argv[1]) if sys.argv[1:] else 30_000)
    with logger_context(default_log_dir("rainbow"), 0, "rainbow") as logger:
        runner.train(logger)
