"""Defaults of the Q-learning family."""

from dataclasses import replace
from typing import Any

from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.algos.dqn.categorical import CategoricalDQN
from rlpyt.algos.dqn.dqn import DQN
from rlpyt.algos.dqn.pqn import PQN
from rlpyt.algos.dqn.quantile import IQN, QRDQN
from rlpyt.algos.dqn.r2d1 import R2D1
from rlpyt.cli.presets.kinds import (
    Kind,
    Recurrent,
    image_replay,
    kind_of,
    refuse_memory,
    unclipped,
)
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

__all__ = ["c51", "dqn", "iqn", "pqn", "qrdqn", "r2d1", "rainbow"]


def dqn(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """DQN: with images as Dopamine has it."""
    kind = kind_of(spaces)
    refuse_memory("dqn", recurrent, "use r2d1 or pqn")
    return _runner(DQN(delta_clip=None if kind == "image" else 1.0), env, kind)


def c51(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """C51."""
    kind = kind_of(spaces)
    refuse_memory("c51", recurrent, "use r2d1 or pqn")
    return _runner(CategoricalDQN(), env, kind, head="categorical")


def qrdqn(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """QR-DQN, with 200 quantiles, or 50 where there are no images."""
    kind = kind_of(spaces)
    refuse_memory("qrdqn", recurrent, "use r2d1 or pqn")
    n_quantiles = 200 if kind == "image" else 50
    return _runner(QRDQN(), env, kind, head="quantile", n_quantiles=n_quantiles)


def iqn(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """IQN; acts by 32 quantiles."""
    kind = kind_of(spaces)
    refuse_memory("iqn", recurrent, "use r2d1 or pqn")
    n = 64 if kind == "image" else 16
    algo = IQN(n_fractions=n, n_target_fractions=n)
    return _runner(algo, env, kind, head="implicit", n_quantiles=32)


def rainbow(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """Rainbow, whole: C51 with double Q-learning, three steps, priorities, dueling and noise for
    exploration.
    """
    kind = kind_of(spaces)
    refuse_memory("rainbow", recurrent, "use r2d1 or pqn")
    runner = _runner(
        CategoricalDQN(double=True), env, kind, head="categorical", dueling=True, noisy=True
    )
    assert isinstance(runner.algo, CategoricalDQN)
    assert isinstance(runner.agent, DqnAgent)
    beta_steps = runner.n_steps
    replay = replace(
        runner.algo.replay,
        n_step_return=3,
        prioritized=Prioritized(alpha=0.5, beta=0.4, beta_final=1.0, beta_steps=beta_steps),
    )
    quiet = EpsilonGreedy(initial=0.0, final=0.0, evaluation=0.0)
    return replace(
        runner,
        algo=replace(runner.algo, replay=replay),
        agent=replace(runner.agent, epsilon=quiet),
    )


def r2d1(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """R2D1 with an LSTM; with images as published for Atari, each environment with its own ε."""
    kind = kind_of(spaces)
    if kind == "image":
        replay = _sequences(image_replay(env), length=80, burn_in=40, interval=40)
        algo = R2D1(replay=replay)
        model: dict[str, Any] = {"dueling": True}
        epsilon = EpsilonGreedy(final=0.4, final_min=0.4**8, steps=100_000)
        T, B, n_steps = 40, 16, 10_000_000
    else:
        replay = ReplayBuffer(size=100_000)
        algo = R2D1(
            discount=0.99,
            replay=_sequences(replay, length=12, burn_in=4, interval=4),
            batch_size=32,
            min_steps_learn=1_000,
            replay_ratio=48.0,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            target_update_interval=50,
            optim_kwargs={"eps": 1e-5},
        )
        model = {"hidden_sizes": (64,), "rnn_size": 64}
        epsilon = EpsilonGreedy(final=0.05, steps=8_000)
        T, B, n_steps = 10, 8, 50_000
    recurrent = "lstm" if recurrent == "none" else recurrent
    return MinibatchRl(
        algo=algo,
        agent=DqnAgent(model_kwargs={"recurrent": recurrent, **model}, epsilon=epsilon),
        sampler=SerialSampler(env=unclipped(env), batch_T=T, batch_B=B),
        n_steps=n_steps,
    )


def pqn(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """PQN; with images as published for Atari."""
    kind = kind_of(spaces)
    model_kwargs: dict[str, Any] = {"layer_norm": True}
    if recurrent != "none":
        model_kwargs["recurrent"] = recurrent
    if kind == "image":
        algo = PQN(epochs=2, minibatches=32)
        B, n_steps, epsilon = 128, 10_000_000, EpsilonGreedy(final=0.001, steps=1_000_000)
    else:
        algo = PQN(learning_rate=1e-3)
        B, n_steps, epsilon = 8, 100_000, EpsilonGreedy(final=0.05, steps=50_000)
    if recurrent != "none":  # minibatches are whole sequences
        algo = replace(algo, minibatches=min(algo.minibatches, B // 2))
    return MinibatchRl(
        algo=algo,
        agent=DqnAgent(model_kwargs=model_kwargs, epsilon=epsilon),
        sampler=SerialSampler(env=env, batch_T=32, batch_B=B),
        n_steps=n_steps,
    )


def _runner(algo: QAlgorithm, env: EnvConfig, kind: Kind, **model_kwargs: Any) -> MinibatchRl:
    """With images a batch of 32 for every 4 steps, as in all of the literature; without, what RL
    Baselines3 Zoo has for CartPole, and a learning rate that ends at 0.
    """
    if kind == "image":
        fields: dict[str, Any] = {
            "replay": image_replay(env),
            "clip_grad_norm": None,
        }
        T, B, n_steps = 4, 8, 10_000_000
        epsilon, value_range = EpsilonGreedy(delay=20_000, steps=250_000), (-10.0, 10.0)
    else:
        fields = {
            "replay": ReplayBuffer(size=100_000),
            "batch_size": 64,
            "min_steps_learn": 1_000,
            "replay_ratio": 32.0,
            "learning_rate": 2.3e-3,
            "learning_rate_schedule": "linear",
            "target_update_interval": 128,  # the gradient steps of one iteration
            "optim_kwargs": {"eps": 1e-8},
        }
        T, B, n_steps = 64, 4, 50_000
        epsilon, value_range = EpsilonGreedy(final=0.04, steps=8_000), (-100.0, 100.0)
        model_kwargs["hidden_sizes"] = (256, 256)
    return MinibatchRl(
        algo=replace(algo, **fields),
        agent=DqnAgent(model_kwargs=model_kwargs, epsilon=epsilon, value_range=value_range),
        sampler=SerialSampler(env=env, batch_T=T, batch_B=B),
        n_steps=n_steps,
    )


def _sequences(replay: ReplayBuffer, *, length: int, burn_in: int, interval: int) -> ReplayBuffer:
    """As R2D2 has them, with the exponents of the first rlpyt."""
    return replace(
        replay,
        sequence_length=length,
        burn_in=burn_in,
        rnn_state_interval=interval,
        n_step_return=5,
        prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6, eta=0.9),
    )
