"""Defaults of the algorithms for continuous actions, as published for MuJoCo."""

from gymnasium import spaces

from rlpyt.agents.qpg import QpgAgent, QpgExploration
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.algos.qpg.ddpg import DDPG
from rlpyt.algos.qpg.sac import SAC
from rlpyt.algos.qpg.td3 import TD3
from rlpyt.cli.presets.kinds import Kind, Recurrent, refuse_memory
from rlpyt.envs.build import EnvConfig, peek_spaces
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

__all__ = ["ddpg", "sac", "td3"]

_RANDOM_STEPS = 5_000  # of uniform actions, before anything is learned


def ddpg(env: EnvConfig, kind: Kind, recurrent: Recurrent) -> MinibatchRl:
    """DDPG, with the sizes of TD3."""
    return _runner("ddpg", DDPG(), env, kind, recurrent)


def td3(env: EnvConfig, kind: Kind, recurrent: Recurrent) -> MinibatchRl:
    """TD3."""
    return _runner("td3", TD3(), env, kind, recurrent)


def sac(env: EnvConfig, kind: Kind, recurrent: Recurrent) -> MinibatchRl:
    """SAC with a learned temperature."""
    return _runner("sac", SAC(), env, kind, recurrent)


def _runner(
    name: str, algo: QpgAlgorithm, env: EnvConfig, kind: Kind, recurrent: Recurrent
) -> MinibatchRl:
    """One environment, a step of learning for each of its steps."""
    action_space = peek_spaces(env).action
    if not isinstance(action_space, spaces.Box):
        what = f"{name} chooses real numbers; the action space is {action_space}"
        raise RlpytError("config", what, hint="use dqn, or ppo")
    refuse_memory(name, recurrent, "use ppo")
    algo.min_steps_learn = _RANDOM_STEPS
    algo.replay = ReplayBuffer(size=100_000 if kind == "image" else 1_000_000)
    exploration = QpgExploration(random_steps=_RANDOM_STEPS)
    return MinibatchRl(
        algo=algo,
        agent=QpgAgent(policy=algo.policy, exploration=exploration),
        sampler=SerialSampler(env=env, batch_T=1, batch_B=1),
        n_steps=1_000_000,
    )
