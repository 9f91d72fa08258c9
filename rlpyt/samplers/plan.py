"""Who does what, where: environments, CPUs and threads of a parallel sampler's workers."""

import math
from dataclasses import asdict, dataclass
from typing import Any, final

from rlpyt.utils.cpus import CpuAffinity, Cpus, cpu_ranges, usable_cpus
from rlpyt.utils.errors import RlpytError

__all__ = ["WorkerPlan", "plan_workers"]

_SHOWN = 8  # workers whose CPUs are spelled out


@final
@dataclass(frozen=True, kw_only=True)
class WorkerPlan:
    """What each worker gets. Columns are those of the batch [T, B], handed out in order of rank."""

    envs: tuple[tuple[int, int], ...]  # per worker: columns [start, stop)
    cpus: tuple[tuple[int, ...], ...]  # per worker; () = left to the scheduler
    master_cpus: tuple[int, ...]  # () = left to the scheduler
    worker_threads: int  # torch threads in each worker
    groups: tuple[tuple[int, ...], ...]  # worker ranks of each action group
    group_size: int | None  # environments in one inference call, as asked
    n_cpus: int  # CPUs planned for
    limits: tuple[str, ...]  # why these CPUs are fewer than the machine has
    warnings: tuple[str, ...]  # what could not be honoured

    @property
    def n_workers(self) -> int:
        """The number of worker processes."""
        return len(self.envs)

    def describe(self) -> str:
        """One line for the user: workers, environments, threads, CPUs."""
        many = self.n_workers > 1
        sizes = sorted({stop - start for start, stop in self.envs})
        envs = "-".join(map(str, sizes[:: max(1, len(sizes) - 1)]))
        each = " each" * (many and len(sizes) == 1)
        parts = [f"{_n(self.n_workers, 'worker')} of {envs} environment"]
        parts[0] += "s" * (sizes != [1]) + each
        if len(self.groups) > 1:
            parts.append(f"in {len(self.groups)} groups")
        if self.group_size is not None:
            parts.append(f"inference on {self.group_size} at a time")
        parts.append(_n(self.worker_threads, "torch thread") + " each" * many)
        if any(self.cpus):
            shown = [cpu_ranges(cpus) or "any" for cpus in self.cpus]
            if len(shown) > _SHOWN:
                shown[_SHOWN - 1 : -1] = ["..."]
            parts.append(f"on CPU{'s' * many} {' | '.join(shown)}")
        if self.master_cpus:
            ids = cpu_ranges(self.master_cpus)
            parts.append(f"master on CPU{'s' * (len(self.master_cpus) > 1)} {ids}")
        usable = "; ".join([f"{_n(self.n_cpus, 'CPU')} usable", *self.limits])
        return f"{', '.join(parts)} ({usable})"

    def as_dict(self) -> dict[str, Any]:
        """The plan as data for JSON."""
        return {"n_workers": self.n_workers, **_lists(asdict(self))}


