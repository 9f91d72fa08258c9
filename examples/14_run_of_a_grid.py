"""A script that a launcher calls for every run of a grid; 15_launch_a_grid.py does.

Called as ``python 14_run_of_a_grid.py <slot>slt_<code> <log_dir> <run_ID>``: which CPUs and devices
it has, where its files go, and which run it is. What is different about it stands in
``variant_config.json`` in that directory. Called with a number of steps alone, it is one run.
"""

import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.launch import LaunchedRun
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def build(n_steps: int = 20_000) -> MinibatchRl:
    """The experiment that variants change."""
    sampler = SerialSampler(env="CartPole-v1", batch_T=32, batch_B=8)
    return MinibatchRl(algo=PPO(epochs=10), agent=PgAgent(), sampler=sampler, n_steps=n_steps)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run = LaunchedRun.from_arguments()
        run.train(run.configured(build()), name="ppo_cartpole")
    else:
        with logger_context(default_log_dir("ppo_cartpole"), run_ID=0, name="ppo") as logger:
            build(*map(int, sys.argv[1:])).train(logger)
