"""Trials: several episodes of one task as one, and an agent that learns within them."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.envs import EnvConfig, MemoryCorridor, task_split
from rlpyt.envs.meta import point_robot
from rlpyt.envs.trials import TRIAL_INFO_KEYS, Trials, TrialTrajInfo, trials
from rlpyt.evaluation.runs import read_progress
from rlpyt.logging.logger import Logger
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import CpuSampler, SerialSampler
from rlpyt.utils.errors import RlpytError


class TwoDoors(gymnasium.Env[Any, Any]):
    """One of two doors pays 1, and the task is which; one step is an episode."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._task = {"door": 0.0}

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        return [{"door": float(rng.integers(2))} for _ in range(n)]

    def set_task(self, task: Any) -> None:
        self._task = {"door": float(task["door"])}

    def get_task(self) -> dict[str, Any]:
        return dict(self._task)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(1, np.float32), float(action == self._task["door"]), True, False, {}


def two_doors(*, episodes: int) -> gymnasium.Env[Any, Any]:
    return Trials(TwoDoors(), episodes=episodes)


def played(env: gymnasium.Env[Any, Any], seed: int) -> list[tuple[Any, ...]]:
    """A trial of action 0.5 everywhere: what each step returned."""
    observation, info = env.reset(seed=seed)
    steps: list[tuple[Any, ...]] = [(observation, None, False, info["trial_episode"])]
    ended = False
    while not ended:
        observation, reward, terminated, truncated, info = env.step(np.full(2, 0.5, np.float32))
        ended = terminated or truncated
        steps.append((observation, reward, ended, info["trial_episode"]))
    return steps


def test_a_trial_is_so_many_episodes_of_one_task():
    env = trials(env="rlpyt.envs.meta:point_robot", episodes=3)
    steps = played(env, seed=1)
    assert len(steps) == 1 + 3 * 20
    begins = [bool(observation[-1]) for observation, *_ in steps]
    assert [i for i, begin in enumerate(begins) if begin] == [0, 20, 40]
    assert [number for *_, number in steps[1:]] == [0] * 20 + [1] * 20 + [2] * 20
    assert [ended for _, _, ended, _ in steps] == [False] * 60 + [True]
    goal = env.unwrapped.get_task()["goal"]  # type: ignore[attr-defined]
    for i in (1, 30, 60):
        assert steps[i][1] == pytest.approx(-np.linalg.norm(steps[i][0][:2] - goal), abs=1e-6)
    starts = {tuple(steps[i][0][:2]) for i in (0, 20, 40)}
    assert len(starts) == 3  # episodes start anew
    assert env.observation_space.contains(steps[7][0])


def test_a_seed_gives_one_trial_and_another_another():
    env = trials(env="rlpyt.envs.meta:point_robot", episodes=2)
    one, again, other = (played(env, seed) for seed in (4, 4, 5))
    assert all(
        np.array_equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(one, again, strict=True)
    )
    assert not np.array_equal(one[1][0], other[1][0])


def test_tasks_are_those_of_the_split():
    split = task_split("rlpyt.envs.meta:point_robot", 5, 3, seed=7)
    for side, tasks in split._asdict().items():
        kwargs = {"n_train": 5, "n_test": 3, "task_seed": 7, "split": side}
        env = trials(env="rlpyt.envs.meta:point_robot", **kwargs)
        goals = set()
        for seed in range(60):
            env.reset(seed=seed)
            goals.add(tuple(env.unwrapped.get_task()["goal"]))  # type: ignore[attr-defined]
        assert goals == {tuple(task["goal"]) for task in tasks}


def test_other_observations_stand_beside_the_sign():
    class Doors(TwoDoors):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = spaces.Discrete(3)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return 2, super().reset(seed=seed)[1]

    observation, _ = Trials(Doors(), episodes=2).reset(seed=0)
    assert observation["observation"] == 2
    assert observation["begins"].tolist() == [1.0]


def test_what_cannot_be_is_refused():
    with pytest.raises(RlpytError, match="task"):
        Trials(MemoryCorridor(), episodes=2)
    with pytest.raises(RlpytError, match="episodes=0"):
        Trials(point_robot(), episodes=0)
    with pytest.raises(RlpytError, match="no tasks"):
        Trials(point_robot(), episodes=1, tasks=[])


ENV = EnvConfig(id=two_doors, kwargs={"episodes": 5}, info_keys=TRIAL_INFO_KEYS)
RUNNER = MinibatchRl(
    algo=PPO(learning_rate=1e-2, epochs=4, minibatches=2, entropy_loss_coeff=0.0),
    agent=PgAgent(model_kwargs={"recurrent": "lstm", "hidden_sizes": [16]}),
    sampler=SerialSampler(env=ENV, batch_T=20, batch_B=32, TrajInfoCls=TrialTrajInfo),
    n_steps=25_000,
)


def trained(runner: MinibatchRl, run_dir: Any, **more: Any) -> dict[str, list[float]]:
    logger = Logger(run_dir, "trials", 0, tensorboard=False, console=False, **more)
    try:
        runner.train(logger, **more)
    finally:
        logger.close()
    return read_progress(run_dir)


def test_an_agent_with_memory_learns_within_a_trial(tmp_path):
    """Half of the first doors pay; who remembers opens the right one four times after that."""
    rows = trained(RUNNER, tmp_path / "memory")
    assert rows["ReturnAverage"][-1] > 4.2
    assert rows["LastEpisodeReturnAverage"][-1] > 0.95
    assert 0.25 < rows["FirstEpisodeReturnAverage"][-1] < 0.75
    agent = PgAgent(model_kwargs={"hidden_sizes": [16]})
    rows = trained(replace(RUNNER, agent=agent, n_steps=10_000), tmp_path / "none")
    assert rows["ReturnAverage"][-1] < 3.2


def test_trials_are_the_same_in_workers_and_after_a_resume(tmp_path):
    short = replace(RUNNER, n_steps=1280, checkpoint_interval_steps=640, log_interval_steps=640)
    whole = trained(short, tmp_path / "whole")
    workers = replace(short.sampler, group_size=16)
    serial = trained(replace(short, sampler=workers), tmp_path / "serial")
    fields = {name: value for name, value in vars(workers).items() if not name.startswith("_")}
    cpu = CpuSampler(**fields, n_workers=2)
    parallel = trained(replace(short, sampler=cpu), tmp_path / "parallel")
    assert parallel["ReturnAverage"] == serial["ReturnAverage"]
    trained(replace(short, n_steps=640), tmp_path / "half")
    resumed = trained(short, tmp_path / "half", resume=True)
    assert resumed["ReturnAverage"] == whole["ReturnAverage"]
    assert resumed["lossAverage"] == whole["lossAverage"]
