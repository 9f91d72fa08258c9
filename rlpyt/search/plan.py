"""What a search is to do, as data: the same plan makes the same decisions from the same results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final, get_args

from rlpyt.evaluation.run_scores import ScoreRule
from rlpyt.launch.grid import grid
from rlpyt.launch.json_file import read_json_object
from rlpyt.logging.files import directory_error, make_run_dir, write_atomic
from rlpyt.search.space import Dimension, Space, as_space, draw_values
from rlpyt.utils.config import flatten_config
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["PLAN_FILE", "Method", "SearchPlan", "n_rungs_of", "plan_search"]

PLAN_FILE = "search.json"
"""In the directory of the search."""

Method = Literal["random", "halving", "optuna"]
"""How values are chosen, and which trials train to the end."""


def n_rungs_of(n_trials: int, factor: int, n_steps: int, min_steps: int | None = None) -> int:
    """As many rungs as leave one trial or more for the last; with ``min_steps`` only so many that
    the first trains that long.
    """
    n_rungs, kept, steps = 1, n_trials // factor, n_steps // factor
    while kept >= 1 and steps >= (min_steps or 1):
        n_rungs, kept, steps = n_rungs + 1, kept // factor, steps // factor
    return n_rungs


@final
@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A search; make one with :func:`plan_search`.

    ``halving`` is successive halving (Jamieson & Talwalkar 2016, arXiv:1502.07943): with the factor
    η, n trials, runs of R steps and s + 1 rungs, rung i trains nᵢ = ⌊n / ηⁱ⌋ trials until each of
    their runs has rᵢ = ⌊R ηⁱ⁻ˢ⌋ steps; the best nᵢ₊₁ of them go on to the next. A rung costs nᵢ rᵢ
    steps of each seed, less what its runs had already. Schedules are those of the whole run.
    """

    space: Space
    method: Method = "random"
    n_trials: int = 16
    seeds: Sequence[int] = (0, 1, 2)
    n_steps: int | None = None  # environment steps of a whole run; None: as the script has it
    factor: int = 3  # η
    n_rungs: int = 1
    search_seed: int = 0  # of the values, not of the runs
    rule: ScoreRule = field(default_factory=ScoreRule)

    def __post_init__(self) -> None:
        """Raise ``config`` for numbers that no search can have."""
        if self.method not in get_args(Method):
            hint = did_you_mean(str(self.method), get_args(Method))
            raise RlpytError("config", f"method {self.method!r} is not known", hint=hint)
        numbers = {"n_trials": self.n_trials, "n_rungs": self.n_rungs, "n_steps": self.n_steps}
        for name, number in numbers.items():
            if number is not None and number < 1:
                raise RlpytError("config", f"{name}={number}", hint="use 1 or more")
        if self.search_seed < 0:
            raise RlpytError("config", f"search_seed={self.search_seed}", hint="use 0 or more")
        if self.rule.steps is not None:
            raise RlpytError("config", "a search scores whole runs", hint="leave rule.steps out")
        if self.method == "halving":
            self._check_halving()
        elif self.n_rungs > 1:
            what = f"n_rungs={self.n_rungs} with method {self.method!r}"
            raise RlpytError("config", what, hint='use method "halving"')

    def _check_halving(self) -> None:
        if self.factor < 2:
            raise RlpytError("config", f"factor={self.factor}", hint="use 2 or more")
        if self.n_steps is None:
            hint = "say how long a whole run is: n_steps=100_000, --steps 100000"
            raise RlpytError("config", "halving without a number of steps", hint=hint)
        if self.n_rungs < 2:
            what = f"halving with {self.n_trials} trials in one rung is random search"
            hint = f"use {self.factor} trials or more, and a smaller min_steps; or method random"
            raise RlpytError("config", what, hint=hint)
        if self.n_kept[-1] < 1 or self.pauses[0] == 0:
            what = f"{self.n_rungs} rungs of {self.n_trials} trials and {self.n_steps:,} steps"
            what += f", {self.factor} times fewer trials in each"
            raise RlpytError("config", what, hint="use fewer rungs, or more trials")

    @property
    def n_kept(self) -> list[int]:
        """How many trials each rung has."""
        return [self.n_trials // self.factor**rung for rung in range(self.n_rungs)]

    @property
    def pauses(self) -> list[int | None]:
        """Steps at which the runs of each rung pause; None: they go to the end."""
        steps = self.n_steps or 0
        last = self.n_rungs - 1
        return [*(steps // self.factor ** (last - rung) for rung in range(last)), None]

    @property
    def share(self) -> float:
        """Of the steps that all trials would have if none ended early, those that are made: with
        halving Σᵢ nᵢ (rᵢ - rᵢ₋₁) / (n R), else 1.
        """
        if self.method != "halving" or self.n_steps is None:
            return 1.0
        ends = [self.n_steps if pause is None else pause for pause in self.pauses]
        made = (
            n * (end - start) for n, start, end in zip(self.n_kept, [0, *ends], ends, strict=False)
        )
        return sum(made) / (self.n_trials * self.n_steps)

    def values(self) -> list[dict[str, Any]]:
        """Of the trials, by path; without those that only optuna knows, when it is asked."""
        if self.method == "optuna":
            return []
        return draw_values(self.space, self.search_seed, self.n_trials)

    @property
    def text(self) -> str:
        """For people."""
        each = f"{len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}"
        length = "" if self.n_steps is None else f", {self.n_steps:,} steps"
        if self.method != "halving":
            return f"{self.n_trials} trials of {each}{length}, {self.method}"
        ends = [self.n_steps if pause is None else pause for pause in self.pauses]
        rungs = [f"{n} to {end:,}" for n, end in zip(self.n_kept, ends, strict=True)]
        return f"{self.n_trials} trials of {each}, halving: {', '.join(rungs)} steps"

    def as_dict(self, program: Sequence[str]) -> dict[str, Any]:
        """For ``search.json``; ``program`` is what is run."""
        halving = {"factor": self.factor, "rungs": self.n_rungs}
        return {
            "program": list(program),
            "space": {path: one.data for path, one in self.space.items()},
            "method": self.method,
            "trials": self.n_trials,
            "seeds": list(self.seeds),
            "steps": self.n_steps,
            **(halving if self.method == "halving" else {}),
            "search_seed": self.search_seed,
            "score": {"kind": self.rule.kind, "column": self.rule.column},
        }

    def write(self, directory: Path, program: Sequence[str]) -> None:
        """Into ``search.json``, or see that it is the same search that stands there.

        Raises:
            RlpytError: ``config``, naming what differs. A search other than halving may have more
                trials than it had.
        """
        path, now = directory / PLAN_FILE, self.as_dict(program)
        if path.exists():
            before = read_json_object(path)
            if before == now:
                return
            told = _differences(before, now, may_grow=self.method != "halving")
            if told:
                what = f"{directory} holds another search: {'; '.join(told)}"
                hint = "go on with the same settings, or give this search another --out"
                raise RlpytError("config", what, where=str(path), hint=hint)
        make_run_dir(directory)
        try:
            write_atomic(path, json.dumps(now, indent=2).encode() + b"\n")
        except OSError as error:
            raise directory_error(path, error) from error


def _differences(before: dict[str, Any], now: dict[str, Any], *, may_grow: bool) -> list[str]:
    then, since = flatten_config(before), flatten_config(now)
    told = []
    for name in dict.fromkeys([*since, *then]):
        old, new = then.get(name), since.get(name)
        is_new = old != new
        if name == "trials" and may_grow and isinstance(old, int) and isinstance(new, int):
            is_new = old > new
        if is_new:
            told.append(f"{name} was {_shown(old)}, now {_shown(new)}")
    return told


def _shown(value: Any) -> str:
    return "not there" if value is None else str(value)


def plan_search(
    space: Mapping[str, Dimension | Sequence[Any]],
    *,
    method: Method = "random",
    n_trials: int = 16,
    seeds: int | Sequence[int] = 3,
    n_steps: int | None = None,
    factor: int = 3,
    n_rungs: int | None = None,
    min_steps: int | None = None,
    search_seed: int = 0,
    rule: ScoreRule | None = None,
) -> SearchPlan:
    """The plan of a search.

    A trial is a point of the space, trained with a group of seeds; its objective is the
    interquartile mean of its runs' scores, where a run that failed counts as the worst.

    Args:
        space: dimensions by dotted path; a list is a choice.
        method: ``"random"`` trains all trials, ``"halving"`` all for a while, and the best of them
            longer, ``"optuna"`` asks its estimator for the values of each next one.
        n_trials: in all.
        seeds: how many, from 0; or which.
        n_steps: environment steps of a whole run; ``None``: as the script has it.
        factor: of halving: so many times fewer trials in each rung, so many times longer.
        n_rungs: of halving; ``None``: as many as leave a trial for the last.
        min_steps: of halving: the first rung is at least so long.
        search_seed: of the values.
        rule: what of a run is its score; ``None``: the mean return over the last tenth.

    Raises:
        RlpytError: for what no search can have.
    """
    if method != "halving" and (n_rungs, min_steps) != (None, None):
        what = f"n_rungs={n_rungs}, min_steps={min_steps} with method {method!r}"
        raise RlpytError("config", what, hint="they are of halving")
    if method == "halving" and n_rungs is None:
        can_be = n_steps is not None and factor > 1
        n_rungs = n_rungs_of(n_trials, factor, n_steps or 1, min_steps) if can_be else 1
    return SearchPlan(
        space=as_space(space),
        method=method,
        n_trials=n_trials,
        seeds=grid(seeds=seeds).seeds,
        n_steps=n_steps,
        factor=factor,
        n_rungs=n_rungs or 1,
        search_seed=search_seed,
        rule=rule or ScoreRule(),
    )
