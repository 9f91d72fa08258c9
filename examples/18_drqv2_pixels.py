"""DrQ-v2 balances a pole that it sees through a camera: dm_control's cartpole-balance.

    python examples/18_drqv2_pixels.py          # 20,000 steps, 40,000 frames
    python examples/18_drqv2_pixels.py 100000

Needs ``pip install -c constraints.txt -e ".[dm-control]"``, and EGL or OSMesa to render. Images are
48 x 48 and layers are small, so that it goes without a GPU; experiments/drqv2_dm_control.py has the
settings of the paper. A return of 1000 is as good as it gets.
"""

import sys

from rlpyt.agents import QpgAgent, QpgExploration
from rlpyt.algos import DrQV2
from rlpyt.augment import RandomShift
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import FrameStorage, ReplayBuffer
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

n_steps = int(sys.argv[1]) if sys.argv[1:] else 20_000
random_steps = min(1_000, n_steps // 2)
sizes = {"feature_size": 32, "hidden_sizes": (256, 256)}
algo = DrQV2(
    augmentation=RandomShift(pad=2),
    replay=ReplayBuffer(size=100_000, storage=FrameStorage(n_frames=3), n_step_return=3),
    min_steps_learn=random_steps,
    batch_size=64,
    replay_ratio=32.0,  # a batch for every second step
    critic_kwargs=sizes,
)
agent = QpgAgent(
    policy="deterministic",
    model_kwargs={**DrQV2.critic_defaults, **sizes},
    exploration=QpgExploration(
        random_steps=random_steps, noise_std=1.0, noise_std_final=0.1, noise_steps=n_steps // 2
    ),
)
env = EnvConfig(id="dm_control_pixels/cartpole-balance-v0", kwargs={"size": 48})
runner = MinibatchRl(
    algo=algo,
    agent=agent,
    sampler=SerialSampler(env=env, batch_T=2, batch_B=1),
    n_steps=n_steps,
    log_interval_steps=max(2, n_steps // 20),
)
with logger_context(default_log_dir("drqv2_pixels"), 0, "drqv2_pixels") as logger:
    runner.train(logger)
