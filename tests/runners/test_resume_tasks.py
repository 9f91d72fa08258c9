"""A run on several tasks, stopped in the middle of episodes, goes on in the same tasks, bit for
bit: each environment's task is part of the state.
"""

from pathlib import Path
from typing import Any

import pytest
from runner_fakes import assert_same_run, train
from test_parallel_resume import LAYOUTS, in_mid_episode, signalling
from test_resume_mujoco import runner, stop_after

from rlpyt.agents import PearlAgent, QpgAgent
from rlpyt.algos import PEARL
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.task_split import task_split
from rlpyt.envs.trials import TRIAL_INFO_KEYS, TrialTrajInfo
from rlpyt.logging.run_state import read_run_state
from rlpyt.replays import TaskReplay
from rlpyt.runners import Evaluator, MinibatchRl

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

ENVS = {
    "point": EnvConfig(id="rlpyt.envs.meta:point_robot"),
    "cheetah": EnvConfig(id="rlpyt.envs.meta:cheetah_vel", kwargs={"time_limit": 50}),
    "hopper": EnvConfig(id="rlpyt.envs.meta:hopper_rand_params", kwargs={"time_limit": 50}),
}
STOPS = (2, 6)  # of ten iterations of 16 steps


def with_tasks(config: EnvConfig, patch: pytest.MonkeyPatch) -> None:
    """Each environment starts its first episode with a task of its own, by its index."""
    reset, tasks = LoopVectorEnv.reset, task_split(config, 8, 0, seed=0).train

    def reset_with_tasks(env: LoopVectorEnv, observation: Any, *, first_episode: int = 0) -> None:
        for index, part in zip(env.env_indices, env.task_envs, strict=True):
            assert part is not None
            part.set_task(tasks[index])
        reset(env, observation, first_episode=first_episode)

    patch.setattr(LoopVectorEnv, "reset", reset_with_tasks)


@pytest.mark.parametrize("name", ENVS)
def test_each_environment_goes_on_with_its_task(name: str, tmp_path: Path) -> None:
    config = ENVS[name]
    if name != "point":
        pytest.importorskip("mujoco", reason="the optional package mujoco is not installed")
        pytest.importorskip("imageio", reason="the optional package imageio is not installed")
    with pytest.MonkeyPatch.context() as patch:
        with_tasks(config, patch)
        whole = train(runner(config, "serial"), tmp_path / "whole")
    parts, run_dir = tmp_path / "parts", tmp_path / "parts" / "run_0"
    for n, stop in enumerate(STOPS):
        with pytest.MonkeyPatch.context() as patch:
            if n == 0:  # later ones know the tasks by the checkpoint alone
                with_tasks(config, patch)
            with stop_after(stop):
                train(runner(config, "serial"), parts, resume=n > 0)
        assert in_mid_episode(run_dir) == stop
    train(runner(config, "serial"), parts, resume=True)
    assert read_run_state(run_dir) == "done"
    assert_same_run(whole, run_dir)


def pearl(layout: str) -> MinibatchRl:
    """PEARL on trials that begin and end within batches, judged on others."""
    cls, own = LAYOUTS[layout]
    tasks = {"env": "rlpyt.envs.meta:point_robot", "n_train": 6, "n_test": 2}
    train_kwargs = {**tasks, "initial_steps": 20, "prior_steps": 20, "extra_steps": 40}
    return MinibatchRl(
        algo=PEARL(
            replay=TaskReplay(size=300),
            meta_batch=3,
            batch_size=8,
            context_size=8,
            context_sampling="windows",
            train_steps=2,
            hidden_sizes=(16,),
        ),
        agent=PearlAgent(
            policy=QpgAgent(model_kwargs={"hidden_sizes": (16,)}),
            encoder_kwargs={"hidden_sizes": (16,)},
        ),
        sampler=cls(
            env=EnvConfig(
                id="rlpyt.envs.adaptation:training_trials",
                kwargs=train_kwargs,
                info_keys=TRIAL_INFO_KEYS,
            ),
            batch_T=27,
            batch_B=4,
            group_size=2,
            TrajInfoCls=TrialTrajInfo,
            **own,
        ),
        evaluator=Evaluator(
            episodes=2,
            n_envs=2,
            greedy=False,
            env=EnvConfig(
                id="rlpyt.envs.adaptation:evaluation_trials",
                kwargs=tasks,
                info_keys=TRIAL_INFO_KEYS,
            ),
        ),
        n_steps=27 * 4 * 8,
        log_interval_steps=27 * 4 * 2,
    )


@pytest.mark.parametrize("layouts", [("serial", "serial"), ("cpu2", "alternating2")])
def test_pearl_goes_on_with_its_tasks_beliefs_and_replay(
    layouts: tuple[str, str], tmp_path: Path
) -> None:
    whole = train(pearl("serial"), tmp_path / "whole")
    parts, run_dir = tmp_path / "parts", tmp_path / "parts" / "run_0"
    for n, stop in enumerate((3, 6)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PEARL, "optimize_agent", signalling(PEARL.optimize_agent, stop))
            with pytest.raises(SystemExit):
                train(pearl(layouts[n]), parts, resume=n > 0)
    train(pearl("serial"), parts, resume=True)
    assert read_run_state(run_dir) == "done"
    assert_same_run(whole, run_dir)
