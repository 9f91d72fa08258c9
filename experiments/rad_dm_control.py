"""RAD: soft actor-critic with augmented data on the DeepMind Control Suite from pixels.

    python experiments/rad_dm_control.py walker_walk --seed 1
    python experiments/rad_dm_control.py crop_cheetah_run --seed 1

Needs ``pip install -c constraints.txt -e ".[dm-control]"``, EGL or OSMesa to render, and 2.3 GB of
memory. Steps are those of the agent, each as many frames of the suite as the task's action repeat.

Source: Laskin et al. 2020 (arXiv:2004.14990): batches of 128, learning rate 1e-3 (cheetah 2e-4), a
replay of 100,000, temperature 0.1 at first, policy and targets at every second step. Differs:
images of 84 x 84 are shifted, moved in black, or cropped from their padding, all of which keep
their size, where the paper crops 84 from 100 and moves 100 within 108; the targets see the online
encoder, not an average of it; the convolutions are DrQ-v2's; the temperature learns as the rest.
The returns of the paper are at 100,000 and 500,000 frames.
"""

from functools import partial

from command_line import main

from rlpyt.agents import QpgAgent, QpgExploration
from rlpyt.algos import SAC, Temperature
from rlpyt.augment import Augmentation, RandomCrop, RandomShift, RandomTranslate
from rlpyt.envs import EnvConfig
from rlpyt.replays import FrameStorage, ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

ACTION_REPEAT = {
    "ball_in_cup-catch": 4,
    "cartpole-swingup": 8,
    "cheetah-run": 4,
    "finger-spin": 2,
    "reacher-easy": 4,
    "walker-walk": 2,
}
AUGMENTATIONS: dict[str, Augmentation] = {
    "": RandomShift(),
    "crop_": RandomCrop(size=84, pad=8),
    "translate_": RandomTranslate(pad=4),
}
MODEL = {"image": "drq", "feature_size": 50, "hidden_sizes": (1024, 1024), "init": "orthogonal"}
RANDOM_STEPS = 1_000


def rad(task: str, augmentation: Augmentation) -> MinibatchRl:
    """500,000 frames of one environment, a step of learning for each of its steps."""
    repeat = ACTION_REPEAT[task]
    env = EnvConfig(id=f"dm_control_pixels/{task}-v0", kwargs={"action_repeat": repeat})
    return MinibatchRl(
        algo=SAC(
            replay=ReplayBuffer(size=100_000, storage=FrameStorage(n_frames=3)),
            augmentation=augmentation,
            shared_encoder=True,
            batch_size=128,
            replay_ratio=128.0,
            min_steps_learn=RANDOM_STEPS,
            learning_rate=2e-4 if task == "cheetah-run" else 1e-3,
            policy_delay=2,
            target_update_interval=2,
            target_update_tau=0.01,
            temperature=Temperature(initial=0.1),
            critic_kwargs=MODEL,
        ),
        agent=QpgAgent(
            policy="gaussian",
            model_kwargs=MODEL,
            exploration=QpgExploration(random_steps=RANDOM_STEPS),
        ),
        sampler=SerialSampler(env=env, batch_T=2, batch_B=1),
        n_steps=500_000 // repeat,
        log_interval_steps=10_000 // repeat,
        evaluator=Evaluator(episodes=10, n_envs=2),
        checkpoint_interval_steps=100_000 // repeat,
        keep_checkpoints=1,
    )


EXPERIMENTS = {
    f"{prefix}{task.replace('-', '_')}": partial(rad, task, augmentation)
    for prefix, augmentation in AUGMENTATIONS.items()
    for task in ACTION_REPEAT
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
