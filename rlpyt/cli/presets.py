"""Defaults of ``rlpyt train``: a runner for an algorithm and an environment, chosen from the
environment's spaces.

Three kinds of environment: ``image`` (an observation with rows and columns), ``continuous`` (a Box
action), ``discrete`` (everything else). Each gets the settings that published results for its kind
use; any of them can be overridden.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from gymnasium import spaces

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.ppo import PPO
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig, peek_spaces
from rlpyt.envs.spaces import space_items
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["ALGORITHMS", "Kind", "Recurrent", "check_algorithm", "default_runner", "kind_of"]

Kind = Literal["discrete", "continuous", "image"]
"""What decides the defaults: images observed, else whether actions are real numbers."""

Recurrent = Literal["none", "lstm", "gru"]
"""Which recurrent part a model is given."""


def kind_of(env_spaces: EnvSpaces) -> Kind:
    """Which defaults fit these spaces."""
    leaves = [space for _path, space in space_items(env_spaces.observation)]
    if any(isinstance(space, spaces.Box) and len(space.shape) >= 2 for space in leaves):
        return "image"
    actions = [space for _path, space in space_items(env_spaces.action)]
    if any(isinstance(space, spaces.Box) for space in actions):
        return "continuous"
    return "discrete"


def _ppo(env: EnvConfig, kind: Kind, recurrent: Recurrent) -> MinibatchRl:
    """PPO: for discrete vectors as tuned on classic control, else as published for MuJoCo and
    Atari.
    """
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


def _a2c(env: EnvConfig, kind: Kind, recurrent: Recurrent) -> MinibatchRl:
    """A2C: short batches, one step each."""
    algo = A2C(
        learning_rate=7e-4,
        learning_rate_schedule="linear",
        gae_lambda=1.0 if kind == "image" else 0.95,
        entropy_loss_coeff=0.0 if kind != "image" else 0.01,
        normalize_reward=kind == "continuous",
    )
    return _runner(algo, env, kind, recurrent, 20 if recurrent != "none" else 5)


def _runner(
    algo: A2C | PPO, env: EnvConfig, kind: Kind, recurrent: Recurrent, batch_T: int
) -> MinibatchRl:
    model_kwargs: dict[str, Any] = {}
    if kind == "continuous":
        model_kwargs["normalize_observation"] = True
    if recurrent != "none":
        model_kwargs["recurrent"] = recurrent
    return MinibatchRl(
        algo=algo,
        agent=PgAgent(model_kwargs=model_kwargs),
        sampler=SerialSampler(env=env, batch_T=batch_T, batch_B=8),
        n_steps=1_000_000 if kind != "image" else 10_000_000,
    )


ALGORITHMS: Mapping[str, Callable[[EnvConfig, Kind, Recurrent], MinibatchRl]] = MappingProxyType(
    {"a2c": _a2c, "ppo": _ppo}
)
"""Name on the command line to the function that builds its default runner."""


def check_algorithm(name: str) -> None:
    """Raise for an unknown algorithm, with the nearest known one."""
    if name not in ALGORITHMS:
        hint = did_you_mean(name, ALGORITHMS)
        raise RlpytError("config", f"unknown algorithm {name!r}", hint=hint)


def default_runner(algorithm: str, env: EnvConfig, recurrent: Recurrent = "none") -> MinibatchRl:
    """The default runner of ``algorithm`` for ``env``, whose spaces are looked at.

    Raises:
        RlpytError: for an unknown algorithm or environment, with the nearest known one.
    """
    check_algorithm(algorithm)
    return ALGORITHMS[algorithm](env, kind_of(peek_spaces(env)), recurrent)