def plan_workers(
    *,
    batch_B: int,
    n_workers: int | None,
    group_size: int | None,
    n_groups: int = 1,
    acts_in_workers: bool = True,
    affinity: CpuAffinity | None = None,
    cpus: Cpus | None = None,
) -> WorkerPlan:
    """Divide ``batch_B`` environments among workers, and workers among CPUs.

    Environments go out in units of ``group_size`` (or 1), as evenly as possible, in ``n_groups``
    equal halves (thirds, ...) that have as many workers each.

    Args:
        batch_B: environments in all.
        n_workers: as the user asks; ``None``: one for each list in ``affinity``, else one for each
            usable CPU, less one for a master that acts for a single group.
        group_size: environments in one inference call; ``None``: as many as a worker or group has.
        n_groups: groups of workers that the master serves in turn.
        acts_in_workers: whether the agent acts in the workers, else in the master.
        affinity: CPUs that a user or a launcher assigns; ``None``: workers are pinned only where
            this process was given a part of the machine that has just a CPU for each.
        cpus: what there is; ``None``: :func:`~rlpyt.utils.cpus.usable_cpus`.

    Raises:
        RlpytError: ``config``, for numbers that cannot be divided. What merely cannot be honoured
            is in ``warnings``.
    """
    cpus = usable_cpus() if cpus is None else cpus
    unit = 1 if group_size is None else group_size
    threads = 1 if affinity is None else affinity.worker_torch_threads
    _check(batch_B, n_workers, unit, n_groups, threads)
    warnings: list[str] = []
    asked = len(affinity.workers) if n_workers is None and affinity is not None else n_workers
    if asked:
        n = _as_asked(asked, n_workers is None, batch_B, unit, n_groups, warnings)
        if n * threads > cpus.count:
            each = f" of {threads} torch threads" * (threads > 1)
            warnings.append(f"{_n(n, 'worker')}{each} share {_n(cpus.count, 'usable CPU')}")
    else:
        # Two groups take turns with the master, which needs no CPU of its own then.
        master_alone = not acts_in_workers and n_groups == 1
        per_group = max(1, math.ceil((cpus.count - master_alone) / n_groups))
        n = min(n_groups * per_group, batch_B // unit)
    worker_cpus, master_cpus = _pinned(n, affinity, cpus, warnings)
    per_group = n // n_groups
    return WorkerPlan(
        envs=_columns(batch_B // (n_groups * unit), unit, per_group, n_groups),
        cpus=worker_cpus,
        master_cpus=master_cpus,
        worker_threads=threads,
        groups=tuple(tuple(range(g * per_group, (g + 1) * per_group)) for g in range(n_groups)),
        group_size=group_size,
        n_cpus=cpus.count,
        limits=cpus.limits,
        warnings=tuple(warnings),
    )


def _check(batch_B: int, n_workers: int | None, unit: int, n_groups: int, threads: int) -> None:
    """Raise for numbers below 1, and for a batch that cannot be divided."""
    _at_least_1("batch_B", batch_B)
    _at_least_1("n_workers", 1 if n_workers is None else n_workers)
    _at_least_1("group_size", unit)
    _at_least_1("affinity.worker_torch_threads", threads)
    multiple = n_groups * unit
    if batch_B % multiple:
        below = batch_B // multiple * multiple
        hint = f"use {below} or {below + multiple}" if below else f"use {multiple}"
        reasons = [f"{n_groups} groups of workers"] * (n_groups > 1)
        reasons += [f"sampler.group_size={unit}"] * (unit > 1)
        what = f"sampler.batch_B={batch_B} must be a multiple of {multiple}"
        raise RlpytError("config", what, where=", ".join(reasons), hint=hint)


def _at_least_1(name: str, value: int) -> None:
    if value < 1:
        what = f"sampler.{name}={value} must be at least 1"
        optional = name in ("n_workers", "group_size")
        hint = "use 1 or more, or None to leave it open" if optional else "use 1 or more"
        raise RlpytError("config", what, hint=hint)


def _as_asked(
    asked: int, by_affinity: bool, batch_B: int, unit: int, n_groups: int, warnings: list[str]
) -> int:
    """Workers in all: as many as asked, rounded up to equal groups, while environments last."""
    using = min(n_groups * math.ceil(asked / n_groups), batch_B // unit)
    if using == asked:
        return using
    reason = f"a multiple of {n_groups} groups"
    if using < asked:
        reason = f"sampler.batch_B={batch_B}" + f" in units of {unit}" * (unit > 1)
        reason += f" for {n_groups} equal groups" * (n_groups > 1)
    how = f"affinity for {_n(asked, 'worker')}" if by_affinity else f"n_workers={asked}"
    warnings.append(f"sampler.{how}: using {using} ({reason})")
    return using


def _columns(units: int, unit: int, per_group: int, n_groups: int) -> tuple[tuple[int, int], ...]:
    """Columns of each worker: in every group the first ones take a unit more where they differ."""
    least, more = divmod(units, per_group)
    sizes = [unit * (least + (rank % per_group < more)) for rank in range(n_groups * per_group)]
    stops = [sum(sizes[: rank + 1]) for rank in range(len(sizes))]
    return tuple((stop - size, stop) for size, stop in zip(sizes, stops, strict=True))


def _pinned(
    n: int, affinity: CpuAffinity | None, cpus: Cpus, warnings: list[str]
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """CPUs of each worker, and of the master."""
    free = ((),) * n
    if affinity is None:
        # With CPUs to spare, another run within the same mask would be pinned to the same ones.
        if cpus.restricted and len(cpus.ids) == n:
            return tuple((cpu,) for cpu in cpus.ids), cpus.ids
        return free, ()
    lists = affinity.workers
    if not affinity.set_affinity or not any([*lists, affinity.master]):
        return free, ()
    if not cpus.ids:
        warnings.append("sampler.affinity: this system has no CPU affinity; nothing is pinned")
        return free, ()
    if lists and len(lists) != n:
        use = "the rest are not used" if len(lists) > n else "used in turn"
        warnings.append(
            f"sampler.affinity: {_n(len(lists), 'list')} of CPUs for {n} workers: {use}"
        )
    given = [lists[rank % len(lists)] for rank in range(n)] if lists else [[]] * n
    outside = {cpu for part in (*given, affinity.master) for cpu in part} - set(cpus.ids)
    if outside:
        mask = cpu_ranges(cpus.ids)
        text = ", ".join(map(str, sorted(outside)))
        warnings.append(f"sampler.affinity: CPUs {text} left out: this process may use {mask}")
    workers = [tuple(sorted(set(part) - outside)) for part in given]
    return tuple(workers), tuple(sorted(set(affinity.master) - outside))


def _n(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _lists(value: Any) -> Any:
    """Tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple) else value
