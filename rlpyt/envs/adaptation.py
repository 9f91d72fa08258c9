"""What PEARL learns on and is judged on, by names that samplers and commands take:
``env="rlpyt.envs.adaptation:training_trials"``, with the environment's own name in its arguments.
"""

from collections.abc import Callable
from typing import Any, Literal

import gymnasium

from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.envs.context_trials import ContextTrials, Draw, Phase
from rlpyt.envs.task_split import TaskSplit, task_split
from rlpyt.utils.errors import RlpytError

__all__ = ["evaluation_trials", "training_trials"]


def training_trials(
    *,
    env: str | Callable[..., gymnasium.Env[Any, Any]],
    env_kwargs: dict[str, Any] | None = None,
    n_train: int,
    n_test: int = 0,
    task_seed: int = 0,
    overlap: bool = False,
    initial_steps: int = 2000,
    prior_steps: int = 400,
    posterior_steps: int = 0,
    extra_steps: int = 600,
    context_reward: str | None = None,
) -> gymnasium.Env[Any, Any]:
    """What to learn on, of the environment named ``env``: first a trial of every train task, then
    trials of train tasks at random. Counts are steps, rounded up to whole trajectories.

    Args:
        env: as samplers take it: ``"rlpyt.envs.meta:cheetah_vel"``.
        env_kwargs: of that environment.
        n_train: tasks to train on.
        n_test: tasks to test on, as of :func:`~rlpyt.envs.task_split`.
        task_seed: of the tasks, likewise.
        overlap: likewise.
        initial_steps: of a task's first trial, with z from the prior.
        prior_steps: of another one, with z from the prior.
        posterior_steps: after them, with z from the posterior but for the first trajectory.
        extra_steps: likewise, but not part of the context.
        context_reward: the key in ``info`` of the context's reward, where it is not the reward.
    """
    made, tasks = _made(env, env_kwargs, n_train, n_test, task_seed, overlap=overlap)
    prior, posterior = Draw.PRIOR, Draw.POSTERIOR
    return ContextTrials(
        made,
        tasks=tasks.train,
        initial=[Phase(steps=initial_steps, first=prior, rest=prior)],
        phases=[
            Phase(steps=prior_steps, first=prior, rest=prior),
            Phase(steps=posterior_steps, first=prior, rest=posterior),
            Phase(steps=extra_steps, first=prior, rest=posterior, in_context=False),
        ],
        context_reward=context_reward,
    )


def evaluation_trials(
    *,
    env: str | Callable[..., gymnasium.Env[Any, Any]],
    env_kwargs: dict[str, Any] | None = None,
    n_train: int,
    n_test: int,
    task_seed: int = 0,
    overlap: bool = False,
    split: Literal["train", "test"] = "test",
    trajectories: int = 3,
    exploration_trajectories: int = 1,
    context_reward: str | None = None,
) -> gymnasium.Env[Any, Any]:
    """What to be judged on, of the environment named ``env``: trials of the test tasks in turn.

    Args:
        env: as of :func:`training_trials`, like all that is not told here.
        env_kwargs: of that environment.
        n_train: tasks to train on.
        n_test: tasks to test on.
        task_seed: of the tasks.
        overlap: whether test tasks may be train tasks.
        split: which of them.
        trajectories: of a trial.
        exploration_trajectories: the first ones, with z from the prior; then z is from all before.
        context_reward: the key in ``info`` of the context's reward, which is paid too.
    """
    made, both = _made(env, env_kwargs, n_train, n_test, task_seed, overlap=overlap)
    adapted = trajectories - exploration_trajectories
    if exploration_trajectories < 1 or adapted < 0:
        what = f"{trajectories} trajectories, {exploration_trajectories} of them exploration"
        raise RlpytError("config", what, hint="use at least one, and no more than there are")
    prior, posterior = Draw.PRIOR, Draw.POSTERIOR
    return ContextTrials(
        made,
        tasks=both.test if split == "test" else both.train,
        phases=[
            Phase(trajectories=exploration_trajectories, first=prior, rest=prior),
            Phase(trajectories=adapted, first=posterior, rest=posterior),
        ],
        context_reward=context_reward,
        pays_context_reward=context_reward is not None,
    )


def _made(
    env: str | Callable[..., gymnasium.Env[Any, Any]],
    env_kwargs: dict[str, Any] | None,
    n_train: int,
    n_test: int,
    task_seed: int,
    *,
    overlap: bool,
) -> tuple[gymnasium.Env[Any, Any], TaskSplit]:
    config = EnvConfig(id=env, kwargs=env_kwargs or {})
    return build_env(config), task_split(config, n_train, n_test, seed=task_seed, overlap=overlap)
