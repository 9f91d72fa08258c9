"""PEARL on the environments with tasks, judged on tasks never trained on.

    python experiments/pearl_meta.py point_robot --seed 1

``point_robot``, ``sparse_point_robot`` and ``cheetah_vel`` are for two cores: the release's
settings but for smaller networks and batches, and fewer gradient steps. The others, and
``cheetah_vel_published``, are as its authors released them. A row of the log is an evaluation on
every test task: ``FirstEpisodeReturn`` is that of a trajectory from the prior,
``LastEpisodeReturn`` that of the last one, with what the trajectories before have told. All but the
point robots need ``pip install -c constraints.txt -e ".[mujoco]"``.
"""

from dataclasses import replace
from typing import Any

from command_line import main

from rlpyt.agents import PearlAgent, QpgAgent
from rlpyt.algos import PEARL
from rlpyt.envs import EnvConfig
from rlpyt.envs.trials import TRIAL_INFO_KEYS, TrialTrajInfo
from rlpyt.replays import TaskReplay
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

SMALL = (128, 128, 128)  # hidden layers; the release has (300, 300, 300) everywhere


def runner(
    name: str,
    *,
    n_train: int,
    n_test: int,
    initial_steps: int,
    prior_steps: int,
    posterior_steps: int = 0,
    extra_steps: int = 0,
    trajectories: int,
    exploration_trajectories: int,
    context_reward: str | None = None,
    hidden_sizes: tuple[int, ...] = (300, 300, 300),
    encoder_kwargs: dict[str, Any] | None = None,
    env_kwargs: dict[str, Any] | None = None,
    overlap: bool = False,
    batch_B: int = 5,
    n_steps: int,
    algo: PEARL,
) -> MinibatchRl:
    """``batch_B`` trials, as long as what is collected of one task, are a batch."""
    tasks: dict[str, Any] = {
        "env": f"rlpyt.envs.meta:{name}",
        "env_kwargs": env_kwargs or {},
        "n_train": n_train,
        "n_test": n_test,
        "task_seed": 1337,
        "overlap": overlap,
        "context_reward": context_reward,
    }
    collected = {
        "initial_steps": initial_steps,
        "prior_steps": prior_steps,
        "posterior_steps": posterior_steps,
        "extra_steps": extra_steps,
    }
    judged = {"trajectories": trajectories, "exploration_trajectories": exploration_trajectories}

    def env(kind: str, kwargs: dict[str, Any]) -> EnvConfig:
        id_ = f"rlpyt.envs.adaptation:{kind}"
        return EnvConfig(id=id_, kwargs={**tasks, **kwargs}, info_keys=TRIAL_INFO_KEYS)

    return MinibatchRl(
        algo=replace(algo, hidden_sizes=hidden_sizes, min_steps_learn=n_train * initial_steps),
        agent=PearlAgent(
            policy=QpgAgent(model_kwargs={"hidden_sizes": hidden_sizes}),
            encoder_kwargs=encoder_kwargs or {},
        ),
        sampler=SerialSampler(
            env=env("training_trials", collected),
            batch_T=prior_steps + posterior_steps + extra_steps,
            batch_B=batch_B,
            TrajInfoCls=TrialTrajInfo,
        ),
        evaluator=Evaluator(
            episodes=n_test, n_envs=n_test, greedy=False, env=env("evaluation_trials", judged)
        ),
        n_steps=n_steps,
    )


def point_robot() -> MinibatchRl:
    """Goals in the square, 120k steps.

    Contexts are of 20 trajectories, in training as in the evaluation: of 10, half of the error in
    where it ends up is from which trajectories they happened to be.
    """
    return runner(
        "point_robot",
        n_train=80,
        n_test=20,
        initial_steps=200,
        prior_steps=400,
        extra_steps=200,
        trajectories=22,
        exploration_trajectories=20,
        hidden_sizes=SMALL,
        n_steps=120_000,
        algo=PEARL(
            replay=TaskReplay(size=20_000),
            discount=0.9,
            batch_size=128,
            context_size=256,
            train_steps=600,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            reward_scale=100.0,
            kl_lambda=0.3,
            compile="trace",
        ),
    )


def sparse_point_robot() -> MinibatchRl:
    """Goals on a half circle, of which the context tells only near them; 700k steps.

    The release has 5 trajectories of the prior in a trial, and 45 of the posterior; with 20 and 30
    most contexts have found the goal. Its rewards count four times as much against the entropy:
    then trajectories keep closer together, and reach fewer of the goals at the ends.
    """
    return runner(
        "sparse_point_robot",
        n_train=80,
        n_test=20,
        initial_steps=200,
        prior_steps=400,
        posterior_steps=600,
        trajectories=50,
        exploration_trajectories=40,
        context_reward="sparse_reward",
        hidden_sizes=SMALL,
        batch_B=10,
        n_steps=700_000,
        algo=PEARL(
            replay=TaskReplay(size=30_000),
            discount=0.9,
            batch_size=128,
            context_size=256,
            train_steps=250,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            reward_scale=25.0,
            kl_lambda=0.06,
            compile="trace",
        ),
    )


