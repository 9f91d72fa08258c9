"""``rlpyt doctor --tune``: plans measured in turn, and the fastest written down."""

import argparse
import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlpyt.cli.target import option_words
from rlpyt.evaluation.doctor import diagnose
from rlpyt.evaluation.measure import measure
from rlpyt.evaluation.profile import RunProfile, SamplerKind, workers_text
from rlpyt.logging.files import directory_error, write_atomic
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.errors import RlpytError

__all__ = ["Plan", "Trial", "plans_for", "tune"]

_ROUNDS = 3  # turns that the time is planned for
_BETTER = 1.03  # a plan is preferred to the present one from this ratio on
_LEAST = 0.5  # s of one measurement

Build = Callable[[argparse.Namespace, list[str]], BaseRunner]
"""Makes the runner of a command line."""


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """One way to make the samples."""

    name: str
    sampler: SamplerKind
    workers: int | None  # None: no workers
    settings: tuple[tuple[str, int | str], ...] = ()  # paths and values
    same_learning: bool = True  # whether batches are those of the present plan

    @property
    def overrides(self) -> list[str]:
        """The settings as on the command line."""
        return [f"{path}={value}" for path, value in self.settings]

    @property
    def options(self) -> list[str]:
        """Sampler and workers as on the command line."""
        workers = [] if self.workers is None else ["--workers", str(self.workers)]
        return ["--sampler", self.sampler, *workers]


@final
@dataclass(kw_only=True)
class Trial:
    """What has been measured of a plan."""

    plan: Plan
    speeds: list[float] = field(default_factory=list)  # environment steps/s, one for each round
    profile: RunProfile | None = None  # of the last round
    error: str = ""

    def ratio(self, present: "Trial") -> float:
        """Its speed over that of ``present``: the median over rounds, so that both met the same
        noise.
        """
        pairs = zip(self.speeds, present.speeds, strict=False)
        return median([mine / other for mine, other in pairs])


def tune(args: argparse.Namespace, overrides: list[str], build: Build) -> None:
    """Measure plans in turn for about ``args.seconds``; print them; write the best to ``args.out``.

    Raises:
        RlpytError: where the present plan does not run, or the file cannot be written.
    """
    out: Path = args.out
    if out.is_dir() or not out.parent.is_dir():
        what = f"{out} is a directory" if out.is_dir() else f"there is no directory {out.parent}"
        raise RlpytError("usage", f"--out: {what}", hint="name a file, such as plan.json")
    deadline = time.monotonic() + args.seconds
    name = f"{args.algorithm} on {args.env}"
    with Console(stderr=True).status(f"{name}: the present plan", refresh_per_second=2) as status:
        profile = measure(lambda: build(args, overrides), _LEAST)
        trials = [Trial(plan=plan) for plan in plans_for(profile, args.recurrent != "none")]
        rounds = _measured(trials, args, overrides, build, deadline, profile.steps_per_second)
        for n, trial in enumerate(rounds, 1):
            left = max(0.0, deadline - time.monotonic())
            status.update(f"{name}: {n} measured, now {trial.plan.name}, {left:.0f} s left")
    present, best = trials[0], _best(trials)
    command = shlex.join(_command(args, overrides, best.plan))
    _write(out, best, present, command)
    if args.json:
        print(json.dumps({"plans": [_as_dict(t, present) for t in trials], "command": command}))
    else:
        _print(trials, best, out, command, Console(highlight=False))


