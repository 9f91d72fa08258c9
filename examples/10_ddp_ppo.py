"""PPO on several devices: every process steps its own environments, and all take one gradient step.

Arguments set the number of environment steps and of processes. Started alone, the script starts the
other processes itself; on several machines, torchrun starts it on each:

    python examples/10_ddp_ppo.py 100000 2
    torchrun --nproc-per-node 2 examples/10_ddp_ppo.py 100000

On a machine with GPUs each process takes one of them.
"""

import os
import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import SyncRl
from rlpyt.samplers import SerialSampler


def build(n_steps: int, world_size: int | None) -> SyncRl:
    """As PPO on CartPole in one process, its eight environments divided."""
    ranks = world_size or int(os.environ["WORLD_SIZE"])
    return SyncRl(
        algo=PPO(discount=0.98, gae_lambda=0.8, learning_rate=1e-3, epochs=20, minibatches=1),
        agent=PgAgent(),
        sampler=SerialSampler(env="CartPole-v1", batch_T=32, batch_B=8 // ranks),
        n_steps=n_steps,
        world_size=world_size,
    )


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 100_000
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    world_size = None if launched else int(sys.argv[2]) if sys.argv[2:] else 2
    runner = build(n_steps, world_size)
    with logger_context(default_log_dir("ddp_ppo"), 0, "ddp_ppo") as logger:
        runner.train(logger)
    if logger is not None:  # the first process
        print(f"{runner.cum_steps:,} steps in {runner.n_ranks} processes: {logger.run_dir}")
