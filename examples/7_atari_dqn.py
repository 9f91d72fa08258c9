"""DQN on Pong. An argument sets the number of environment steps; a million take about two hours on
one core.

Needs ``pip install -c constraints.txt -e ".[atari]"``. The id chooses the convention: this one has
no sticky actions, and a lost life ends an episode. Observations are stacks of four frames, of which
``FrameStorage`` keeps each once. ``GameScore`` in the log is the score of whole games.
"""

import sys

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import DQN
from rlpyt.envs import AtariTrajInfo, EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import FrameStorage, ReplayBuffer
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def build(n_steps: int) -> MinibatchRl:
    """The runner, not yet started."""
    return MinibatchRl(
        algo=DQN(
            replay=ReplayBuffer(size=min(n_steps, 1_000_000), storage=FrameStorage(n_frames=4)),
            double=True,
            min_steps_learn=n_steps // 50,
            replay_ratio=8.0,  # a batch of 32 for every 4 steps
            learning_rate=1e-4,
            target_update_interval=1_000,  # gradient steps
        ),
        agent=DqnAgent(
            model_kwargs={"dueling": True},
            epsilon=EpsilonGreedy(final=0.01, delay=n_steps // 50, steps=n_steps // 10),
        ),
        sampler=SerialSampler(
            env=EnvConfig(id="PongNoFrameskip-v4"),
            batch_T=4,
            batch_B=8,
            TrajInfoCls=AtariTrajInfo,
        ),
        n_steps=n_steps,
        log_traj_window=20,
        seed=0,
    )


if __name__ == "__main__":
    runner = build(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
    with logger_context(default_log_dir("pong_dqn"), 0, "pong_dqn") as logger:
        runner.train(logger)
