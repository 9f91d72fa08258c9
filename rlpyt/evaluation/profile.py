"""Where the time of a run went: read from the ``Diagnostics/...`` columns of its log and from its
plan.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, final, get_args

from rlpyt.envs.build import EnvConfig, peek_spaces
from rlpyt.evaluation.runs import STEPS, load_params, read_progress
from rlpyt.utils.config import flatten_config
from rlpyt.utils.cpus import usable_cpus
from rlpyt.utils.errors import RlpytError

__all__ = ["RunProfile", "SamplerKind", "profile_of", "read_profile", "workers_text"]

SamplerKind = Literal["serial", "cpu", "gpu", "alternating"]
"""The samplers, by their names on the command line."""

_LAST = 20  # rows of the log that count: what limits a run can change in its course
_FRACTIONS = {
    "learner_busy": "Diagnostics/LearnerBusy",
    "sampler_act": "Diagnostics/SamplerAct",
    "sampler_wait": "Diagnostics/SamplerWait",
    "sampler_transfer": "Diagnostics/SamplerTransfer",
    "worker_env": "Diagnostics/WorkerEnv",
    "worker_act": "Diagnostics/WorkerAct",
    "worker_wait": "Diagnostics/WorkerWait",
}
_IMBALANCE = "Diagnostics/WorkerImbalance"
_SLOWEST = "Diagnostics/SlowestWorker"
_RESTARTS = "Diagnostics/WorkerRestarts"
_MEMORY = "agent.model_kwargs.recurrent"  # in params.json; absent: none
_SPEED, _UPDATES = "Diagnostics/StepsPerSecond", "Diagnostics/UpdatesPerSecond"
_NEEDED = (*_FRACTIONS.values(), _IMBALANCE, _SLOWEST, _RESTARTS, _SPEED, _UPDATES, STEPS)
_TOLERANCE = 1.1  # clocks of several processes need not add up exactly


@final
@dataclass(frozen=True, kw_only=True)
class RunProfile:
    """Shares of the training wall time, as in the log, and the settings that explain them.

    ``worker_...`` are means over the workers; in a serial run this process is the one worker.
    """

    sampler: SamplerKind
    batch_T: int
    batch_B: int
    steps_per_second: float  # environment steps
    row_steps: int = 1  # environment steps per row of the log
    learner_busy: float  # inside optimize_agent
    worker_env: float  # stepping environments
    sampler_act: float = 0.0  # inference in the master, or in the one process
    sampler_wait: float = 0.0  # the master waiting for workers
    sampler_transfer: float = 0.0  # copies between host and device
    worker_act: float = 0.0  # inference in the workers
    worker_wait: float = 0.0  # workers waiting for a command or an action
    worker_imbalance: float = 1.0  # the busiest worker's time over the mean
    slowest_worker: int = 0  # its rank
    worker_restarts: int = 0
    updates_per_second: float = 0.0  # of the parameters
    worker_envs: tuple[tuple[int, int], ...] = ()  # per worker: environments [start, stop)
    n_cpus: int = 1  # that the run may use
    group_size: int | None = None  # environments in one inference call; None: all that there are
    native: bool = False  # the suite's own vector environment is in use
    native_available: bool = False  # ... or could be
    can_compile: bool = False  # algo.compile is there, and false
    recurrent: bool = False  # the agent has a memory
    torch_threads: int | None = 1

    @property
    def n_workers(self) -> int:
        """Worker processes; 1 in a serial run."""
        return max(1, len(self.worker_envs))

    @property
    def sampling(self) -> float:
        """The share of the time in which samples are made, as the learner sees it."""
        inside = self.worker_env if self.sampler == "serial" else 0.0
        return self.sampler_act + self.sampler_wait + self.sampler_transfer + inside

    @property
    def workers_text(self) -> str:
        """``4 workers``."""
        return workers_text(self.n_workers)

    @property
    def slowest_text(self) -> str:
        """The busiest worker with its environments: ``worker 3 (envs 6-7)``."""
        rank = self.slowest_worker
        if not 0 <= rank < len(self.worker_envs):
            return f"worker {rank}"
        start, stop = self.worker_envs[rank]
        envs = f"env {start}" if stop - start == 1 else f"envs {start}-{stop - 1}"
        return f"worker {rank} ({envs})"

    def check(self) -> None:
        """Raise for what no run can have measured.

        Raises:
            RlpytError: ``usage``, naming the value.
        """
        for name in _FRACTIONS:
            value = getattr(self, name)
            if not 0.0 <= value <= _TOLERANCE:
                raise _nonsense(name, value, "a fraction from 0 to 1")
        for name, least in (("worker_imbalance", 0.99), ("updates_per_second", 0.0)):
            value = getattr(self, name)
            if not least <= value < math.inf:
                raise _nonsense(name, value, f"a number from {round(least)}")
        if not 0.0 < self.steps_per_second < math.inf:
            raise _nonsense("steps_per_second", self.steps_per_second, "a number above 0")
        for name in ("batch_T", "batch_B", "n_cpus"):
            if getattr(self, name) < 1:
                raise _nonsense(name, getattr(self, name), "1 or more")


def workers_text(n: int) -> str:
    """``1 worker``, ``4 workers``."""
    return f"{n} worker{'s' * (n != 1)}"


def _nonsense(name: str, value: float, expected: str) -> RlpytError:
    what = f"{name}={value} cannot be what a run measured, expected {expected}"
    return RlpytError("usage", what, hint="measure anew: `rlpyt doctor ALGORITHM ENV`")


def read_profile(run_dir: Path) -> RunProfile:
    """The profile of a finished or running run.

    Raises:
        RlpytError: ``usage``, ``config`` or ``directory``, where the directory holds no run, or one
            whose log does not tell.
    """
    params = load_params(run_dir)
    return profile_of(read_progress(run_dir), params, str(run_dir))


def profile_of(
    columns: Mapping[str, Sequence[float]], params: Mapping[str, Any], where: str = ""
) -> RunProfile:
    """The profile in the columns of ``progress.csv`` and the contents of ``params.json``.

    The last rows count, each by its wall time; the first, which holds the start-up, does not.

    Args:
        columns: numbers per row, by name.
        params: with the plan under ``extra``.
        where: the run, for errors.

    Raises:
        RlpytError: ``usage``, for the log of an older version, and one with too few rows.
    """
    sampler = params.get("sampler")
    if not isinstance(sampler, Mapping) or "batch_B" not in sampler:
        hint = "give the directory of a run of `rlpyt train`"
        raise RlpytError("usage", "params.json describes no sampler", where=where, hint=hint)
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        what = f"progress.csv has no column {missing[0]}"
        what += f", nor {len(missing) - 1} others that are needed" if len(missing) > 1 else ""
        hint = "an older version wrote it; measure anew: `rlpyt doctor ALGORITHM ENV`"
        raise RlpytError("usage", what, where=where, hint=hint)
    rows, seconds = _useful_rows(columns, where)
    total = sum(seconds)

    def mean(name: str) -> float:
        return sum(columns[name][i] * s for i, s in zip(rows, seconds, strict=True)) / total

    slowest: Counter[int] = Counter()
    for i, s in zip(rows, seconds, strict=True):
        slowest[int(columns[_SLOWEST][i])] += round(1e6 * s)
    shares: dict[str, Any] = {name: mean(column) for name, column in _FRACTIONS.items()}
    algo, threads = params.get("algo"), params.get("torch_threads", 1)
    return RunProfile(
        **shares,
        **_settings(sampler, params),
        row_steps=round(total * mean(_SPEED) / len(rows)),
        steps_per_second=mean(_SPEED),  # weighted by time: all steps over all seconds
        updates_per_second=mean(_UPDATES),
        worker_imbalance=mean(_IMBALANCE),
        slowest_worker=slowest.most_common(1)[0][0],
        worker_restarts=int(columns[_RESTARTS][rows[-1]]),
        can_compile=isinstance(algo, Mapping) and algo.get("compile") is False,
        recurrent=flatten_config(params).get(_MEMORY, "none") != "none",
        torch_threads=threads if isinstance(threads, int) else None,
    )


def _useful_rows(
    columns: Mapping[str, Sequence[float]], where: str
) -> tuple[list[int], list[float]]:
    """The rows that count, and the wall time of each in seconds."""
    n = len(columns[STEPS])
    whole = [
        i
        for i in range(n)
        if all(math.isfinite(columns[name][i]) for name in _NEEDED) and columns[_SPEED][i] > 0
    ]
    rows = whole[1:][-_LAST:]
    learning = [i for i in rows if columns[_UPDATES][i] > 0]
    rows = learning or rows  # a replay that is still being filled says nothing of the learner
    if not rows:
        found = f"{n} row{'s' * (n != 1)}, {len(whole)} of them with a measured interval"
        raise RlpytError(
            "usage",
            f"progress.csv has too few rows to tell: {found}; the first holds the start-up",
            where=where,
            hint="let the run log two rows or more, or lower log_interval_steps",
        )
    before = {i: columns[STEPS][i - 1] if i else 0.0 for i in rows}
    steps = [max(1.0, columns[STEPS][i] - before[i]) for i in rows]
    return rows, [s / columns[_SPEED][i] for i, s in zip(rows, steps, strict=True)]


def _settings(sampler: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Kind, batch and workers, from the sampler's settings and its plan."""
    name = str(sampler.get("class", "")).rpartition(".")[2]
    kind = name.removesuffix("Sampler").lower()
    if kind not in get_args(SamplerKind):
        known = ", ".join(f"{known.capitalize()}Sampler" for known in get_args(SamplerKind))
        raise RlpytError("usage", f"{name or 'a sampler'} is not known", hint=f"known: {known}")
    extra = params.get("extra")
    plan = extra.get("plan") if isinstance(extra, Mapping) else None
    plan = plan if isinstance(plan, Mapping) else {}
    B = int(sampler["batch_B"])
    workers = plan.get("envs") or ()
    if kind != "serial" and not workers:
        hint = "an older version wrote it; measure anew: `rlpyt doctor ALGORITHM ENV`"
        raise RlpytError("usage", "params.json holds no plan of the workers", hint=hint)
    config = _env_config(sampler.get("env"))
    return {
        "sampler": kind,
        "batch_T": int(sampler.get("batch_T", 1)),
        "batch_B": B,
        "worker_envs": tuple((int(start), int(stop)) for start, stop in workers),
        "n_cpus": int(plan.get("n_cpus") or usable_cpus().count),
        "group_size": sampler.get("group_size"),
        "native": config is not None and config.vectorization == "native",
        "native_available": config is not None and _has_native(config, sampler),
    }


def _env_config(env: Any) -> EnvConfig | None:
    """The environment that ``params.json`` names; None where it was an object of a script."""
    if isinstance(env, str):
        return EnvConfig(id=env)
    if not isinstance(env, Mapping) or not isinstance(env.get("id"), str):
        return None
    known = {f.name for f in fields(EnvConfig)}
    return EnvConfig(**{name: value for name, value in env.items() if name in known})


def _has_native(config: EnvConfig, sampler: Mapping[str, Any]) -> bool:
    """Whether the suite's own vector environment could take the place of the loop, with the same
    spaces and options.
    """
    options = (config.clip_reward, config.frame_stack, config.time_limit, config.info_keys or None)
    if config.vectorization == "native" or any(option is not None for option in options):
        return False
    if not sampler.get("mid_batch_reset", True) or sampler.get("max_decorrelation_steps"):
        return False
    native = EnvConfig(id=config.id, kwargs=config.kwargs, vectorization="native")
    try:
        return peek_spaces(native) == peek_spaces(config)
    except (RlpytError, TypeError):  # there is none, or it takes other arguments
        return False
