"""From the name of an algorithm to its default runner."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from rlpyt.cli.presets.dqn import c51, dqn, iqn, pqn, qrdqn, r2d1, rainbow
from rlpyt.cli.presets.exploration import agent57, ngu
from rlpyt.cli.presets.generalization import daac, drac, drdaac, ppg
from rlpyt.cli.presets.kinds import Recurrent
from rlpyt.cli.presets.meta import pearl
from rlpyt.cli.presets.pg import a2c, appo, impala, ppo
from rlpyt.cli.presets.pixels import drqv2, rad_sac
from rlpyt.cli.presets.qpg import crossq, ddpg, redq, sac, td3, tqc
from rlpyt.data import EnvSpaces
from rlpyt.envs.atari import AtariTrajInfo
from rlpyt.envs.build import EnvConfig, peek_spaces
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["ALGORITHMS", "check_algorithm", "default_runner"]

ALGORITHMS: Mapping[str, Callable[[EnvConfig, EnvSpaces, Recurrent], MinibatchRl]] = (
    MappingProxyType(
        {
            "a2c": a2c,
            "agent57": agent57,
            "appo": appo,
            "c51": c51,
            "crossq": crossq,
            "daac": daac,
            "ddpg": ddpg,
            "dqn": dqn,
            "drqv2": drqv2,
            "drac": drac,
            "drdaac": drdaac,
            "impala": impala,
            "iqn": iqn,
            "ngu": ngu,
            "pearl": pearl,
            "ppg": ppg,
            "ppo": ppo,
            "pqn": pqn,
            "qrdqn": qrdqn,
            "r2d1": r2d1,
            "rad_sac": rad_sac,
            "rainbow": rainbow,
            "redq": redq,
            "sac": sac,
            "td3": td3,
            "tqc": tqc,
        }
    )
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
        RlpytError: for an unknown algorithm or environment, with the nearest known one, or an
        algorithm that does not fit.
    """
    check_algorithm(algorithm)
    runner = ALGORITHMS[algorithm](env, peek_spaces(env), recurrent)
    if env.atari is None:
        return runner
    return replace(runner, sampler=replace(runner.sampler, TrajInfoCls=AtariTrajInfo))
