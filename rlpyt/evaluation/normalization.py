"""Scores of different tasks on one scale: 0 for a low reference, 1 for a high one."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from rlpyt.evaluation.statistics import Array
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = [
    "ATARI_SCORES",
    "CONTROL_SCORES",
    "METHODS",
    "Normalization",
    "normalize",
    "read_scores",
    "reference_scores",
]

METHODS = ("auto", "none", "reference", "range")
"""Ways to normalise without a file of scores."""

# A uniform random policy and a professional human tester, from no-op starts, 108 000 frames at
# most: the figures of the DQN Zoo (github.com/google-deepmind/dqn_zoo) and of most papers.
_ATARI = """
Alien 227.8 7127.7, Amidar 5.8 1719.5, Assault 222.4 742.0, Asterix 210.0 8503.3,
Asteroids 719.1 47388.7, Atlantis 12850.0 29028.1, BankHeist 14.2 753.1,
BattleZone 2360.0 37187.5, BeamRider 363.9 16926.5, Berzerk 123.7 2630.4, Bowling 23.1 160.7,
Boxing 0.1 12.1, Breakout 1.7 30.5, Centipede 2090.9 12017.0, ChopperCommand 811.0 7387.8,
CrazyClimber 10780.5 35829.4, Defender 2874.5 18688.9, DemonAttack 152.1 1971.0,
DoubleDunk -18.6 -16.4, Enduro 0.0 860.5, FishingDerby -91.7 -38.7, Freeway 0.0 29.6,
Frostbite 65.2 4334.7, Gopher 257.6 2412.5, Gravitar 173.0 3351.4, Hero 1027.0 30826.4,
IceHockey -11.2 0.9, Jamesbond 29.0 302.8, Kangaroo 52.0 3035.0, Krull 1598.0 2665.5,
KungFuMaster 258.5 22736.3, MontezumaRevenge 0.0 4753.3, MsPacman 307.3 6951.6,
NameThisGame 2292.3 8049.0, Phoenix 761.4 7242.6, Pitfall -229.4 6463.7, Pong -20.7 14.6,
PrivateEye 24.9 69571.3, Qbert 163.9 13455.0, Riverraid 1338.5 17118.0, RoadRunner 11.5 7845.0,
Robotank 2.2 11.9, Seaquest 68.4 42054.7, Skiing -17098.1 -4336.9, Solaris 1236.3 12326.7,
SpaceInvaders 148.0 1668.7, StarGunner 664.0 10250.0, Surround -10.0 6.5, Tennis -23.8 -8.3,
TimePilot 3568.0 5229.2, Tutankham 11.4 167.6, UpNDown 533.4 11693.2, Venture 0.0 1187.5,
VideoPinball 16256.9 17667.9, WizardOfWor 563.5 4756.5, YarsRevenge 3092.9 54576.9,
Zaxxon 32.5 9173.3
"""


def _table(text: str) -> Mapping[str, tuple[float, float]]:
    rows = (row.split() for row in text.split(","))
    return MappingProxyType({name: (float(low), float(high)) for name, low, high in rows})


ATARI_SCORES: Mapping[str, tuple[float, float]] = _table(_ATARI)
"""The 57 games: the scores of a random policy and of a human."""

CONTROL_SCORES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "CartPole-v1": (22.6, 475.0),
        "Acrobot-v1": (-500.0, -100.0),
        "MountainCar-v0": (-200.0, -110.0),
        "MountainCarContinuous-v0": (-33.2, 90.0),
        "HalfCheetah": (-294.7, 9583.0),
        "Hopper": (18.0, 3135.0),
        "Walker2d": (1.9, 4058.0),
        "Humanoid": (112.6, 5035.0),
    }
)
"""The score of a uniform random policy, measured over 50 episodes or more (of version 5 of the
MuJoCo tasks); Gymnasium's reward threshold, and for MuJoCo the score of TD3 after a million steps
(of version 4) that CleanRL publishes.
"""


def reference_scores(env: str) -> tuple[float, float] | None:
    """The low and the high score of an environment's id, ``None`` where none is known.

    Atari games are known by all their names: ``ALE/Pong-v5``, ``PongNoFrameskip-v4``, ``Pong``.
    """
    name = re.split(r"[/:]", env)[-1]
    if name in CONTROL_SCORES:
        return CONTROL_SCORES[name]
    stem = re.sub(r"-v\d+$", "", name)
    game = re.sub(r"(NoFrameskip|Deterministic)$", "", stem)
    return CONTROL_SCORES.get(stem) or ATARI_SCORES.get(game)


def normalize(scores: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """``(score − low) / (high − low)`` of ``scores`` ``[..., tasks]``, ``low`` and ``high``
    ``[tasks]``.

    Raises:
        RlpytError: ``scores``, where low and high of a task are equal or not finite.
    """
    x, lows, highs = (np.asarray(each, dtype=np.float64) for each in (scores, low, high))
    span = highs - lows
    wrong = ~np.isfinite(span) | (span == 0.0)
    if wrong.any():
        task = int(np.argmax(wrong))
        what = f"task {task}: low={lows.flat[task]} and high={highs.flat[task]} span no scale"
        raise RlpytError("scores", what, hint="give two different, finite scores")
    return np.asarray((x - lows) / span)


def read_scores(path: Path) -> dict[str, tuple[float, float]]:
    """Low and high scores from a JSON file: ``{"CartPole-v1": [0, 500], ...}``.

    Raises:
        RlpytError: ``usage``, for a file that cannot be read or has anything else in it.
    """
    hint = 'write {"ENV": [LOW, HIGH], ...}'
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise RlpytError("usage", f"cannot read {path}: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise RlpytError("usage", f"{path} is not JSON: {error}", hint=hint) from error
    if not isinstance(found, dict):
        raise RlpytError("usage", f"{path} holds no object", hint=hint)
    for env, pair in found.items():
        numbers = isinstance(pair, list) and all(_is_number(each) for each in pair)
        if not numbers or len(pair) != 2 or pair[0] == pair[1]:
            raise RlpytError("usage", f"{env}: {json.dumps(pair)}", where=str(path), hint=hint)
    return {env: (float(low), float(high)) for env, (low, high) in found.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and not isinstance(value, bool)


@final
@dataclass(frozen=True, kw_only=True)
class Normalization:
    """What is 0 and what is 1 on each task."""

    low: Sequence[float]  # [tasks]
    high: Sequence[float]
    text: str  # for readers; empty where scores are left as they are

    @property
    def is_identity(self) -> bool:
        """Whether scores stay what they are."""
        return not self.text

    def apply(self, scores: Array) -> Array:
        """Scores ``[..., tasks]`` on the common scale."""
        return scores if self.is_identity else normalize(scores, self.low, self.high)

    @staticmethod
    def choose(method: str, tasks: Sequence[str], scores: Sequence[Array]) -> "Normalization":
        """By name or by a file's path; ``scores`` are of each algorithm, ``[runs, tasks]``.

        ``auto`` leaves a single task as it is; several tasks are put on the scale of the reference
        scores where all have them, else on that of the lowest and the highest score among them.

        Raises:
            RlpytError: ``usage``, where a task has no reference or the file no scores of it.
        """
        known = {task: reference_scores(task) for task in tasks}
        if method == "auto":
            by_reference = all(known.values())
            method = "none" if len(tasks) == 1 else "reference" if by_reference else "range"
        if method == "none":
            ones = [1.0] * len(tasks)
            return Normalization(low=[0.0] * len(tasks), high=ones, text="")
        if method == "reference":
            text = "0 is a random policy, 1 the reference score (a human's for Atari games)"
            return _given({task: pair for task, pair in known.items() if pair}, tasks, text)
        if method == "range":
            return _range(scores)
        path = Path(method)
        if not path.exists():
            what = f"--normalize {method} is neither a method nor a file"
            raise RlpytError("usage", what, hint=did_you_mean(method, METHODS))
        return _given(read_scores(path), tasks, f"0 and 1 are the scores in {path.name}")


def _given(
    pairs: Mapping[str, tuple[float, float]], tasks: Sequence[str], text: str
) -> Normalization:
    missing = [task for task in tasks if task not in pairs]
    if missing:
        hint = 'give --normalize FILE with {"ENV": [LOW, HIGH], ...}, or --normalize range'
        raise RlpytError("usage", f"no low and high score for {', '.join(missing)}", hint=hint)
    low, high = zip(*(pairs[task] for task in tasks), strict=True)
    return Normalization(low=low, high=high, text=text)


def _range(scores: Sequence[Array]) -> Normalization:
    together = np.concatenate(list(scores))
    low, high = np.nanmin(together, axis=0), np.nanmax(together, axis=0)
    high = np.where(high > low, high, low + 1.0)  # all runs are equal: all are 0
    text = "0 and 1 are the lowest and the highest score of a run on each task"
    return Normalization(low=low.tolist(), high=high.tolist(), text=text)
