"""PPO on CartPole: a whole training script. An argument sets the number of environment steps."""

import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

n_steps = int(sys.argv[1]) if sys.argv[1:] else 100_000
sampler = SerialSampler(env="CartPole-v1", batch_T=32, batch_B=8)
algo = PPO(discount=0.98, gae_lambda=0.8, learning_rate=1e-3, epochs=20, minibatches=1)
runner = MinibatchRl(algo=algo, agent=PgAgent(), sampler=sampler, n_steps=n_steps, seed=0)
with logger_context(default_log_dir("cartpole_ppo"), run_ID=0, name="cartpole_ppo") as logger:
    runner.train(logger)
