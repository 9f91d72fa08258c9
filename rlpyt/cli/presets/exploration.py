"""Defaults of the algorithms that explore by intrinsic reward: NGU and Agent57."""

from dataclasses import replace
from typing import Any

from rlpyt.agents.arms import ArmAgent
from rlpyt.agents.dqn import EpsilonGreedy
from rlpyt.algos.dqn.agent57 import Agent57
from rlpyt.algos.dqn.family import FamilyAlgorithm
from rlpyt.algos.dqn.ngu import NGU
from rlpyt.cli.presets.kinds import Recurrent, image_replay, kind_of, unclipped
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

__all__ = ["agent57", "ngu"]

_PRIORITY = Prioritized(alpha=0.9, beta=0.6, beta_final=0.6, eta=0.9)


def ngu(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """NGU with an LSTM; with images as published for Atari."""
    if kind_of(spaces) == "image":
        return _runner(NGU(), env, spaces, recurrent)
    return _runner(NGU(discount=0.99, discount_min=0.95), env, spaces, recurrent)


def agent57(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """Agent57 with LSTMs; with images as published for Atari."""
    if kind_of(spaces) == "image":
        return _runner(Agent57(), env, spaces, recurrent)
    algo = Agent57(discount_max=0.99, discount=0.97, discount_min=0.95)
    return _runner(algo, env, spaces, recurrent)


def _runner(
    algo: FamilyAlgorithm, env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent
) -> MinibatchRl:
    """Every environment with its own ε. Without images a family of 8, small networks, and sequences
    that cover most of a short episode.
    """
    model: dict[str, Any] = {"recurrent": "lstm" if recurrent == "none" else recurrent}
    epsilon = EpsilonGreedy(final=0.4, final_min=0.4**8, steps=1)
    if kind_of(spaces) == "image":
        epsilon = replace(epsilon, final_min=0.4**9, evaluation=0.01)
        replay = _image_sequences(env, agent57=algo.split)
        memory = {"kernel_kwargs": {"capacity": 30_000}}
        fields: dict[str, Any] = {"reward_kwargs": {"episodic_kwargs": memory}}
        n_arms, T, B, n_steps = 32, 40, 32, 10_000_000
    else:
        replay = ReplayBuffer(
            size=100_000, sequence_length=20, rnn_state_interval=10, prioritized=_PRIORITY
        )
        fields = _small()
        model |= {"hidden_sizes": (64,), "rnn_size": 64}
        if model["recurrent"] == "lstm":
            model["forget_bias"] = 1.0
        n_arms, T, B, n_steps = 8, 20, 16, 100_000
    return MinibatchRl(
        algo=replace(algo, replay=replay, **fields),
        agent=ArmAgent(
            n_arms=n_arms,
            split=algo.split,
            model_kwargs=model,
            epsilon=epsilon,
        ),
        sampler=SerialSampler(env=unclipped(env), batch_T=T, batch_B=B),
        n_steps=n_steps,
    )


def _image_sequences(env: EnvConfig, *, agent57: bool) -> ReplayBuffer:
    """R2D2's, as NGU's; those of Agent57 are twice as long, and not weighted for importance."""
    length, interval, weight = (160, 80, 0.0) if agent57 else (80, 40, 0.6)
    return replace(
        image_replay(env),
        sequence_length=length,
        burn_in=40,
        rnn_state_interval=interval,
        prioritized=replace(_PRIORITY, beta=weight, beta_final=weight),
    )


def _small() -> dict[str, Any]:
    """For vectors: quick learning, small networks."""
    return {
        "batch_size": 32,
        "min_steps_learn": 2_000,
        "replay_ratio": 16.0,
        "learning_rate": 1e-3,
        "target_update_interval": 100,
        "optim_kwargs": {"eps": 1e-5},
        "reward_kwargs": {
            "episodic_kwargs": {
                "feature_size": 16,
                "hidden_sizes": (64,),
                "model_sizes": (64,),
                "kernel_kwargs": {"capacity": 256},
            },
            "lifelong_kwargs": {"feature_size": 32, "hidden_sizes": (64,)},
        },
    }
