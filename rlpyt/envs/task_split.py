"""Train and test tasks: seeded explicitly, and disjoint unless said otherwise."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium

from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.envs.gym import env_name
from rlpyt.envs.tasks import Task, task_env, task_key
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator

__all__ = ["TaskSplit", "task_split"]


class TaskSplit(NamedTuple):
    """The tasks to learn on, and those to be judged on."""

    train: list[Task]
    test: list[Task]


def task_split(
    env: EnvConfig | str | Callable[..., gymnasium.Env[Any, Any]] | gymnasium.Env[Any, Any],
    n_train: int,
    n_test: int,
    *,
    seed: int,
    overlap: bool = False,
) -> TaskSplit:
    """Train and test tasks of an environment, the same ones for the same seed.

    As in PEARL's release, all are drawn in one go; the first ``n_train`` are for training, the last
    ``n_test`` for testing.

    Args:
        env: what samplers take, or an environment that is there already.
        n_train: how many tasks to train on.
        n_test: how many tasks to test on.
        seed: of the tasks; not of a run, so that runs can be compared on the same tasks.
        overlap: draw ``max(n_train, n_test)`` tasks, and test on tasks that were trained on. The
            environments with two tasks (cheetah-dir, ant-dir forward and backward) are tested so.

    Raises:
        RlpytError: ``env``, where it has no tasks; ``task``, for negative numbers, or where a test
            task would be a train task without ``overlap``.
    """
    if n_train < 0 or n_test < 0:
        what = f"n_train={n_train} and n_test={n_test} must not be negative"
        raise RlpytError("task", what, hint="PEARL has 100 and 30 for cheetah-vel")
    n_tasks = max(n_train, n_test) if overlap else n_train + n_test
    tasks, name = _sample(env, n_tasks, seed)
    split = TaskSplit(tasks[:n_train], tasks[n_tasks - n_test :])
    if not overlap:
        trained = {task_key(task) for task in split.train}
        n_shared = sum(task_key(task) in trained for task in split.test)
        if n_shared:
            raise RlpytError(
                "task",
                f"{n_shared} of {n_test} test tasks of {name} are train tasks too",
                hint="it has few tasks: ask for fewer, or say overlap=True to test on train tasks",
            )
    return split


def _sample(env: Any, n: int, seed: int) -> tuple[list[Task], str]:
    rng = generator(seed, Stream.TASK)
    if isinstance(env, gymnasium.Env):
        return task_env(env).sample_tasks(n, rng), str(env)
    config = EnvConfig.of(env)
    made = build_env(config)
    try:
        return task_env(made).sample_tasks(n, rng), env_name(config.id)
    finally:
        made.close()
