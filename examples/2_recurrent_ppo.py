"""Recurrent PPO on CartPole without velocities: the agent must remember to know which way it moves.

An argument sets the number of environment steps. The same from the command line:

    rlpyt train ppo rlpyt.envs.classic:masked_velocity_cartpole --recurrent lstm --steps 300000

The model gets ``recurrent="lstm"``; everything else finds out from the model. The actor carries its
state from step to step, and minibatches hold whole sequences. A gradient reaches back ``batch_T``
steps at most.
"""

import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def build(n_steps: int) -> MinibatchRl:
    """The runner, not yet started."""
    return MinibatchRl(
        algo=PPO(
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            ratio_clip_schedule="linear",
            epochs=10,
            value_loss_coeff=0.1,  # policy and value share the memory: the value must not rule it
            entropy_loss_coeff=0.0,
        ),
        agent=PgAgent(model_kwargs={"recurrent": "lstm", "rnn_size": 128}),
        sampler=SerialSampler(
            env="rlpyt.envs.classic:masked_velocity_cartpole", batch_T=64, batch_B=8
        ),
        n_steps=n_steps,
        seed=0,
    )


if __name__ == "__main__":
    runner = build(int(sys.argv[1]) if sys.argv[1:] else 300_000)
    with logger_context(default_log_dir("recurrent_ppo"), 0, "recurrent_ppo") as logger:
        runner.train(logger)
