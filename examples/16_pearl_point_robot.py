"""PEARL on a point that looks for a goal it is not told, and a picture of how it finds out.

    python examples/16_pearl_point_robot.py            # 60,000 steps, some minutes
    python examples/16_pearl_point_robot.py 100000     # closer to its goals

The picture is pearl_point_robot.png in the run's directory. In grey: trajectories of an agent that
knows nothing of the task, each with a guess of its own, z from the prior. In colour: what it does
after those, with z from what they have told. The star is the goal; none of them was trained on.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from rlpyt.agents import PearlAgent, QpgAgent
from rlpyt.algos import PEARL
from rlpyt.envs import TRIAL_INFO_KEYS, EnvConfig, TrialTrajInfo, task_split
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import TaskReplay
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

STEPS = 20  # of a trajectory
EXPLORED, ADAPTED = 10, 2  # trajectories
SIZES = (128, 128, 128)
TASKS: dict[str, Any] = {
    "env": "rlpyt.envs.meta:point_robot",
    "n_train": 80,
    "n_test": 20,
    "task_seed": 1337,
}


def trials(kind: str, **kwargs: Any) -> EnvConfig:
    id_ = f"rlpyt.envs.adaptation:{kind}"
    return EnvConfig(id=id_, kwargs={**TASKS, **kwargs}, info_keys=TRIAL_INFO_KEYS)


JUDGED = trials(
    "evaluation_trials", trajectories=EXPLORED + ADAPTED, exploration_trajectories=EXPLORED
)


def build(n_steps: int) -> MinibatchRl:
    """A batch is five trials, each of 20 trajectories in one task."""
    collected = trials("training_trials", initial_steps=200, prior_steps=200, extra_steps=200)
    return MinibatchRl(
        algo=PEARL(
            replay=TaskReplay(size=20_000),
            discount=0.9,
            batch_size=128,
            context_size=128,
            train_steps=250,
            min_steps_learn=min(80 * 200, n_steps // 2),
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            reward_scale=100.0,
            kl_lambda=1.0,
            hidden_sizes=SIZES,
            compile="trace",
        ),
        agent=PearlAgent(policy=QpgAgent(model_kwargs={"hidden_sizes": SIZES})),
        sampler=SerialSampler(env=collected, batch_T=400, batch_B=5, TrajInfoCls=TrialTrajInfo),
        evaluator=Evaluator(episodes=20, n_envs=20, greedy=False, env=JUDGED),
        n_steps=n_steps,
        log_interval_steps=max(1, n_steps // 10),
    )


def draw(agent: PearlAgent, path: Path, n_tasks: int = 6) -> None:
    """A trial of each of ``n_tasks`` test tasks, side by side."""
    n = EXPLORED + ADAPTED
    sampler = SerialSampler(env=JUDGED, batch_T=n * STEPS, batch_B=n_tasks)
    sampler.initialize(agent, seed=1)
    samples, _trajs = sampler.obtain_samples(0)
    seen: Any = samples.observation
    positions = seen.observation.reshape(n, STEPS, n_tasks, 2).numpy()
    returns = samples.reward.reshape(n, STEPS, n_tasks).sum(1).numpy()
    sampler.shutdown()
    goals = task_split(TASKS["env"], 80, 20, seed=1337).test[:n_tasks]
    figure, axes = plt.subplots(1, n_tasks, figsize=(3 * n_tasks, 3.4), sharex=True, sharey=True)
    for b, (axis, task) in enumerate(zip(axes, goals, strict=True)):
        for k in range(n):
            known = k >= EXPLORED
            axis.plot(*positions[k, :, b].T, color="C0" if known else "0.75", lw=2 if known else 1)
            axis.plot(*positions[k, 0, b], "o", color="C0" if known else "0.75", ms=4)
        axis.plot(*task["goal"], "*", color="C3", ms=14)
        before, after = returns[:EXPLORED, b].mean(), returns[EXPLORED:, b].mean()
        axis.set_title(f"{before:.1f} before, {after:.1f} after", fontsize=10)
        axis.set_aspect("equal")
        axis.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
    figure.suptitle("PEARL: from the prior (grey), and after inference (blue)")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    print(
        f"before inference {np.mean(returns[:EXPLORED]):.1f}, after {returns[EXPLORED:].mean():.1f}"
    )
    print(f"picture: {path}")


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 60_000
    with logger_context(default_log_dir("pearl_point_robot"), 0, "pearl") as logger:
        runner = build(n_steps)
        runner.train(logger)
        assert isinstance(runner.agent, PearlAgent)
        draw(runner.agent, logger.run_dir / "pearl_point_robot.png")
