"""Which CPUs and devices each run slot of an affinity code has."""

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from rlpyt.launch.code import AffinityCode, counted
from rlpyt.launch.slot import (
    Affinity,
    AsyncAffinity,
    BaseAffinity,
    OptimizerAffinity,
    SyncAffinity,
)
from rlpyt.utils.errors import RlpytError

__all__ = ["slot_affinity"]


def slot_affinity(code: AffinityCode, run_slot: int) -> BaseAffinity:
    """What the slot has, whatever this machine is.

    Raises:
        RlpytError: ``affinity``, for a slot that there is not, and for CPUs or devices that cannot
            be divided as the code says.
    """
    if not 0 <= run_slot < code.n_run_slots:
        what = f"no run slot {run_slot}: there are {code.n_run_slots}, from 0"
        raise RlpytError("affinity", what, where=f"affinity code {code}")
    if code.async_sample:
        return _async_slot(code, run_slot)
    if code.gpu_per_run == 1:
        return _sync_slot(code, run_slot)
    first = run_slot * code.gpu_per_run
    ranks = tuple(_sync_slot(code, first + rank) for rank in range(code.gpu_per_run))
    return SyncAffinity(ranks=ranks, set_affinity=code.set_affinity)


# --- one process, or one rank ------------------------------------------------------------------


def _sync_slot(code: AffinityCode, part: int) -> Affinity:
    """Part ``part`` of the machine: a slot, or one rank of a slot."""
    n_parts = code.n_devices * code.contexts_per_gpu or code.n_run_slots
    if code.n_cpu_core % n_parts:
        fewer = code.n_cpu_core // n_parts * n_parts or n_parts
        what = f"{counted(code.n_cpu_core, 'core')} cannot be divided among {n_parts}"
        code.refuse(what, f"use {counted(fewer, 'core')}")
    index: int | None = None
    if code.n_gpu:  # runs spread over all devices first, before two share one
        index = part % code.n_devices
        part = index * code.contexts_per_gpu + part // code.n_devices
    cores = _cores(code, part, n_parts)
    left = len(cores) - code.cpu_reserved
    if left < 1 or left % code.cpu_per_worker:
        what = f"{counted(len(cores), 'core')}, {code.cpu_reserved} reserved"
        hint = "reserve fewer, or change the number of cores"
        code.refuse(f"{what}, cannot be divided into workers of {code.cpu_per_worker}", hint)
    return _affinity(code, cores, cores[code.cpu_reserved :], index)