def cheetah_vel() -> MinibatchRl:
    """Velocities from 0 to 3, 200k steps; the release has 2000 first steps of a task, and larger
    networks and batches.
    """
    return runner(
        "cheetah_vel",
        n_train=100,
        n_test=30,
        initial_steps=400,
        prior_steps=400,
        extra_steps=600,
        trajectories=3,
        exploration_trajectories=2,
        hidden_sizes=SMALL,
        n_steps=200_000,
        algo=PEARL(
            replay=TaskReplay(size=20_000),
            batch_size=128,
            context_size=100,
            train_steps=600,
            compile="trace",
        ),
    )


def published(
    name: str,
    *,
    n_train: int,
    n_test: int,
    n_steps: int,
    meta_batch: int,
    train_steps: int = 4000,
    prior_steps: int = 400,
    extra_steps: int = 600,
    context_size: int = 256,
    kl_lambda: float = 0.1,
    **options: Any,
) -> MinibatchRl:
    """With the settings of the release, networks and all; hours and days on two cores."""
    return runner(
        name,
        n_train=n_train,
        n_test=n_test,
        initial_steps=2000,
        prior_steps=prior_steps,
        extra_steps=extra_steps,
        trajectories=3,
        exploration_trajectories=2,
        n_steps=n_steps,
        algo=PEARL(
            replay=TaskReplay(size=2 * n_steps // n_train),
            meta_batch=meta_batch,
            context_size=context_size,
            train_steps=train_steps,
            kl_lambda=kl_lambda,
        ),
        **options,
    )


def cheetah_vel_published() -> MinibatchRl:
    """As :func:`cheetah_vel`, as published."""
    return published(
        "cheetah_vel",
        n_train=100,
        n_test=30,
        n_steps=1_500_000,
        meta_batch=16,
        train_steps=2000,
        context_size=100,
    )


def cheetah_dir() -> MinibatchRl:
    """Forward and backward."""
    return published(
        "cheetah_dir",
        n_train=2,
        n_test=2,
        overlap=True,
        n_steps=2_000_000,
        meta_batch=4,
        train_steps=2000,
        prior_steps=1000,
        extra_steps=1000,
    )


def ant_dir() -> MinibatchRl:
    """Forward and backward, as the paper says."""
    kwargs = {"forward_backward": True}
    return published(
        "ant_dir",
        n_train=2,
        n_test=2,
        overlap=True,
        n_steps=2_000_000,
        meta_batch=4,
        env_kwargs=kwargs,
    )


def ant_dir_2d() -> MinibatchRl:
    """Two directions at random, as the release runs."""
    return published("ant_dir", n_train=2, n_test=2, overlap=True, n_steps=2_000_000, meta_batch=4)


def ant_goal() -> MinibatchRl:
    """Goals within 3 m; its authors have not reproduced it since."""
    return published(
        "ant_goal", n_train=150, n_test=30, n_steps=1_500_000, meta_batch=10, kl_lambda=1.0
    )


def humanoid_dir() -> MinibatchRl:
    """Directions of the plane."""
    return published("humanoid_dir", n_train=100, n_test=30, n_steps=1_500_000, meta_batch=16)


def hopper_rand_params() -> MinibatchRl:
    """Unknown dynamics, which only next observations tell."""
    return published(
        "hopper_rand_params",
        n_train=40,
        n_test=10,
        n_steps=2_000_000,
        meta_batch=10,
        context_size=100,
        encoder_kwargs={"next_observation": True},
    )


def walker_rand_params() -> MinibatchRl:
    """Unknown dynamics, which only next observations tell."""
    return published(
        "walker_rand_params",
        n_train=40,
        n_test=10,
        n_steps=2_000_000,
        meta_batch=10,
        context_size=100,
        encoder_kwargs={"next_observation": True},
    )


EXPERIMENTS = {
    "point_robot": point_robot,
    "sparse_point_robot": sparse_point_robot,
    "cheetah_vel": cheetah_vel,
    "cheetah_vel_published": cheetah_vel_published,
    "cheetah_dir": cheetah_dir,
    "ant_dir": ant_dir,
    "ant_dir_2d": ant_dir_2d,
    "ant_goal": ant_goal,
    "humanoid_dir": humanoid_dir,
    "hopper_rand_params": hopper_rand_params,
    "walker_rand_params": walker_rand_params,
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
