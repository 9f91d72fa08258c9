"""Defaults of the off-policy actor-critics: as published for MuJoCo; smaller where actions are
Discrete.
"""

import math
from dataclasses import replace
from typing import Any

from gymnasium.spaces import Box, Discrete

from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.qpg.crossq import CrossQ
from rlpyt.algos.qpg.ddpg import DDPG
from rlpyt.algos.qpg.discrete_sac import DiscreteSAC
from rlpyt.algos.qpg.redq import REDQ
from rlpyt.algos.qpg.sac import SAC
from rlpyt.algos.qpg.td3 import TD3
from rlpyt.algos.qpg.temperature import Temperature
from rlpyt.algos.qpg.tqc import TQC
from rlpyt.cli.presets.kinds import Recurrent, image_replay, kind_of, refuse_memory
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

__all__ = ["crossq", "ddpg", "redq", "sac", "td3", "tqc"]

_RANDOM_STEPS = 5_000  # of uniform actions, before anything is learned


def ddpg(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """DDPG, with the sizes of TD3."""
    return _runner("ddpg", DDPG(), env, spaces, recurrent)


def td3(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """TD3."""
    return _runner("td3", TD3(), env, spaces, recurrent)


def sac(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """SAC with a learned temperature; its discrete form where actions are Discrete."""
    if isinstance(spaces.action, Discrete):
        return _discrete_sac(env, spaces, recurrent)
    return _runner("sac", SAC(), env, spaces, recurrent)


def redq(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """REDQ: ten critics, twenty steps for each of the environment."""
    return _runner("redq", REDQ(), env, spaces, recurrent)


def tqc(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """TQC: five critics of 25 quantiles."""
    return _runner("tqc", TQC(), env, spaces, recurrent)


def crossq(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """CrossQ; policy and critics normalise batches."""
    refuse_memory("crossq", recurrent, "use sac")
    runner = _runner("crossq", CrossQ(), env, spaces, recurrent)
    assert isinstance(runner.agent, QpgAgent)
    return replace(runner, agent=replace(runner.agent, model_kwargs={"batch_renorm": True}))


def _runner(
    name: str, algo: QpgAlgorithm, env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent
) -> MinibatchRl:
    """One environment, a step of learning for each of its steps."""
    if not isinstance(spaces.action, Box):
        also = "; only sac knows another form" if isinstance(spaces.action, Discrete) else ""
        what = f"{name} chooses real numbers; the action space is {spaces.action}"
        raise RlpytError("config", what, hint=f"use dqn, or ppo{also}")
    size = 100_000 if kind_of(spaces) == "image" else 1_000_000
    algo = replace(algo, min_steps_learn=_RANDOM_STEPS, replay=ReplayBuffer(size=size))
    model_kwargs: dict[str, Any] = {}
    T = 1
    if recurrent != "none":
        model_kwargs, T = {"recurrent": recurrent}, 10
        algo = _with_memory(algo, recurrent)
    exploration = QpgExploration(random_steps=_RANDOM_STEPS)
    return MinibatchRl(
        algo=algo,
        agent=QpgAgent(policy=algo.policy, model_kwargs=model_kwargs, exploration=exploration),
        sampler=SerialSampler(env=env, batch_T=T, batch_B=1),
        n_steps=1_000_000,
    )


def _with_memory(algo: QpgAlgorithm, recurrent: Recurrent) -> QpgAlgorithm:
    """Sequences of 20 steps behind 10 that warm the memory up, as many steps in a batch as else."""
    replay = replace(algo.replay, sequence_length=20, burn_in=10, rnn_state_interval=10)
    kwargs = {**algo.critic_kwargs, "recurrent": recurrent}
    return replace(algo, replay=replay, critic_kwargs=kwargs, batch_size=16)


def _discrete_sac(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """With images as published for Atari; without, a policy that may become nearly certain."""
    refuse_memory("sac with Discrete actions", recurrent, "use r2d1, pqn or ppo")
    assert isinstance(spaces.action, Discrete)
    if kind_of(spaces) == "image":
        algo = DiscreteSAC(
            replay=image_replay(env),
            batch_size=64,
            min_steps_learn=20_000,
            replay_ratio=16.0,
        )
        B, n_steps = 4, 10_000_000
    else:
        algo = DiscreteSAC(
            replay=ReplayBuffer(size=100_000),
            batch_size=64,
            min_steps_learn=1_000,
            replay_ratio=64.0,
            learning_rate=1e-3,
            temperature=Temperature(target_entropy=0.3 * math.log(spaces.action.n)),
        )
        B, n_steps = 1, 50_000
    exploration = QpgExploration(random_steps=algo.min_steps_learn)
    return MinibatchRl(
        algo=algo,
        agent=QpgAgent(policy=algo.policy, exploration=exploration),
        sampler=SerialSampler(env=env, batch_T=1, batch_B=B),
        n_steps=n_steps,
    )