def _cores(code: AffinityCode, part: int, n_parts: int) -> tuple[int, ...]:
    """Of one of ``n_parts`` equal parts of the machine."""
    size, sockets = code.n_cpu_core // n_parts, code.n_socket
    per_socket = _cores_per_socket(code)
    if n_parts >= sockets:
        if n_parts % sockets:
            _refuse_sockets(code, f"{counted(n_parts, 'part')} for {sockets} sockets")
        socket, place = divmod(part, n_parts // sockets)
        start = socket * per_socket + place * size
        return tuple(range(start, start + size))
    each = sockets // n_parts  # sockets of one part
    if sockets % n_parts or size % each:
        _refuse_sockets(
            code, f"{counted(n_parts, 'part')} of {counted(size, 'core')} for {sockets} sockets"
        )
    starts = [(part * each + socket) * per_socket for socket in range(each)]
    return tuple(core for start in starts for core in range(start, start + size // each))


def _cores_per_socket(code: AffinityCode) -> int:
    """From the first of one socket to the first of the next; those in use may be fewer."""
    span = max(code.n_cpu_core, code.hyperthread_offset)
    if span % code.n_socket or code.n_cpu_core % code.n_socket:
        _refuse_sockets(code, f"{code.n_cpu_core} of {span} cores for {code.n_socket} sockets")
    return span // code.n_socket


def _refuse_sockets(code: AffinityCode, what: str) -> NoReturn:
    code.refuse(f"{what} cannot be divided", "leave out skt, or change the number of cores")


# --- sampling while learning -------------------------------------------------------------------


class _Section(NamedTuple):
    """What a run has of one socket."""

    first_core: int
    first_device: int
    n_learn: int  # devices to learn on
    n_sample: int  # devices to sample on


def _async_slot(code: AffinityCode, run_slot: int) -> AsyncAffinity:
    sections = _sections(code, run_slot)
    reserved = code.cpu_reserved or 1
    cores_of_run = code.n_cpu_core // code.n_run_slots
    n_sample = sum(section.n_sample for section in sections)
    to_sample = (cores_of_run - reserved * code.gpu_per_run) // code.cpu_per_worker
    to_sample *= code.cpu_per_worker
    each = to_sample // (n_sample or len(sections))
    if each < code.cpu_per_worker:
        what = f"{counted(cores_of_run, 'core')} of a run, {reserved * code.gpu_per_run} reserved"
        code.refuse(f"{what}, leave no worker", "use more cores, or fewer devices in each run")
    optimizer, samplers = [], []
    on_cpu: list[int] = []
    for core, device, n_learn, n_sampling in sections:
        for i in range(n_learn):
            start = core + i * reserved
            optimizer.append(_optimizer(code, range(start, start + reserved), device + i))
        core += n_learn * reserved
        shared = code.optim_sample_share_gpu
        for i in range(n_sampling):
            cores = range(core + i * each, core + (i + 1) * each)
            index = device + i + (0 if shared else n_learn)
            samplers.append(_affinity(code, cores, cores, index))
        if not n_sample:
            on_cpu += range(core, core + each)
    if not n_sample:
        samplers = [_affinity(code, on_cpu, on_cpu, None)]
    cpus = [cpu for one in optimizer for cpu in one.cpus]
    cpus += [cpu for one in samplers for cpu in one.all_cpus]
    return AsyncAffinity(
        all_cpus=tuple(cpus),
        optimizer=tuple(optimizer),
        sampler=tuple(samplers) if n_sample else samplers[0],
        set_affinity=code.set_affinity,
        instance=sections[0].first_device if code.instances_per_gpu > 1 else None,
    )


def _sections(code: AffinityCode, run_slot: int) -> list[_Section]:
    """A run has a part of one socket, or as much of each of several."""
    sockets, n_runs = code.n_socket, code.n_run_slots
    cores, n_learn = _cores_per_socket(code), code.gpu_per_run
    n_sample = n_learn if code.optim_sample_share_gpu else code.sample_gpu_per_run
    devices = n_learn + (0 if code.optim_sample_share_gpu else n_sample)
    if code.n_devices % sockets:
        _refuse_sockets(code, f"{counted(code.n_devices, 'device')} for {sockets} sockets")
    per_socket = code.n_devices // sockets
    cores_of_run = code.n_cpu_core // n_runs
    if devices <= per_socket:
        if n_runs % sockets:
            _refuse_sockets(code, f"{counted(n_runs, 'run')} for {sockets} sockets")
        socket, place = divmod(run_slot, n_runs // sockets)
        core = socket * cores + place * cores_of_run
        return [_Section(core, socket * per_socket + place * devices, n_learn, n_sample)]
    each = sockets // n_runs
    if sockets % n_runs or n_learn % each or n_sample % each or cores_of_run % each:
        each_has = f"{counted(n_learn, 'device')} to learn and {n_sample} to sample on"
        what = f"{counted(n_runs, 'run')} of {each_has}, and of {counted(cores_of_run, 'core')}"
        _refuse_sockets(code, f"{what}, for {sockets} sockets")
    return [
        _Section(s * cores, s * per_socket, n_learn // each, n_sample // each)
        for s in range(run_slot * each, (run_slot + 1) * each)
    ]


def _optimizer(code: AffinityCode, cores: Sequence[int], index: int) -> OptimizerAffinity:
    return OptimizerAffinity(
        cpus=_cpus(code, cores),
        device_index=0 if code.instances_per_gpu > 1 else index,
        torch_threads=len(cores),
        set_affinity=code.set_affinity,
        accelerator=code.accelerator,
    )


# --- from cores to CPUs ------------------------------------------------------------------------


def _affinity(
    code: AffinityCode, cores: Sequence[int], workers: Sequence[int], index: int | None
) -> Affinity:
    """Of these cores, of which those of workers are ``workers``."""
    is_part = code.instances_per_gpu > 1 and index is not None
    cpus = _cpus(code, cores)
    return Affinity(
        all_cpus=cpus,
        master_cpus=cpus,
        workers_cpus=_workers(code, workers),
        master_torch_threads=len(cores),
        worker_torch_threads=code.cpu_per_worker,
        alternating=code.alternating,
        set_affinity=code.set_affinity,
        device_index=0 if is_part else index,
        instance=index if is_part else None,
        accelerator=code.accelerator,
    )


def _workers(code: AffinityCode, cores: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """CPUs of each: its cores and their hyperthreads. Two groups that take turns have one of them
    each, or the same cores where there are no hyperthreads.
    """
    size = code.cpu_per_worker
    whole = [cores[i : i + size] for i in range(0, len(cores) - size + 1, size)]
    if not code.alternating:
        return tuple(_cpus(code, part) for part in whole)
    halves = [tuple(code.first_cpu + core for core in part) for part in whole]
    offset = code.hyperthread_offset
    return (*halves, *(tuple(cpu + offset for cpu in half) for half in halves))


def _cpus(code: AffinityCode, cores: Sequence[int]) -> tuple[int, ...]:
    """The cores, and then their hyperthreads."""
    own = tuple(code.first_cpu + core for core in cores)
    offset = code.hyperthread_offset
    return own + tuple(cpu + offset for cpu in own) if offset else own
