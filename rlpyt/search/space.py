"""The space of a search: which settings it varies, and what values each may have."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from rlpyt.launch.json_file import json_value
from rlpyt.utils.config import config_value
from rlpyt.utils.errors import RlpytError

__all__ = [
    "Choice",
    "Dimension",
    "IntUniform",
    "LogUniform",
    "Space",
    "Uniform",
    "as_space",
    "draw_values",
    "edges",
    "rounded",
]

_ONE_ENV = "scores of several environments do not compare: make a search for each"
_FIXED = {
    **dict.fromkeys(("env", "env.id", "sampler.env", "sampler.env.id"), _ONE_ENV),
    "seed": "each trial has the same group of seeds: seeds=3",
    "n_steps": "all trials have the same: n_steps=...",
    "pause_steps": "that is how halving stops its runs",
}


@dataclass(frozen=True)
class Dimension(ABC):
    """What values one setting may have, and how likely."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """One value."""

    @property
    @abstractmethod
    def edges(self) -> list[Any]:
        """The values that a setting has to take if it takes all."""

    @property
    @abstractmethod
    def data(self) -> str | list[Any]:
        """For JSON: ``"log:1e-05:0.01"``, as on the command line, or the values of a choice."""


@final
@dataclass(frozen=True)
class Uniform(Dimension):
    """A number from ``low`` to ``high``, all as likely, to six digits."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Raise ``config`` for ends that no interval has."""
        _check_ends(self.low, self.high, "Uniform")

    def draw(self, rng: np.random.Generator) -> float:
        """As :class:`Dimension`."""
        return rounded(rng.uniform(self.low, self.high), self.low, self.high)

    @property
    def edges(self) -> list[Any]:
        """As :class:`Dimension`."""
        return [float(self.low), float(self.high)]

    @property
    def data(self) -> str:
        """As :class:`Dimension`."""
        return f"uniform:{self.low:.12g}:{self.high:.12g}"


@final
@dataclass(frozen=True)
class LogUniform(Dimension):
    """A number from ``low`` to ``high``, each factor as likely as another, to six digits: its
    logarithm is uniform.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Raise ``config`` for ends that no interval above 0 has."""
        _check_ends(self.low, self.high, "LogUniform")
        if self.low <= 0:
            what = f"LogUniform({self.low}, {self.high}) begins at {self.low}"
            raise RlpytError("config", what, hint="begin above 0, or use Uniform")

    def draw(self, rng: np.random.Generator) -> float:
        """As :class:`Dimension`."""
        value = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return rounded(value, self.low, self.high)

    @property
    def edges(self) -> list[Any]:
        """As :class:`Dimension`."""
        return [float(self.low), float(self.high)]

    @property
    def data(self) -> str:
        """As :class:`Dimension`."""
        return f"log:{self.low:.12g}:{self.high:.12g}"


@final
@dataclass(frozen=True)
class IntUniform(Dimension):
    """A whole number from ``low`` to ``high``, both included, all as likely."""

    low: int
    high: int

    def __post_init__(self) -> None:
        """Raise ``config`` for ends that are no whole numbers."""
        _check_ends(self.low, self.high, "IntUniform")
        if {type(self.low), type(self.high)} != {int}:
            what = f"IntUniform({self.low}, {self.high}) has an end that is no whole number"
            raise RlpytError("config", what, hint="use whole numbers, or Uniform")

    def draw(self, rng: np.random.Generator) -> int:
        """As :class:`Dimension`."""
        return int(rng.integers(self.low, self.high, endpoint=True))

    @property
    def edges(self) -> list[Any]:
        """As :class:`Dimension`."""
        return [self.low, self.high]

    @property
    def data(self) -> str:
        """As :class:`Dimension`."""
        return f"int:{self.low}:{self.high}"


