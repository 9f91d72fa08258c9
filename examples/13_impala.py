"""IMPALA: on-policy learning that bears samples of older parameters, with an LSTM.

An argument sets the number of environment steps. A process samples the next batch by the parameters
before the last update; V-trace corrects for the difference. In the corridor the first observation
says where to turn at the end: without memory the mean return is 0, with it 1.
"""

import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import IMPALA
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import AsyncRl
from rlpyt.samplers import SerialSampler

if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 200_000
    runner = AsyncRl(
        algo=IMPALA(learning_rate=1e-3, clip_grad_norm=0.5),
        agent=PgAgent(model_kwargs={"recurrent": "lstm"}),
        sampler=SerialSampler(
            env=EnvConfig(id="rlpyt.envs:MemoryCorridor", kwargs={"length": 10}),
            batch_T=20,
            batch_B=32,
        ),
        n_steps=n_steps,
    )
    with logger_context(default_log_dir("impala"), 0, "impala") as logger:
        runner.train(logger)
