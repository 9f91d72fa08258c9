"""How long many runs will take, from short ones of each kind."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import final

from rlpyt.evaluation.runs import TIME, read_progress
from rlpyt.logging.logger import Logger
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.config import config_dict, fresh

__all__ = ["Forecast", "forecast_time"]

_SHORT = 200_000  # environment steps of what is over before its forecast would be
_PROBE_SECONDS = 1.5
_FIRST_ITERATIONS = 4
_FILLED = 200  # steps of each environment in a replay that sequences can be drawn from
_MOST_PROBES = 4


@final
@dataclass(frozen=True)
class Forecast:
    """How long all runs take."""

    seconds: float
    speeds: Mapping[str, float]  # environment steps per second of one run, by what it is

    @property
    def text(self) -> str:
        """For people: ``about 1:20:00 (PPO on CartPole-v1: 7,605 steps/s)``."""
        speeds = ", ".join(f"{kind}: {speed:,.0f} steps/s" for kind, speed in self.speeds.items())
        return f"about {timedelta(seconds=round(self.seconds))} ({speeds})"


def forecast_time(
    runners: Sequence[BaseRunner],
    runs_each: int,
    slots: int,
    waiting: Callable[[str], AbstractContextManager[object]],
    *,
    share: float = 1.0,
) -> Forecast | None:
    """From short runs of each kind of algorithm and environment, one after the other.

    Args:
        runners: of each variant.
        runs_each: seeds.
        slots: runs at a time.
        waiting: context in which a text is shown.
        share: of all their steps, how many are made: a search ends most of its runs early.

    Returns:
        None for a grid that is short, and where there are too many kinds.
    """
    total = share * runs_each * sum(runner.n_steps for runner in runners)
    kinds = {_kind(runner): runner for runner in runners}
    if total < _SHORT or len(kinds) > _MOST_PROBES:
        return None
    speeds = {}
    for kind, runner in kinds.items():
        with waiting(f"measuring the speed of {kind}"):
            speeds[kind] = _speed(runner)
    seconds = [runner.n_steps / speeds[_kind(runner)] for runner in runners] * runs_each
    return Forecast(max(share * sum(seconds) / slots, max(seconds)), speeds)


def _kind(runner: BaseRunner) -> str:
    env = config_dict(runner)["sampler"]["env"]
    name = env.get("id", "") if isinstance(env, Mapping) else env
    return f"{type(runner.algo).__name__} on {name}"


def _speed(runner: BaseRunner) -> float:
    """Environment steps per second while it learns, from short runs that are kept nowhere."""
    runner = fresh(runner)
    each = runner.steps_per_itr
    warm = 0
    names = {field.name for field in fields(runner.algo)}
    if "min_steps_learn" in names:  # soon, but not before there are sequences to learn from
        soon = min(_FILLED * runner.sampler.batch_B, vars(runner.algo)["min_steps_learn"])
        runner = replace(runner, algo=replace(runner.algo, **{"min_steps_learn": soon}))
        warm = -(-soon // each) + 1
    n_itr = _FIRST_ITERATIONS
    while True:
        seconds, speed = _timed(runner, warm, n_itr)
        if seconds > _PROBE_SECONDS:
            return speed
        n_itr *= 4


def _timed(runner: BaseRunner, warm: int, n_itr: int) -> tuple[float, float]:
    """Seconds of ``warm`` and ``n_itr`` iterations, and the speed of the second half of those."""
    each = runner.steps_per_itr
    runner = replace(
        fresh(runner),
        n_steps=(warm + n_itr) * each,
        log_interval_steps=each,
        checkpoint_interval_steps=(warm + n_itr) * each,
        pause_steps=None,
        evaluator=None,
    )
    with TemporaryDirectory(prefix="rlpyt-preflight-", ignore_cleanup_errors=True) as folder:
        logger = Logger(folder, "preflight", 0, tensorboard=False, console=False)
        try:
            runner.train(logger)
        finally:
            logger.close()
        times = read_progress(folder)[TIME]
    seconds = times[-1] - times[-1 - n_itr // 2]
    return times[-1], (n_itr // 2) * each / seconds
