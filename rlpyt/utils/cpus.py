"""The CPUs that this process may really use, which can be far fewer than the machine has."""

import errno
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import final

__all__ = ["CpuAffinity", "Cpus", "cpu_ranges", "pin_process", "usable_cpus"]


@final
@dataclass(frozen=True, kw_only=True)
class Cpus:
    """The CPUs that this process may use, and what says so."""

    ids: tuple[int, ...]  # the affinity mask; () where the system has none (macOS)
    count: int  # how many to plan for, at least 1
    limits: tuple[str, ...]  # what makes the count smaller than the machine; ignored values
    restricted: bool  # the mask is smaller than the machine: somebody has assigned these CPUs


@final
@dataclass(kw_only=True)
class CpuAffinity:
    """The CPUs that a user, or a launcher, assigns to one sampler."""

    workers: list[list[int]]  # one list of CPU ids per worker; [] leaves it to the scheduler
    master: list[int]
    set_affinity: bool = True  # False: only the number of workers and of threads count
    worker_torch_threads: int = 1


def usable_cpus(
    *,
    proc: Path = Path("/proc"),
    cgroup: Path = Path("/sys/fs/cgroup"),
    environ: Mapping[str, str] | None = None,
    get_affinity: Callable[[], Collection[int]] | None = None,
    n_machine: int | None = None,
) -> Cpus:
    """What the affinity mask, the cgroup's CPU quota and ``SLURM_CPUS_PER_TASK`` leave.

    A quota is rounded down, to at least 1: a process more than the quota is paused by the kernel,
    and holds up the others. What cannot be read or understood counts as no limit.

    Args:
        proc: where the process file system is, for the process's own cgroup.
        cgroup: where the cgroup hierarchies are mounted, version 1 or 2.
        environ: the environment variables; ``None``: this process's.
        get_affinity: the ids in the affinity mask, empty where there is no such thing; ``None``:
            the system's.
        n_machine: the CPUs of the machine; ``None``: as the system says.
    """
    ids = tuple(sorted(_affinity_mask() if get_affinity is None else get_affinity()))
    machine = max(n_machine or os.cpu_count() or 1, len(ids))
    count = len(ids) or machine
    limits: list[str] = []
    restricted = count < machine
    if restricted:
        limits.append(f"affinity mask: {count} of {machine} CPUs")
    quota = _cgroup_quota(proc, cgroup, limits)
    if quota < machine:
        limits.append(f"cgroup quota: {quota:g} CPU{'s' * (quota != 1)}")
        count = min(count, max(1, math.floor(quota)))
    text = (os.environ if environ is None else environ).get("SLURM_CPUS_PER_TASK")
    if text is not None:
        digits = text.strip()
        slurm = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0
        if slurm < 1:
            limits.append(f"SLURM_CPUS_PER_TASK={text[:20]!r} ignored: not a number of CPUs")
        elif slurm < machine:
            limits.append(f"SLURM_CPUS_PER_TASK={slurm}")
            count = min(count, slurm)
    return Cpus(ids=ids, count=count, limits=tuple(dict.fromkeys(limits)), restricted=restricted)


def pin_process(
    cpus: Sequence[int], *, set_affinity: Callable[[Collection[int]], None] | None = None
) -> str | None:
    """Let this process, with the threads it has, run only on ``cpus``; on ``()`` do nothing.

    Processes and threads started afterwards inherit it. ``set_affinity`` stands in for the system's
    call.

    Returns:
        A warning where the system cannot (macOS) or will not (no such CPU, no permission); else
        ``None``.
    """
    if not cpus:
        return None
    try:
        (_pin_threads if set_affinity is None else set_affinity)(cpus)
    except (OSError, ValueError, OverflowError) as error:  # the latter two: impossible numbers
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        return f"could not pin process {os.getpid()} to CPUs {cpu_ranges(cpus)}: {reason}"
    return None


def cpu_ranges(cpus: Collection[int]) -> str:
    """CPU ids as the kernel writes them: ``0-3,8``."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _affinity_mask() -> Collection[int]:
    if sys.platform == "linux":
        with suppress(OSError):
            return os.sched_getaffinity(0)
    return ()


def _pin_threads(cpus: Collection[int]) -> None:
    """The kernel's call moves one thread, so make it for each (torch may have its pool by now)."""
    if sys.platform == "linux":
        for task in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):  # a thread that has just ended
                os.sched_setaffinity(int(task), cpus)
    else:
        raise OSError(errno.ENOSYS, "this system has no CPU affinity")


def _cgroup_quota(proc: Path, root: Path, notes: list[str]) -> float:
    """The CPUs' worth of time that the tightest of this process's cgroups may use; inf: no limit.

    ``/proc/self/cgroup`` has a line ``0::/path`` for version 2 and ``4:cpu,cpuacct:/path`` for
    version 1. ``cpu.max`` of version 2 is ``quota period`` in microseconds, or ``max period``;
    version 1 has a file for each, and the quota is -1 for none.
    """
    quotas = [math.inf]
    for line in _read(proc / "self" / "cgroup").splitlines():
        _id, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for folder in (*_lineage(root, path), *_lineage(root / "unified", path)):
                quota, _, period = _read(folder / "cpu.max").partition(" ")
                quotas.append(_quota(quota, period, folder, notes))
        elif "cpu" in controllers.split(","):
            for folder in (*_lineage(root / controllers, path), *_lineage(root / "cpu", path)):
                quota = _read(folder / "cpu.cfs_quota_us")
                quotas.append(_quota(quota, _read(folder / "cpu.cfs_period_us"), folder, notes))
    return min(quotas)


def _lineage(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a cgroup and of its ancestors.

    In a container the path may be the host's, or lead out of the mount (``/../x``): only the mount
    itself, which is the container's own cgroup, is sure to be there.
    """
    inside = PurePosixPath(path.lstrip("/"))
    if ".." in inside.parts:
        yield mount
    else:
        yield from (mount / parent for parent in (inside, *inside.parents))


def _quota(quota: str, period: str, folder: Path, notes: list[str]) -> float:
    quota, period = quota.strip(), period.strip()
    if quota in ("", "max", "-1"):
        return math.inf
    try:
        cpus = int(quota) / int(period)
    except (ValueError, ZeroDivisionError, OverflowError):
        cpus = 0.0
    if cpus > 0:
        return cpus
    notes.append(f"CPU quota of {folder} ignored: {f'{quota} {period}'[:40]!r}")
    return math.inf


def _read(path: Path) -> str:
    """The text of a small file; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # ValueError: a path that no file can have
        return ""
