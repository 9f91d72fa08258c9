"""A run in MuJoCo, stopped in the middle of episodes, goes on as if nothing had been, bit for bit.

Their physics is put back by the seed of the episode and its actions, in new processes too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runner_fakes import assert_same_run, small_runner, train
from test_parallel_resume import LAYOUTS, in_mid_episode, signalling

from rlpyt.algos.qpg import SAC
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.minibatch_rl import MinibatchRl

pytest.importorskip("mujoco", reason="the optional package mujoco is not installed")
pytest.importorskip("imageio", reason="the optional package imageio is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

CHEETAH = EnvConfig(id="HalfCheetah-v5", kwargs={"max_episode_steps": 50})
DM_CHEETAH = EnvConfig(  # steps of 0.01 s
    id="dm_control/cheetah-run-v0", kwargs={"task_kwargs": {"time_limit": 0.5}}
)
STOPS = (2, 5, 8)  # of ten iterations of 16 steps: in the first, second and third episode


def runner(env: EnvConfig, layout: str) -> MinibatchRl:
    cls, own = LAYOUTS[layout]
    sampler = cls(env=env, batch_T=16, batch_B=4, group_size=2, **own)
    return replace(small_runner(algo="sac"), sampler=sampler)


@contextmanager
def stop_after(itr: int) -> Iterator[None]:
    """A signal during this iteration, counted from 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAC, "optimize_agent", signalling(SAC.optimize_agent, itr))
        with pytest.raises(SystemExit):
            yield


def assert_resumes(env: EnvConfig, layouts: tuple[str, ...], tmp_path: Path) -> None:
    whole = train(runner(env, "serial"), tmp_path / "whole")
    parts, run_dir = tmp_path / "parts", tmp_path / "parts" / "run_0"
    for n, stop in enumerate(STOPS):
        with stop_after(stop):
            train(runner(env, layouts[n]), parts, resume=n > 0)
        assert in_mid_episode(run_dir) == stop
    train(runner(env, layouts[-1]), parts, resume=True)
    assert read_run_state(run_dir) == "done"
    assert_same_run(whole, run_dir)


every_way = pytest.mark.parametrize(
    "layouts",
    [
        pytest.param(("serial",) * 4, id="serial", marks=pytest.mark.slow),
        pytest.param(("cpu2", "serial", "gpu2", "alternating2"), id="parallel"),
    ],
)


@every_way
def test_half_cheetah(tmp_path: Path, layouts: Any) -> None:
    assert_resumes(CHEETAH, layouts, tmp_path)


@every_way
def test_cheetah_of_dm_control(tmp_path: Path, layouts: Any) -> None:
    pytest.importorskip("dm_control", reason="the optional package dm-control is not installed")
    pytest.importorskip("shimmy", reason="the optional package shimmy is not installed")
    assert_resumes(DM_CHEETAH, layouts, tmp_path)
