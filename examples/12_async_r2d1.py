"""Asynchronous R2D1: a sampler with workers of its own, one batch ahead, and two learners.

An argument sets the number of environment steps. The sampler is a parallel one: its process, one
batch ahead, has workers that step the environments and act. Each learning process has a replay of
its columns of every batch, and both take one gradient step together.
"""

import sys

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import R2D1
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import Prioritized, ReplayBuffer
from rlpyt.runners import AsyncRl, Evaluator
from rlpyt.samplers import CpuSampler


def build(n_steps: int) -> AsyncRl:
    """As example 6 has it in one process, its batches of 32 sequences divided."""
    return AsyncRl(
        algo=R2D1(
            discount=0.99,
            replay=ReplayBuffer(
                size=25_000,
                sequence_length=12,
                burn_in=4,
                rnn_state_interval=4,
                n_step_return=5,
                prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6),
            ),
            batch_size=16,
            min_steps_learn=500,
            replay_ratio=48.0,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            target_update_interval=50,
            optim_kwargs={"eps": 1e-5},
        ),
        agent=DqnAgent(
            model_kwargs={"recurrent": "lstm", "rnn_size": 64, "hidden_sizes": (64,)},
            epsilon=EpsilonGreedy(final=0.05, steps=n_steps // 5),
        ),
        sampler=CpuSampler(
            env=EnvConfig(id="rlpyt.envs:MemoryCorridor", kwargs={"length": 10}),
            batch_T=10,
            batch_B=8,
            n_workers=2,
        ),
        evaluator=Evaluator(episodes=100, n_envs=20),
        log_interval_steps=max(80, n_steps // 10),
        n_steps=n_steps,
        world_size=2,
    )


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 30_000
    with logger_context(default_log_dir("async_r2d1"), 0, "async_r2d1") as logger:
        build(n_steps).train(logger)
