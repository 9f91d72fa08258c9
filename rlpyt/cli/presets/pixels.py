"""Defaults of the actor-critics that learn from images: as published for the DeepMind Control
Suite, with a replay of a tenth of the size.
"""

from dataclasses import replace
from typing import Any

from gymnasium.spaces import Box

from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.qpg.drqv2 import DrQV2
from rlpyt.algos.qpg.sac import SAC
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.augment.geometry import RandomShift
from rlpyt.cli.presets.kinds import Recurrent, image_replay, kind_of, refuse_memory
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

__all__ = ["drqv2", "rad_sac"]

_REPLAY = 100_000  # transitions: 2 GB of 84 x 84 images in color, each kept once


def drqv2(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """DrQ-v2, with the noise of its easy tasks."""
    exploration = QpgExploration(
        random_steps=2_000, noise_std=1.0, noise_std_final=0.1, noise_steps=100_000
    )
    model = dict(DrQV2.critic_defaults)
    return _runner("drqv2", DrQV2(), model, exploration, env, spaces, recurrent)


def rad_sac(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """SAC of randomly shifted images, with the sizes of RAD."""
    model: dict[str, Any] = {
        "image": "drq",
        "feature_size": 50,
        "hidden_sizes": (1024, 1024),
        "init": "orthogonal",
    }
    algo = SAC(
        augmentation=RandomShift(),
        shared_encoder=True,
        critic_kwargs=model,
        min_steps_learn=1_000,
        batch_size=128,
        replay_ratio=128.0,
        learning_rate=1e-3,
        policy_delay=2,
        target_update_interval=2,
        target_update_tau=0.01,
        temperature=Temperature(initial=0.1),
    )
    exploration = QpgExploration(random_steps=1_000)
    return _runner("rad_sac", algo, model, exploration, env, spaces, recurrent)


def _runner(
    name: str,
    algo: QpgAlgorithm,
    model_kwargs: dict[str, Any],
    exploration: QpgExploration,
    env: EnvConfig,
    spaces: EnvSpaces,
    recurrent: Recurrent,
) -> MinibatchRl:
    """One environment, two steps at a time."""
    refuse_memory(name, recurrent, "use sac, with algo.augmentation=RandomShift")
    if kind_of(spaces) != "image" or not isinstance(spaces.action, Box):
        what = (
            f"{name} learns from images which real numbers to choose; observations are "
            f"{spaces.observation}, actions {spaces.action}"
        )
        raise RlpytError("config", what, hint="use td3 or sac without images, dqn without a Box")
    replay = replace(image_replay(env), size=_REPLAY, n_step_return=algo.replay.n_step_return)
    return MinibatchRl(
        algo=replace(algo, replay=replay),
        agent=QpgAgent(policy=algo.policy, model_kwargs=model_kwargs, exploration=exploration),
        sampler=SerialSampler(env=env, batch_T=2, batch_B=1),
        n_steps=500_000,
    )
