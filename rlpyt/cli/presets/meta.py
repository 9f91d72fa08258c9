"""Defaults of meta-reinforcement learning: trials of whatever environment has tasks."""

from typing import Any, NamedTuple

from gymnasium.wrappers import TimeLimit

from rlpyt.agents.pearl import PearlAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.meta.pearl import PEARL
from rlpyt.cli.presets.kinds import Recurrent, refuse_memory
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig, build_env
from rlpyt.envs.tasks import parts_of, task_env, task_key
from rlpyt.envs.trials import TRIAL_INFO_KEYS, TrialTrajInfo
from rlpyt.replays.tasks import TaskReplay
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator

__all__ = ["pearl"]

_HIDDEN = (128, 128, 128)
_TASK_SEED = 1337  # of the tasks, not of the run: the release's
_TRAIN, _TEST = 80, 20
_ENVS = 5  # trials side by side
_LEAST_STEPS = 200  # of a phase


class _Tasks(NamedTuple):
    train: int
    test: int
    overlap: bool
    trajectory_steps: int


def pearl(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """PEARL on trials of ``env``: 80 tasks to learn on and 20 to be judged on, or all that there
    are. A phase of a trial is two trajectories, or as many as have 200 steps.
    """
    refuse_memory("pearl", recurrent, "its memory is the belief; use ppo on rlpyt.envs.Trials")
    tasks = _look(env)
    steps = max(2 * tasks.trajectory_steps, _LEAST_STEPS)
    n_explored = -(-steps // tasks.trajectory_steps)
    collected = {"initial_steps": steps, "prior_steps": steps, "extra_steps": steps}
    judged = {"trajectories": n_explored + 2, "exploration_trajectories": n_explored}
    return MinibatchRl(
        algo=PEARL(
            replay=TaskReplay(size=20_000),
            batch_size=128,
            hidden_sizes=_HIDDEN,
            train_steps=steps,
            min_steps_learn=tasks.train * steps,
        ),
        agent=PearlAgent(policy=QpgAgent(model_kwargs={"hidden_sizes": _HIDDEN})),
        sampler=SerialSampler(
            env=_trials("training_trials", env, tasks, collected),
            batch_T=2 * steps,
            batch_B=_ENVS,
            TrajInfoCls=TrialTrajInfo,
        ),
        evaluator=Evaluator(
            episodes=tasks.test,
            n_envs=tasks.test,
            greedy=False,
            env=_trials("evaluation_trials", env, tasks, judged),
        ),
        n_steps=1_000_000,
    )


def _trials(kind: str, env: EnvConfig, tasks: _Tasks, counts: dict[str, int]) -> EnvConfig:
    kwargs: dict[str, Any] = {
        "env": env.id,
        "env_kwargs": env.kwargs,
        "n_train": tasks.train,
        "n_test": tasks.test,
        "task_seed": _TASK_SEED,
        "overlap": tasks.overlap,
        **counts,
    }
    id_ = f"rlpyt.envs.adaptation:{kind}"
    return EnvConfig(id=id_, kwargs=kwargs, info_keys=TRIAL_INFO_KEYS)


def _look(env: EnvConfig) -> _Tasks:
    """What ``env`` has to offer."""
    for name in ("clip_reward", "frame_stack", "time_limit"):
        if getattr(env, name) is not None:
            what = f"sampler.env.{name} with pearl, whose environment is one of trials"
            raise RlpytError("config", what, hint="wrap it in a function that makes it")
    made = build_env(env)
    try:
        sampled = task_env(made).sample_tasks(_TRAIN + _TEST, generator(_TASK_SEED, Stream.TASK))
        limits = [part for part in parts_of(made) if isinstance(part, TimeLimit)]
    finally:
        made.close()
    if not limits:
        what = f"{env.id} has no time limit: a trial needs trajectories that end"
        raise RlpytError("env", what, hint="wrap it in gymnasium.wrappers.TimeLimit")
    steps = min(limit._max_episode_steps for limit in limits)
    n = len({task_key(task) for task in sampled})
    if n < _TRAIN + _TEST:
        return _Tasks(n, n, overlap=True, trajectory_steps=steps)
    return _Tasks(_TRAIN, _TEST, overlap=False, trajectory_steps=steps)
