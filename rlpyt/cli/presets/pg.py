"""Defaults of the policy-gradient algorithms."""

from dataclasses import fields, replace
from typing import Any

import torch

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppo import PPO, SurrogateAlgorithm
from rlpyt.cli.presets.kinds import Kind, Recurrent, kind_of
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.models.encoder import ImageTrunk
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

__all__ = ["a2c", "appo", "impala", "ppo"]


def ppo(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """PPO: for discrete vectors as tuned on classic control, else as published for MuJoCo and
    Atari.
    """
    kind = kind_of(spaces)
    algo = {
        "discrete": PPO(
            discount=0.98,
            gae_lambda=0.8,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            ratio_clip_schedule="linear",
            epochs=20,
            minibatches=1,
            entropy_loss_coeff=0.0,
        ),
        "continuous": PPO(
            learning_rate=3e-4,
            learning_rate_schedule="linear",
            epochs=10,
            minibatches=32,
            entropy_loss_coeff=0.0,
            normalize_reward=True,
        ),
        "image": PPO(
            learning_rate=2.5e-4,
            learning_rate_schedule="linear",
            ratio_clip=0.1,
            ratio_clip_schedule="linear",
        ),
    }[kind]
    batch_T = {"discrete": 32, "continuous": 256, "image": 128}[kind]
    if recurrent != "none":  # minibatches are whole sequences, and policy and value share a trunk
        batch_T = 64 if kind == "discrete" else 128
        algo = replace(
            algo, discount=0.99, gae_lambda=0.95, epochs=10, minibatches=4, value_loss_coeff=0.1
        )
    return _runner(algo, env, kind, recurrent, batch_T)


def a2c(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """A2C: short batches, one step each."""
    kind = kind_of(spaces)
    algo = A2C(
        learning_rate=7e-4,
        learning_rate_schedule="linear",
        gae_lambda=1.0 if kind == "image" else 0.95,
        entropy_loss_coeff=0.0 if kind != "image" else 0.01,
        normalize_reward=kind == "continuous",
    )
    return _runner(algo, env, kind, recurrent, 20 if recurrent != "none" else 5)


def impala(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """IMPALA: for images with the settings and the residual network of the paper, else as tuned on
    CartPole, and on a corridor that takes memory.
    """
    kind = kind_of(spaces)
    if kind == "image":
        return _runner(IMPALA(), env, kind, recurrent, 20, batch_B=32, image="impala")
    algo = IMPALA(
        vtrace_lambda=0.95,
        learning_rate=2e-3 if kind == "discrete" else 7e-4,
        entropy_loss_coeff=0.0,
        clip_grad_norm=0.5,
        normalize_reward=kind == "continuous",
        OptimCls=torch.optim.Adam,
        optim_kwargs={"eps": 1e-5},
    )
    if recurrent != "none":
        algo = replace(algo, vtrace_lambda=1.0, entropy_loss_coeff=0.01)
    return _runner(algo, env, kind, recurrent, 20)


def appo(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """APPO: as PPO, with V-trace for GAE."""
    runner = ppo(env, spaces, recurrent)
    assert isinstance(runner.algo, PPO)
    settings = {each.name: getattr(runner.algo, each.name) for each in fields(SurrogateAlgorithm)}
    algo = APPO(**settings, vtrace_lambda=runner.algo.gae_lambda)
    return replace(runner, algo=algo)


def _runner(
    algo: A2C | IMPALA | PPO,
    env: EnvConfig,
    kind: Kind,
    recurrent: Recurrent,
    batch_T: int,
    *,
    batch_B: int = 8,
    image: ImageTrunk | None = None,
) -> MinibatchRl:
    model_kwargs: dict[str, Any] = {} if image is None else {"image": image}
    if kind == "continuous":
        model_kwargs["normalize_observation"] = True
    if recurrent != "none":
        model_kwargs["recurrent"] = recurrent
    return MinibatchRl(
        algo=algo,
        agent=PgAgent(model_kwargs=model_kwargs),
        sampler=SerialSampler(env=env, batch_T=batch_T, batch_B=batch_B),
        n_steps=1_000_000 if kind != "image" else 10_000_000,
    )
