"""Environments with tasks under every sampler: one result, the sparse reward and the task's own
parts of the reward recorded.
"""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from parallel_fakes import FEW_CPUS, LAYOUTS, assert_same_result, run_case
from sampler_fakes import CountTrajInfo

from rlpyt.agents.pearl import PearlAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos import PEARL
from rlpyt.algos.qpg import SAC
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.trials import TRIAL_INFO_KEYS, TrialTrajInfo
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.replays.tasks import TaskReplay
from rlpyt.samplers import BaseSampler

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)

ENVS = {
    "sparse": EnvConfig(
        id="rlpyt.envs.meta:sparse_point_robot",
        kwargs={"task": {"goal": [0.1, 0.1]}},
        info_keys=("sparse_reward",),
    ),
    "walker": EnvConfig(
        id="rlpyt.envs.meta:walker_rand_params",
        kwargs={"time_limit": 12},
        info_keys=("reward_run", "reward_ctrl"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class TaskCase:
    """SAC on one of the environments, for :func:`parallel_fakes.run_case`."""

    env: str
    n_itr: int = 6
    seed: int = 0

    def agent(self) -> QpgAgent:
        return QpgAgent(
            policy=SAC.policy,
            model_kwargs={"hidden_sizes": [16]},
            exploration=QpgExploration(random_steps=160),
        )

    def algorithm(self) -> SAC:
        return SAC(
            replay=ReplayBuffer(size=512),
            batch_size=16,
            min_steps_learn=160,
            replay_ratio=1.0,
            critic_kwargs={"hidden_sizes": [16]},
        )

    def sampler(self, layout: str, **settings: Any) -> BaseSampler:
        cls, own = LAYOUTS[layout]
        common: dict[str, Any] = {
            "env": ENVS[self.env],
            "batch_T": 10,
            "batch_B": 8,
            "group_size": 2,
            "TrajInfoCls": CountTrajInfo,
        }
        return cls(**common, **own, **settings)


@dataclass(frozen=True, kw_only=True)
class PearlCase:
    """PEARL, whose trials begin and end within batches."""

    n_itr: int = 6
    seed: int = 0

    def agent(self) -> PearlAgent:
        return PearlAgent(
            policy=QpgAgent(model_kwargs={"hidden_sizes": [16]}),
            latent_size=2,
            encoder_kwargs={"hidden_sizes": [16]},
        )

    def algorithm(self) -> PEARL:
        return PEARL(
            replay=TaskReplay(size=500),
            meta_batch=4,
            batch_size=8,
            context_size=8,
            train_steps=2,
            hidden_sizes=(16,),
            learning_rate=1e-2,
        )

    def sampler(self, layout: str, **settings: Any) -> BaseSampler:
        cls, own = LAYOUTS[layout]
        env = EnvConfig(
            id="rlpyt.envs.adaptation:training_trials",
            kwargs={
                **{"env": "rlpyt.envs.meta:point_robot", "n_train": 12, "initial_steps": 20},
                **{"prior_steps": 20, "posterior_steps": 40, "extra_steps": 20},
            },
            info_keys=TRIAL_INFO_KEYS,
        )
        common: dict[str, Any] = {
            **{"env": env, "batch_T": 30, "batch_B": 8},
            **{"group_size": 2, "TrajInfoCls": TrialTrajInfo},
        }
        return cls(**common, **own, **settings)


def test_samplers_agree_on_trials_tasks_and_latents() -> None:
    case = PearlCase()
    serial = run_case(case, "serial")
    first: Any = serial.samples[0].observation.task
    assert first[0].tolist() == list(range(8))
    assert first[21, :4].tolist() == [8, 9, 10, 11]
    latent = torch.cat([batch.agent_info.latent[:, 0] for batch in serial.samples])
    changes = (latent[1:] != latent[:-1]).any(-1).nonzero().flatten() + 1
    assert changes.tolist() == list(range(20, 180, 20))
    for layout in ("cpu2", "gpu2", "alternating2"):
        assert_same_result(run_case(case, layout), serial)


@pytest.mark.parametrize("name", ENVS)
def test_samplers_agree(name: str) -> None:
    if name != "sparse":
        pytest.importorskip("mujoco", reason="the optional package mujoco is not installed")
        pytest.importorskip("imageio", reason="the optional package imageio is not installed")
    case = TaskCase(env=name)
    serial = run_case(case, "serial")
    recorded = serial.samples[0].env_info
    assert recorded._fields == ENVS[name].info_keys
    assert all(bool(leaf.any()) for leaf in recorded)
    for layout in ("cpu2", "gpu2", "alternating2"):
        assert_same_result(run_case(case, layout), serial)
