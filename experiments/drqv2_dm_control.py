"""DrQ-v2 on the DeepMind Control Suite from pixels, with the settings of the paper.

    python experiments/drqv2_dm_control.py walker_walk --seed 1
    python experiments/drqv2_dm_control.py cartpole_swingup --seed 1 --steps 250000

Needs ``pip install -c constraints.txt -e ".[dm-control]"``, EGL or OSMesa to render, and 23 GB of
memory for a full replay (``algo.replay.size=100000`` takes 2.3). Steps are those of the agent, each
two frames of the suite.

Published returns at 1M frames, which are 500,000 steps (facebookresearch/drqv2, curves; mean ± sd
of 8 to 10 seeds): cartpole_swingup 863 ± 26, ball_in_cup_catch 920 ± 96, finger_spin 861 ± 113,
walker_stand 979, walker_walk 768 ± 391, reacher_easy 944, cheetah_run 716, walker_run 539,
quadruped_walk 726, finger_turn_easy 525, acrobot_swingup 166.

Source: Yarats et al. 2021 (arXiv:2107.09645), table of hyper-parameters. Differs: noise begins to
fade behind the first 2000 steps; squared errors have a ½, with Adam the same but for its ε;
orthogonal hidden layers have a gain of sqrt 2. The tasks' settings are those of the authors' code
(facebookresearch/drqv2, cfgs/task).
"""

from functools import partial

from command_line import main

from rlpyt.agents import QpgAgent, QpgExploration
from rlpyt.algos import DrQV2
from rlpyt.replays import FrameStorage, ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

# By how long the noise takes to fade, in steps: the paper's easy, medium and hard tasks; and the
# steps that these are run for.
TASKS = {
    100_000: (
        500_000,
        (
            "ball_in_cup-catch",
            "cartpole-balance",
            "cartpole-swingup",
            "finger-spin",
            "hopper-stand",
            "pendulum-swingup",
            "walker-stand",
            "walker-walk",
        ),
    ),
    500_000: (
        1_500_000,
        (
            "acrobot-swingup",
            "cheetah-run",
            "finger-turn_easy",
            "quadruped-walk",
            "reacher-easy",
            "walker-run",
        ),
    ),
    2_000_000: (15_000_000, ("humanoid-stand", "humanoid-walk", "humanoid-run")),
}
RANDOM_STEPS = 2_000


def drqv2(task: str, noise_steps: int, n_steps: int) -> MinibatchRl:
    """One environment, a batch for every second step: 256 of three rewards; walker: 512 of one."""
    hard, walker = task.startswith("humanoid"), task.startswith("walker")
    exploration = QpgExploration(
        random_steps=RANDOM_STEPS, noise_std=1.0, noise_std_final=0.1, noise_steps=noise_steps
    )
    feature_size = 100 if hard else 50
    sizes = {**DrQV2.critic_defaults, "feature_size": feature_size}
    n_step_return, batch_size = (1, 512) if walker else (3, 256)
    storage = FrameStorage(n_frames=3)
    replay = ReplayBuffer(size=1_000_000, storage=storage, n_step_return=n_step_return)
    return MinibatchRl(
        algo=DrQV2(
            replay=replay,
            batch_size=batch_size,
            replay_ratio=batch_size / 2,
            min_steps_learn=RANDOM_STEPS,
            learning_rate=8e-5 if hard else 1e-4,
            critic_kwargs={"feature_size": feature_size},
        ),
        agent=QpgAgent(policy="deterministic", model_kwargs=sizes, exploration=exploration),
        sampler=SerialSampler(env=f"dm_control_pixels/{task}-v0", batch_T=2, batch_B=1),
        n_steps=n_steps,
        log_interval_steps=10_000,
        evaluator=Evaluator(episodes=10, n_envs=2),
        checkpoint_interval_steps=100_000,
        keep_checkpoints=1,
    )


EXPERIMENTS = {
    task.replace("-", "_"): partial(drqv2, task, noise_steps, n_steps)
    for noise_steps, (n_steps, tasks) in TASKS.items()
    for task in tasks
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
