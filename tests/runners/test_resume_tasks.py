"""A run on several tasks, stopped in the middle of episodes, goes on in the same tasks, bit for
bit: each environment's task is part of the state.
"""

from pathlib import Path
from typing import Any

import pytest
from runner_fakes import assert_same_run, train
from test_parallel_resume import in_mid_episode
from test_resume_mujoco import runner, stop_after

from rlpyt.envs.build import EnvConfig
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.task_split import task_split
from rlpyt.runners.saver import read_run_state

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