def plans_for(present: RunProfile, recurrent: bool) -> list[Plan]:
    """The present plan, and others that are worth measuring on these CPUs."""
    most = min(present.n_cpus, present.batch_B)
    n_present = None if present.sampler == "serial" else present.n_workers
    plans = [_plan(present.sampler, n_present), _plan("serial", None)]
    numbers = sorted({most, *(2**i for i in range(most.bit_length()) if 2**i <= most)})
    plans += [_plan("cpu", n) for n in numbers]
    if most >= 2:
        plans += [_plan("gpu", most), _plan("alternating", most - most % 2)]
    plans = list(dict.fromkeys(plans))
    if present.native_available:
        plans.append(_varied(plans[0], "native", ("sampler.env.vectorization", "native")))
    T, B = present.batch_T, present.batch_B
    layouts = [(T // 2, 2 * B)] if T % 2 == 0 else []
    layouts += [(2 * T, B // 2)] if B % 2 == 0 and present.n_workers <= B // 2 else []
    for t, b in layouts if not recurrent else []:  # T is how far a recurrent agent learns back
        settings = (("sampler.batch_T", t), ("sampler.batch_B", b))
        plans.append(_varied(plans[0], f"T={t} B={b}", *settings, same_learning=False))
    return plans


def _plan(sampler: SamplerKind, workers: int | None) -> Plan:
    count = "" if workers is None else f", {workers_text(workers)}"
    return Plan(name=f"{sampler}{count}", sampler=sampler, workers=workers)


def _varied(
    plan: Plan, what: str, *settings: tuple[str, int | str], same_learning: bool = True
) -> Plan:
    return Plan(
        name=f"{plan.name}, {what}",
        sampler=plan.sampler,
        workers=plan.workers,
        settings=settings,
        same_learning=same_learning,
    )


def _measured(
    trials: Sequence[Trial],
    args: argparse.Namespace,
    overrides: list[str],
    build: Build,
    deadline: float,
    speed: float,
) -> Iterator[Trial]:
    """Measure each in turn, again and again, and give each before its turn; ``speed`` is expected
    of those not yet measured.
    """
    share = max(_LEAST, (deadline - time.monotonic()) / (len(trials) * _ROUNDS) - _LEAST)
    first = True
    while first or time.monotonic() < deadline:
        for trial in trials:
            if trial.error or (not first and time.monotonic() >= deadline):
                continue
            yield trial
            expected = trial.speeds[-1] if trial.speeds else speed
            _measure_once(trial, args, overrides, build, share, expected)
            if trial is trials[0] and trial.error:
                raise RlpytError("usage", f"the present plan does not run: {trial.error}")
        first = False


def _measure_once(
    trial: Trial,
    args: argparse.Namespace,
    overrides: list[str],
    build: Build,
    seconds: float,
    speed: float,
) -> None:
    plan = trial.plan
    changed = argparse.Namespace(**vars(args))
    changed.sampler, changed.workers = plan.sampler, plan.workers
    settings = [*overrides, *plan.overrides]
    try:
        trial.profile = measure(lambda: build(changed, settings), seconds, speed=speed)
    except (RlpytError, OSError, RuntimeError, ValueError) as error:  # it may be the plan's
        trial.error = error.what if isinstance(error, RlpytError) else str(error)
    else:
        trial.speeds.append(trial.profile.steps_per_second)


def _best(trials: Sequence[Trial]) -> Trial:
    """The fastest that learns the same; the present one, unless another is clearly faster."""
    present = trials[0]
    able = [trial for trial in trials if not trial.error and trial.plan.same_learning]
    best = max(able, key=lambda trial: trial.ratio(present))
    return best if best.ratio(present) >= _BETTER else present


def _command(args: argparse.Namespace, overrides: list[str], plan: Plan) -> list[str]:
    """The command line that trains with ``plan``."""
    others = argparse.Namespace(**{**vars(args), "sampler": None, "workers": None})
    words = [*option_words(others), *plan.options, *overrides, *plan.overrides]
    return ["rlpyt", "train", args.algorithm, args.env, *words]


def _as_dict(trial: Trial, present: Trial) -> dict[str, Any]:
    plan, profile = trial.plan, trial.profile
    found: dict[str, Any] = {
        "sampler": plan.sampler,
        "workers": plan.workers,
        "overrides": dict(plan.settings),
    }
    if trial.error or profile is None:
        return {**found, "error": trial.error}
    return {
        **found,
        "steps_per_second": median(trial.speeds),
        "ratio": trial.ratio(present),
        "limit": diagnose(profile).limit,
    }


def _write(out: Path, best: Trial, present: Trial, command: str) -> None:
    content = {**_as_dict(best, present), "command": command}
    try:
        write_atomic(out, (json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise directory_error(out, error) from error


def _print(trials: Sequence[Trial], best: Trial, out: Path, command: str, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("plan", "steps/s", "ratio", "limit"):
        table.add_column(name, justify="right" if name in ("steps/s", "ratio") else "left")
    present = trials[0]
    for trial in sorted(trials, key=lambda t: -t.ratio(present) if not t.error else 0.0):
        star = "" if trial.plan.same_learning else " *"
        name = escape(trial.plan.name) + star + (" (present)" if trial is present else "")
        if trial.error or trial.profile is None:
            table.add_row(name, "-", "-", f"failed: {escape(trial.error)}", style="dim")
            continue
        speed, ratio = median(trial.speeds), trial.ratio(present)
        style = "bold" if trial is best else None
        table.add_row(
            name, f"{speed:,.0f}", f"{ratio:.2f}", diagnose(trial.profile).limit, style=style
        )
    console.print(table)
    if not all(trial.plan.same_learning for trial in trials):
        console.print("* sequences of another length change what is learned: not chosen for you")
    kept = "the present plan stays" if best is present else f"the best is {best.plan.name}"
    console.print(f"{kept}; written to {out}", markup=False, soft_wrap=True)
    console.print(command, markup=False, soft_wrap=True)
