"""Defaults of the policy gradients that generalise: for images as published for Procgen, else near
PPO's.
"""

from dataclasses import replace
from typing import Any

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.daac import DAAC
from rlpyt.algos.pg.drac import DrAC
from rlpyt.algos.pg.ppg import PPG
from rlpyt.augment.base import Augmentation
from rlpyt.augment.geometry import RandomShift
from rlpyt.augment.vectors import RandomAmplitudeScaling
from rlpyt.cli.presets.kinds import Kind, Recurrent, kind_of, refuse_memory
from rlpyt.data import EnvSpaces
from rlpyt.envs.build import EnvConfig
from rlpyt.models.base import Model
from rlpyt.models.decoupled import DecoupledPgModel
from rlpyt.models.pg import PgModel
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

__all__ = ["daac", "drac", "drdaac", "ppg"]


def drac(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """DrAC: images are shifted, vectors scaled."""
    kind = kind_of(spaces)
    algo = DrAC(augmentation=_augmentation(kind), **_settings(kind))
    if kind != "image":
        algo = replace(algo, epochs=10, value_clip=None)
    if recurrent != "none":  # minibatches are whole sequences
        algo = replace(algo, minibatches=4, discount=0.99)
    return _runner(algo, env, kind, PgModel, {"recurrent": recurrent})


def daac(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """DAAC."""
    refuse_memory("daac", recurrent, "use drac or ppo")
    kind = kind_of(spaces)
    algo = DAAC(**_settings(kind))
    if kind != "image":
        algo = replace(algo, epochs=4, value_clip=None)
    return _runner(algo, env, kind, DecoupledPgModel, {"auxiliary": "advantage"})


def drdaac(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """DrDAAC: DAAC with DrAC's regularisation."""
    refuse_memory("drdaac", recurrent, "use drac or ppo")
    runner = daac(env, spaces, recurrent)
    assert isinstance(runner.algo, DAAC)
    return replace(runner, algo=replace(runner.algo, augmentation=_augmentation(kind_of(spaces))))


def ppg(env: EnvConfig, spaces: EnvSpaces, recurrent: Recurrent) -> MinibatchRl:
    """PPG; with vectors a phase is shorter and has more epochs of PPO."""
    refuse_memory("ppg", recurrent, "use drac or ppo")
    kind = kind_of(spaces)
    algo = PPG(**_settings(kind))
    if kind != "image":
        algo = replace(algo, epochs=4, policy_iterations=8, auxiliary_minibatches=4)
    return _runner(algo, env, kind, DecoupledPgModel, {"auxiliary": "value"})


def _settings(kind: Kind) -> dict[str, Any]:
    """What all of them share."""
    if kind == "image":
        return {}
    return {
        "discount": 0.99,
        "learning_rate": 1e-3 if kind == "discrete" else 3e-4,
        "learning_rate_schedule": "linear",
        "entropy_loss_coeff": 0.0,
        "normalize_reward": kind == "continuous",
    }


def _augmentation(kind: Kind) -> Augmentation:
    return RandomShift(pad=12) if kind == "image" else RandomAmplitudeScaling()


def _runner(
    algo: DrAC | DAAC | PPG,
    env: EnvConfig,
    kind: Kind,
    ModelCls: type[Model],
    model_kwargs: dict[str, Any],
) -> MinibatchRl:
    if kind == "image":
        model_kwargs = {**model_kwargs, "image": "impala"}
    if kind == "continuous":
        model_kwargs = {**model_kwargs, "normalize_observation": True}
    T, B = {"discrete": (64, 8), "continuous": (256, 8), "image": (256, 64)}[kind]
    return MinibatchRl(
        algo=algo,
        agent=PgAgent(ModelCls=ModelCls, model_kwargs=model_kwargs),
        sampler=SerialSampler(env=env, batch_T=T, batch_B=B),
        n_steps=1_000_000 if kind != "image" else 25_000_000,
    )
