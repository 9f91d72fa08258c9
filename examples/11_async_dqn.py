"""Asynchronous DQN: one process samples the next batch while another learns from the last.

An argument sets the number of environment steps. The replay ratio is held exactly, for each side
waits for the other; and the same seed gives the same run. The synchronous run is trained beside it.
"""

import sys
import time

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import DQN
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import ReplayBuffer
from rlpyt.runners import AsyncRl, MinibatchRl
from rlpyt.samplers import SerialSampler


def build(RunnerCls: type[AsyncRl | MinibatchRl], n_steps: int) -> AsyncRl | MinibatchRl:
    """The same parts for each runner."""
    return RunnerCls(
        algo=DQN(
            replay=ReplayBuffer(size=100_000),
            batch_size=64,
            min_steps_learn=1_000,
            replay_ratio=32.0,
            learning_rate=2.3e-3,
            learning_rate_schedule="linear",
            target_update_interval=128,
            optim_kwargs={"eps": 1e-8},
        ),
        agent=DqnAgent(
            model_kwargs={"hidden_sizes": (256, 256)},
            epsilon=EpsilonGreedy(final=0.04, steps=8_000),
        ),
        sampler=SerialSampler(env="CartPole-v1", batch_T=64, batch_B=4),
        n_steps=n_steps,
    )


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 50_000
    for name, RunnerCls in {"async": AsyncRl, "sync": MinibatchRl}.items():
        start = time.perf_counter()
        with logger_context(default_log_dir(f"dqn_{name}"), 0, name) as logger:
            build(RunnerCls, n_steps).train(logger)
        print(f"{name}: {n_steps / (time.perf_counter() - start):.0f} steps per second")
