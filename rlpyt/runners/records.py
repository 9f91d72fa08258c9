"""What a run has seen since the last row of its log, and how that becomes the row."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from rlpyt.data import OptInfo, TrajInfo
from rlpyt.logging.statistics import five_statistics
from rlpyt.samplers.meter import SamplerTimes
from rlpyt.utils.world import World

__all__ = ["TIME_COLUMNS", "RunRecords"]

TIME_COLUMNS = frozenset(
    f"Diagnostics/{name}"
    for name in (
        "CumTime (s)",
        "StepsPerSecond",
        "UpdatesPerSecond",
        "CumEvalTime",
        "CumTrainTime",
        "LearnerBusy",
        "SamplerAct",
        "SamplerWait",
        "SamplerTransfer",
        "WorkerEnv",
        "WorkerAct",
        "WorkerWait",
        "WorkerImbalance",
        "SlowestWorker",
        "WorkerRestarts",
    )
)
"""Columns of a row that the clock decides: in them, runs that are equal otherwise differ."""


@final
@dataclass(kw_only=True)
class RunRecords:
    """Counters, the window of finished episodes, and the optimisation values since the last row.

    Everything but the clock is part of a checkpoint, so that a resumed run writes the rows that it
    would have written.
    """

    traj_columns: Sequence[str]
    window: int
    offline: bool  # rows report evaluations instead of training episodes
    cum_time: float = 0.0  # seconds, over all sessions of the run
    cum_eval_time: float = 0.0
    cum_updates: int = 0
    cum_trajs: int = 0
    score: float = math.nan  # what the best checkpoint is chosen by: the latest mean return
    _new_trajs: int = 0
    _fresh: list[dict[str, float]] = field(default_factory=list)  # episodes since the last row
    _trajs: deque[dict[str, float]] = field(init=False)
    _opt_info: dict[str, list[float]] = field(default_factory=dict)
    _row_clock: float = field(init=False)  # time.perf_counter, seconds
    _row_steps: int = 0
    _row_updates: int = 0
    _row_eval_time: float = 0.0
    _row_learner_time: float = 0.0
    _row_times: SamplerTimes = field(default_factory=SamplerTimes)  # at the last row

    def __post_init__(self) -> None:
        self._trajs = deque(maxlen=self.window)
        self._row_clock = time.perf_counter()

    def add(self, trajs: Sequence[TrajInfo], opt_info: OptInfo, learner_time: float = 0.0) -> None:
        """Take in one iteration, of which the learner took ``learner_time`` seconds."""
        self._row_learner_time += learner_time
        self._take([traj.columns() for traj in trajs])
        for name, values in opt_info.items():
            self._opt_info.setdefault(name, []).extend(values)
        self.cum_updates += max(map(len, opt_info.values()), default=0)

    def _take(self, columns: Sequence[dict[str, float]]) -> None:
        self._new_trajs += len(columns)
        self.cum_trajs += len(columns)
        self._fresh.extend(columns)
        if not self.offline:
            self._trajs.extend(columns)

    def gather(self, world: World) -> None:
        """Before a row: the first process takes in the episodes of the others, and the mean of all
        their optimisation values; the others forget theirs.
        """
        if world.size > 1:
            found = world.gather((self._fresh, self._opt_info))
            if world.is_first:
                for fresh, _opt_info in found[1:]:
                    self._take(fresh)
                self._opt_info = _mean_of([opt_info for _fresh, opt_info in found])
            else:
                self._opt_info = {}
        self._fresh = []

    def add_evaluation(self, trajs: Sequence[TrajInfo], seconds: float) -> None:
        """Take in one offline evaluation."""
        self._trajs.clear()
        self._trajs.extend(traj.columns() for traj in trajs)
        self._row_eval_time += seconds
        self.cum_eval_time += seconds

    def mean_return(self) -> float:
        """Over the window, or the last evaluation; nan before the first episode ends."""
        returns = [traj["Return"] for traj in self._trajs]
        return sum(returns) / len(returns) if returns else math.nan

    def row(
        self, itr: int, cum_steps: int, samples_per_update: float, times: SamplerTimes
    ) -> dict[str, float]:
        """The row of the log after ``itr`` iterations; starts the next one.

        ``times`` are the sampler's since it began.
        """
        now = time.perf_counter()
        elapsed = now - self._row_clock
        self.cum_time += elapsed
        training = max(elapsed - self._row_eval_time, 1e-9)
        steps, updates = cum_steps - self._row_steps, self.cum_updates - self._row_updates
        self.score = self.mean_return()
        diagnostics = self._episode_counters() | {
            "Iteration": itr,
            "CumTime (s)": self.cum_time,
            "CumSteps": cum_steps,
            "CumCompletedTrajs": self.cum_trajs,
            "CumUpdates": self.cum_updates,
            "StepsPerSecond": steps / training if steps else math.nan,
            "UpdatesPerSecond": updates / training if steps else math.nan,
            "ReplayRatio": samples_per_update * updates / steps if steps else math.nan,
            "CumReplayRatio": samples_per_update * self.cum_updates / max(1, cum_steps),
        }
        diagnostics |= self._roles(times, training)
        row = {f"Diagnostics/{name}": float(value) for name, value in diagnostics.items()}
        for name in self.traj_columns:
            row |= five_statistics(name, [traj[name] for traj in self._trajs])
        for name, values in self._opt_info.items():
            row |= five_statistics(name, values)
        self._row_clock, self._row_steps, self._row_updates = now, cum_steps, self.cum_updates
        self._row_eval_time, self._new_trajs = 0.0, 0
        self._row_learner_time, self._row_times = 0.0, times
        self._opt_info.clear()
        return row

    def _roles(self, times: SamplerTimes, seconds: float) -> dict[str, float]:
        """Which part of the last ``seconds`` each role was busy or waiting."""
        last = self._row_times
        env, worker_act = times.env - last.env, times.worker_act - last.worker_act
        before = last.busy or (0.0,) * len(times.busy)
        busy = [now - then for now, then in zip(times.busy, before, strict=True)]
        mean = sum(busy) / max(1, len(busy))
        wait = max(0.0, seconds - env - worker_act) if busy else 0.0
        return {
            "LearnerBusy": self._row_learner_time / seconds,
            "SamplerAct": (times.act - last.act) / seconds,
            "SamplerWait": (times.wait - last.wait) / seconds,
            "SamplerTransfer": (times.transfer - last.transfer) / seconds,
            "WorkerEnv": env / seconds,
            "WorkerAct": worker_act / seconds,
            "WorkerWait": wait / seconds,
            "WorkerImbalance": max(busy) / mean if mean > 0 else 1.0,
            "SlowestWorker": busy.index(max(busy)) if busy else 0,
            "WorkerRestarts": times.restarts,
            **self._lags(times),
        }

    def _lags(self, times: SamplerTimes) -> dict[str, float]:
        """Which part of the row's batches was sampled with parameters how many iterations old."""
        before = self._row_times.lags or (0,) * len(times.lags)
        counts = [now - then for now, then in zip(times.lags, before, strict=True)]
        return {f"Lag{lag}": count / max(1, sum(counts)) for lag, count in enumerate(counts)}

    def _episode_counters(self) -> dict[str, float]:
        length = sum(traj["Length"] for traj in self._trajs)
        if self.offline:
            return {
                "StepsInEval": length,
                "TrajsInEval": len(self._trajs),
                "CumEvalTime": self.cum_eval_time,
                "CumTrainTime": self.cum_time - self.cum_eval_time,
            }
        return {"NewCompletedTrajs": self._new_trajs, "StepsInTrajWindow": length}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next row depends on."""
        return {
            "cum_time": self.cum_time,
            "row_time": time.perf_counter() - self._row_clock,
            "cum_eval_time": self.cum_eval_time,
            "cum_updates": self.cum_updates,
            "cum_trajs": self.cum_trajs,
            "score": self.score,
            "new_trajs": self._new_trajs,
            "fresh": list(self._fresh),
            "trajs": list(self._trajs),
            "opt_info": {name: list(values) for name, values in self._opt_info.items()},
            "row_steps": self._row_steps,
            "row_updates": self._row_updates,
            "row_lags": list(self._row_times.lags),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``; the time since does not count."""
        self.cum_time, self.cum_eval_time = state["cum_time"], state["cum_eval_time"]
        self.cum_updates, self.cum_trajs = state["cum_updates"], state["cum_trajs"]
        self.score, self._new_trajs = state["score"], state["new_trajs"]
        self._fresh = list(state["fresh"])
        self._trajs = deque(state["trajs"], maxlen=self.window)
        self._opt_info = {name: list(values) for name, values in state["opt_info"].items()}
        self._row_steps, self._row_updates = state["row_steps"], state["row_updates"]
        self._row_times = SamplerTimes(lags=tuple(state["row_lags"]))
        self._row_clock = time.perf_counter() - state["row_time"]


def _mean_of(parts: Sequence[OptInfo]) -> OptInfo:
    """Each value's mean over processes, which report as many."""
    return {
        name: [
            sum(values) / len(parts) for values in zip(*(part[name] for part in parts), strict=True)
        ]
        for name in parts[0]
    }
