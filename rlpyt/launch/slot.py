"""What one run slot has: CPUs, threads and devices, as rlpyt 0.1 gives them and as our runners take
them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import Any, NoReturn, TypeVar, final

from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.samplers.parallel import ParallelSampler
from rlpyt.utils.cpus import CpuAffinity
from rlpyt.utils.device_slots import (
    ACCELERATOR_LETTERS,
    INDEX_KEY,
    VisibleDevices,
    device_name,
    instance_environment,
)
from rlpyt.utils.errors import RlpytError

__all__ = ["Affinity", "AsyncAffinity", "BaseAffinity", "OptimizerAffinity", "SyncAffinity"]

Runner = TypeVar("Runner", bound=BaseRunner)


@dataclass(frozen=True, kw_only=True)
class BaseAffinity(ABC):
    """What one run slot has."""

    all_cpus: tuple[int, ...]  # of the whole run: what ``taskset`` gives it
    set_affinity: bool = True  # False: processes are not pinned, only numbers count
    instance: int | None = None  # of MIG, over all GPUs; the process sees it as device 0

    @property
    @abstractmethod
    def devices(self) -> tuple[str, ...]:
        """Where the run learns: one name for each process, as a runner's ``device``."""

    @abstractmethod
    def as_dict(self) -> Any:
        """The dictionary, or list of them, that rlpyt 0.1 has for the same code."""

    @abstractmethod
    def assign(self, runner: Runner) -> Runner:
        """A copy of ``runner`` that computes here, on these devices, CPUs and threads.

        Raises:
            RlpytError: ``affinity``, for a runner that cannot.
        """

    def environment(self, visible: VisibleDevices) -> dict[str, str]:
        """What to add to the environment variables of the run's process; mostly nothing."""
        if self.instance is None:
            return {}
        return instance_environment(visible.instances[self.instance])