@final
@dataclass(frozen=True)
class Choice(Dimension):
    """One of ``values``, all as likely: numbers, texts, lists, None, classes and functions."""

    values: Sequence[Any]

    def __post_init__(self) -> None:
        """Raise ``config`` for no values, the same ones, and what JSON does not have."""
        if isinstance(self.values, str) or not isinstance(self.values, Sequence) or not self.values:
            what = f"Choice({self.values!r:.80}) has no list of values"
            raise RlpytError("config", what, hint="write Choice([1, 2, 4])")
        texts = [json.dumps(value) for value in self.data]
        for text in texts:
            if texts.count(text) > 1:
                what = f"Choice({self.values!r:.80}) has {text} twice"
                raise RlpytError("config", what, hint="give each value once")

    def draw(self, rng: np.random.Generator) -> Any:
        """As :class:`Dimension`."""
        return self.data[int(rng.integers(len(self.values)))]

    @property
    def edges(self) -> list[Any]:
        """As :class:`Dimension`."""
        return self.data

    @property
    def data(self) -> list[Any]:
        """As :class:`Dimension`."""
        return [
            json_value(config_value(value) if callable(value) else value, "Choice")
            for value in self.values
        ]


Space = Mapping[str, Dimension]
"""The dimensions by the dotted path of their setting, in the order of the paths."""


def rounded(value: float, low: float, high: float) -> float:
    """To six digits, inside the interval."""
    return min(max(float(f"{value:.6g}"), float(low)), float(high))


def _check_ends(low: float, high: float, name: str) -> None:
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not (math.isfinite(low) and math.isfinite(high)):
        what = f"{name}({low!r}, {high!r}) has an end that is no number"
        raise RlpytError("config", what, hint=f"write {name}(low, high)")
    if not low < high:
        what = f"{name}({low}, {high}) is empty"
        raise RlpytError("config", what, hint="give the lower end first")


def as_space(settings: Mapping[str, Dimension | Sequence[Any]]) -> Space:
    """The space of ``{"algo.learning_rate": LogUniform(1e-5, 1e-2), "algo.epochs": [4, 10]}``: a
    list is a :class:`Choice`.

    Raises:
        RlpytError: ``config``, for no settings, paths that are none, that one search does not vary,
            or that overlap, and for values that are no dimension.
    """
    if not settings:
        hint = 'write {"algo.learning_rate": LogUniform(1e-5, 1e-2)}'
        raise RlpytError("config", "a space without settings", hint=hint)
    space: dict[str, Dimension] = {}
    for path in sorted(settings):
        if not all(part.strip() for part in path.split(".")):
            raise RlpytError("config", f"malformed path {path!r}", hint="write algo.learning_rate")
        if path in _FIXED:
            raise RlpytError("config", f"a search does not vary {path}", hint=_FIXED[path])
        for other in space:
            if path.startswith(f"{other}."):
                what = f"{other} and {path} are both in the space"
                raise RlpytError("config", what, hint="vary each setting once")
        given = settings[path]
        if isinstance(given, str) or not isinstance(given, Dimension | Sequence):
            what = f"{path}={given!r:.80} is no dimension of a space"
            hint = "use Uniform, LogUniform, IntUniform, Choice, or a list of values"
            raise RlpytError("config", what, hint=hint)
        try:
            space[path] = given if isinstance(given, Dimension) else Choice(given)
        except RlpytError as error:
            raise RlpytError("config", error.what, where=path, hint=error.hint) from error
    return space


def draw_values(space: Space, seed: int, n: int) -> list[dict[str, Any]]:
    """``n`` points of the space, by path. One stream of random numbers gives them: with a larger
    ``n`` the first are the same.
    """
    rng = np.random.default_rng(seed)
    return [{path: one.draw(rng) for path, one in space.items()} for _ in range(n)]


def edges(space: Space) -> list[dict[str, Any]]:
    """Points in which every edge of every dimension occurs, the others at their first: where these
    can be built, the rest of the space mostly can.
    """
    first = {path: one.edges[0] for path, one in space.items()}
    others = [{**first, path: e} for path, one in space.items() for e in one.edges[1:]]
    return [first, *others]
