"""What a search runs: how a trial becomes runs of the queue, and is checked before."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from rlpyt.launch.grid import Grid
from rlpyt.launch.queued_run import RunSpec
from rlpyt.launch.variant import VariantLevel
from rlpyt.runners.base import BaseRunner
from rlpyt.search.plan import SearchPlan
from rlpyt.utils.errors import RlpytError

__all__ = ["Program", "check_trials", "trial_name", "trial_number"]


def trial_name(number: int) -> str:
    """Its directory: ``trial_007``."""
    return f"trial_{number:03d}"


def trial_number(log_dir: str) -> int | None:
    """Of a trial's directory; None for another one."""
    found = re.fullmatch(r"trial_(\d{3,})", log_dir)
    return None if found is None else int(found.group(1))


@final
@dataclass(frozen=True, kw_only=True)
class Program:
    """What each run is: ``command <slot>slt_<code> <log_dir> <run_ID> *args``, in ``cwd``."""

    name: Sequence[str]  # for people, and to see that it is the same
    command: Sequence[str]
    cwd: str
    args: Sequence[str] = ()
    retries: int = 1

    def specs(
        self, plan: SearchPlan, number: int, values: Mapping[str, Any], rung: int
    ) -> list[RunSpec]:
        """The runs of a trial, as far as ``rung``; what goes on is before what begins."""
        variant = _nested(plan, values, rung)
        return [
            RunSpec(
                command=self.command,
                cwd=self.cwd,
                log_dir=trial_name(number),
                run_ID=seed,
                variant=variant,
                args=self.args,
                priority=rung,
                retries=self.retries,
            )
            for seed in plan.seeds
        ]


def _level(plan: SearchPlan, points: Mapping[str, Mapping[str, Any]], rung: int) -> VariantLevel:
    """A variant for each of the named ``points``."""
    own = {"n_steps": plan.n_steps, "pause_steps": plan.pauses[rung]}
    given = {path: value for path, value in own.items() if value is not None}
    rows = [{**point, **given} for point in points.values()]
    keys = [path.split(".") for path in rows[0]]
    return VariantLevel(keys, [list(row.values()) for row in rows], list(points))


def _nested(plan: SearchPlan, values: Mapping[str, Any], rung: int) -> dict[str, Any]:
    [variant] = Grid((_level(plan, {"trial": values}, rung),), (0,)).variants
    return variant


def check_trials(
    plan: SearchPlan,
    points: Mapping[str, Mapping[str, Any]],
    build: Callable[[dict[str, Any]], BaseRunner],
) -> list[BaseRunner]:
    """Build a runner for each of the named points, as its first run would; returned in their order.
    Without points there are none.

    Raises:
        RlpytError: as :meth:`~rlpyt.launch.Grid.check_each` does, and for rungs that no run can
            tell apart, as it pauses only where it logs.
    """
    if not points:
        return []
    runners = Grid((_level(plan, points, 0),), (0,)).check_each(build)
    for runner, name in zip(runners, points, strict=True):
        ends = [replace(runner, pause_steps=pause).last_itr for pause in plan.pauses]
        if sorted(set(ends)) != ends:
            steps = [end * runner.steps_per_itr for end in ends]
            every = runner.log_interval_itr * runner.steps_per_itr
            what = f"rungs end after {', '.join(f'{n:,}' for n in steps)} steps: a run pauses only "
            what += f"where it logs, every {every:,}"
            hint = "use fewer rungs (--min-steps), more steps, or a smaller log_interval_steps"
            raise RlpytError("config", what, where=name, hint=hint)
    return runners