@final
@dataclass(frozen=True, kw_only=True)
class Affinity(BaseAffinity):
    """A run in one process, or one rank of several; or what samples in an asynchronous run."""

    master_cpus: tuple[int, ...]
    workers_cpus: tuple[tuple[int, ...], ...]  # one for each worker
    master_torch_threads: int
    worker_torch_threads: int
    alternating: bool = False  # there are twice the workers, for two groups
    device_index: int | None = None  # None: the CPU
    accelerator: str = ACCELERATOR_LETTERS[0]  # the letters of the device

    @property
    def device(self) -> str:
        """Its name: ``cuda:1``, ``npu:0``, ``cpu``."""
        return device_name(self.accelerator, self.device_index)

    @property
    def devices(self) -> tuple[str, ...]:
        """The one."""
        return (self.device,)

    def as_dict(self) -> dict[str, Any]:
        """Its fields, with ``cuda_idx`` where there is a device."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _UPSTREAM}
        return own if self.device_index is None else {**own, INDEX_KEY: self.device_index}

    def cpu_affinity(self) -> CpuAffinity:
        """For a parallel sampler."""
        return _cpu_affinity([self])

    def assign(self, runner: Runner) -> Runner:
        """A copy of ``runner`` that computes here. The processes of :class:`SyncRl` share the CPUs,
        and are not pinned one by one.
        """
        return _assigned(
            runner,
            device=self.device,
            torch_threads=self.master_torch_threads,
            affinity=_unpinned(self) if isinstance(runner, SyncRl) else self.cpu_affinity(),
        )


_UPSTREAM = {
    "all_cpus",
    "master_cpus",
    "workers_cpus",
    "master_torch_threads",
    "worker_torch_threads",
    "alternating",
    "set_affinity",
}


@final
@dataclass(frozen=True, kw_only=True)
class SyncAffinity(BaseAffinity):
    """A run of several ranks, each with a device of its own."""

    ranks: tuple[Affinity, ...]
    all_cpus: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        cpus = tuple(chain.from_iterable(rank.all_cpus for rank in self.ranks))
        object.__setattr__(self, "all_cpus", cpus)

    @property
    def devices(self) -> tuple[str, ...]:
        """One for each rank."""
        return tuple(rank.device for rank in self.ranks)

    def as_dict(self) -> list[dict[str, Any]]:
        """One for each rank."""
        return [rank.as_dict() for rank in self.ranks]

    def assign(self, runner: Runner) -> Runner:
        """A copy of ``runner``, a :class:`SyncRl`, with a process on each device. They share the
        CPUs of the slot, and are not pinned one by one.
        """
        if not isinstance(runner, SyncRl):
            hint = "use SyncRl, or a code without gpr"
            _refuse(f"{len(self.ranks)} devices for a {type(runner).__name__}", hint)
        first = self.ranks[0]
        return _assigned(
            replace(runner, world_size=len(self.ranks)),
            device=",".join(self.devices),
            torch_threads=first.master_torch_threads,
            affinity=_unpinned(first),
        )


@final
@dataclass(frozen=True, kw_only=True)
class OptimizerAffinity:
    """What learns in an asynchronous run, or one rank of it."""

    cpus: tuple[int, ...]
    device_index: int
    torch_threads: int
    set_affinity: bool = True
    accelerator: str = ACCELERATOR_LETTERS[0]

    @property
    def device(self) -> str:
        """Its name: ``cuda:1``, ``npu:0``."""
        return device_name(self.accelerator, self.device_index)

    def as_dict(self) -> dict[str, Any]:
        """``cpus``, ``cuda_idx``, ``torch_threads``, ``set_affinity``."""
        return {
            "cpus": self.cpus,
            INDEX_KEY: self.device_index,
            "torch_threads": self.torch_threads,
            "set_affinity": self.set_affinity,
        }


@final
@dataclass(frozen=True, kw_only=True)
class AsyncAffinity(BaseAffinity):
    """A run that samples and learns at the same time."""

    optimizer: tuple[OptimizerAffinity, ...]  # one for each rank that learns
    sampler: Affinity | tuple[Affinity, ...]  # several: one for each device to sample on

    @property
    def samplers(self) -> tuple[Affinity, ...]:
        """Those of ``sampler``, also where it is one."""
        return (self.sampler,) if isinstance(self.sampler, Affinity) else self.sampler

    @property
    def devices(self) -> tuple[str, ...]:
        """Those to learn on."""
        return tuple(one.device for one in self.optimizer)

    def as_dict(self) -> dict[str, Any]:
        """``all_cpus``, ``optimizer``, ``sampler``, ``set_affinity``."""
        samplers = [{**one.as_dict(), INDEX_KEY: one.device_index} for one in self.samplers]
        return {
            "all_cpus": self.all_cpus,
            "optimizer": [one.as_dict() for one in self.optimizer],
            "sampler": samplers[0] if isinstance(self.sampler, Affinity) else samplers,
            "set_affinity": self.set_affinity,
        }

    def assign(self, runner: Runner) -> Runner:
        """A copy of ``runner``, an :class:`AsyncRl`, with a process that learns on each device.

        One process samples, with the workers of all ``samplers``; it is on the device of the first
        that learns, where the agent acts on a device at all.
        """
        if not isinstance(runner, AsyncRl):
            hint = "use AsyncRl, or a code without ass"
            _refuse(f"asynchronous sampling for a {type(runner).__name__}", hint)
        learns = {one.device_index for one in self.optimizer}
        apart = {one.device_index for one in self.samplers} - learns - {None}
        if apart:
            hint = "AsyncRl samples where it learns: write 1oss in place of sgr, or neither"
            _refuse(f"devices {sorted(map(str, apart))} to sample on alone", hint)
        return _assigned(
            replace(runner, world_size=len(self.optimizer)),
            device=",".join(self.devices),
            torch_threads=self.optimizer[0].torch_threads,
            affinity=_cpu_affinity(self.samplers),
        )


def _assigned(runner: Runner, *, device: str, torch_threads: int, affinity: CpuAffinity) -> Runner:
    sampler = runner.sampler
    if isinstance(sampler, ParallelSampler):
        sampler = replace(sampler, affinity=affinity)
    return replace(runner, device=device, torch_threads=torch_threads, sampler=sampler)


def _cpu_affinity(parts: Iterable[Affinity]) -> CpuAffinity:
    parts = list(parts)
    return CpuAffinity(
        workers=[list(cpus) for part in parts for cpus in part.workers_cpus],
        master=[cpu for part in parts for cpu in part.master_cpus],
        set_affinity=parts[0].set_affinity,
        worker_torch_threads=parts[0].worker_torch_threads,
    )


def _unpinned(part: Affinity) -> CpuAffinity:
    """Its numbers of workers and threads; no process has CPUs of its own."""
    return replace(part.cpu_affinity(), set_affinity=False)


def _refuse(what: str, hint: str) -> NoReturn:
    raise RlpytError("affinity", what, hint=hint)
