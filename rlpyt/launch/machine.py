"""The machine as affinity codes see it: cores, hyperthreads, sockets, devices."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, final

from rlpyt.launch.code import AffinityCode, counted
from rlpyt.launch.layout import slot_affinity
from rlpyt.utils.cpus import Cpus, cpu_ranges, usable_cpus
from rlpyt.utils.device_slots import VisibleDevices, visible_devices
from rlpyt.utils.errors import RlpytError

__all__ = ["Machine", "this_machine"]


@final
@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this process may use."""

    cpus: Cpus
    n_cpu_core: int  # cores; CPUs, where hyperthreads cannot be told by an offset
    hyperthread_offset: int  # between the two CPUs of each core; 0: none, or no such offset
    n_socket: int  # of those cores, where each has as many, one after the other; else 1
    first_cpu: int | None  # None: the CPUs cannot be numbered by a code, or are shared with others
    devices: VisibleDevices | None  # None: not asked for

    def suggest(
        self, n_parallel: int | None = None, *, use_gpu: bool = True, contexts_per_gpu: int = 1
    ) -> AffinityCode:
        """The code that uses all of it.

        Args:
            n_parallel: accelerators, or where there are none runs, at most; ``None``: all, or one
                run on each core.
            use_gpu: whether to use accelerators.
            contexts_per_gpu: runs that share one.

        Raises:
            RlpytError: ``affinity``, for numbers below 1, and for more contexts than cores.
        """
        for name, number in {
            "n_parallel": n_parallel,
            "contexts_per_gpu": contexts_per_gpu,
        }.items():
            if number is not None and number < 1:
                raise RlpytError("affinity", f"{name}={number}", hint="use 1 or more")
        cores, devices = self.n_cpu_core, self.devices if use_gpu else None
        n_devices = 0 if devices is None else len(devices.instances) or devices.count
        if devices is None or not n_devices:
            n_runs = min(n_parallel or cores, cores)
            each = cores // n_runs
            return self.with_sockets(
                AffinityCode(
                    n_cpu_core=n_runs * each,
                    cpu_per_run=each,
                    hyperthread_offset=self.hyperthread_offset,
                    set_affinity=self.first_cpu is not None,
                    first_cpu=self.first_cpu or 0,
                )
            )
        n_devices = min(n_parallel or n_devices, n_devices, max(1, cores // contexts_per_gpu))
        n_runs = n_devices * contexts_per_gpu
        if n_runs > cores:
            what = f"contexts_per_gpu={contexts_per_gpu} on {cores} usable cores"
            raise RlpytError("affinity", what, hint=f"use {cores} at most")
        return self.with_sockets(
            AffinityCode(
                n_cpu_core=cores // n_runs * n_runs,
                n_gpu=1 if devices.instances else n_devices,
                instances_per_gpu=n_devices if devices.instances else 1,
                contexts_per_gpu=contexts_per_gpu,
                hyperthread_offset=self.hyperthread_offset,
                set_affinity=self.first_cpu is not None,
                accelerator=devices.letters,
                first_cpu=self.first_cpu or 0,
            )
        )

    def with_sockets(self, code: AffinityCode) -> AffinityCode:
        """``code`` with the sockets that this machine has, where it can be divided among them."""
        try:
            divided = replace(code, n_socket=self.n_socket)
            for slot in range(code.n_run_slots):
                slot_affinity(divided, slot)
        except RlpytError:
            return code
        return divided

    def check(self, code: AffinityCode, run_slot: int | None = None) -> None:
        """Raise where ``code``, or its one slot, takes CPUs or devices that are not here.

        Without ``set_affinity`` any number of runs may share the CPUs.

        Raises:
            RlpytError: ``affinity``, saying what there is, and a code that would fit.
        """
        slots = range(code.n_run_slots) if run_slot is None else [run_slot]
        affinities = [slot_affinity(code, slot) for slot in slots]
        self._check_devices(code, run_slot)
        if not code.set_affinity:
            return
        needed = {cpu for affinity in affinities for cpu in affinity.all_cpus}
        usable = set(self.cpus.ids or range(self.cpus.count))
        if not needed <= usable:
            limits = f" ({'; '.join(self.cpus.limits)})" if self.cpus.limits else ""
            which = "" if run_slot is None else f" for slot {run_slot}"
            code.refuse(
                f"needs CPUs {cpu_ranges(needed)}{which}, and this process may use "
                f"{cpu_ranges(usable)}{limits}",
                f"{self._fitting(code)} would fit; with 0saf nothing is pinned",
            )

    def _check_devices(self, code: AffinityCode, run_slot: int | None) -> None:
        devices = self.devices
        if not code.n_gpu or devices is None:
            return
        fits = f"{self._fitting(code)} would fit"
        if code.instances_per_gpu > 1:
            found = len(devices.instances)
            # The launcher lets a run see its own alone.
            if found < (code.n_devices if run_slot is None else 1):
                what = f"needs {code.n_devices} MIG instances, and this process sees {found}"
                hint = f"name them in the environment, as `nvidia-smi -L` lists them; or {fits}"
                code.refuse(what, hint)
            return
        if code.n_gpu > devices.count:
            what = f"needs {counted(code.n_gpu, 'device')}, and this machine has {devices.count}"
            code.refuse(what, fits)
        if code.accelerator != devices.letters:
            what = f"needs devices {code.accelerator!r}, and this machine has {devices.letters!r}"
            code.refuse(what, fits)

    def _fitting(self, code: AffinityCode) -> str:
        return str(self.suggest(use_gpu=code.n_gpu > 0))


def this_machine(
    *,
    with_devices: bool = True,
    cpus: Cpus | None = None,
    topology: Path = Path("/sys/devices/system/cpu"),
) -> Machine:
    """What this process may use, as the system tells.

    Args:
        with_devices: whether to look for accelerators.
        cpus: what there is; ``None``: :func:`~rlpyt.utils.cpus.usable_cpus`.
        topology: where the kernel tells which CPUs are one core, and one socket.
    """
    cpus = usable_cpus() if cpus is None else cpus
    layout = _layout(_places(cpus.ids, topology), cpus.ids or tuple(range(cpus.count)))
    # Less CPU time than CPUs: somebody else uses them too, perhaps with a code of the same numbers.
    is_ours = bool(cpus.ids) and cpus.count == len(cpus.ids) and layout.first is not None
    return Machine(
        cpus=cpus,
        n_cpu_core=layout.n if is_ours else max(1, cpus.count * layout.n // layout.n_cpus),
        hyperthread_offset=layout.offset if is_ours else 0,
        n_socket=layout.n_socket if is_ours else 1,
        first_cpu=layout.first if is_ours else None,
        devices=visible_devices() if with_devices else None,
    )


class _Place(NamedTuple):
    """Where a CPU is."""

    siblings: tuple[int, ...]  # the CPUs of its core that this process may use
    socket: int


class _Layout(NamedTuple):
    """Cores ``first`` to ``first + n``, and their hyperthreads at an offset."""

    n: int
    offset: int
    first: int | None
    n_socket: int
    n_cpus: int


def _places(ids: tuple[int, ...], topology: Path) -> dict[int, _Place]:
    """Of each CPU; empty where the system does not tell."""
    places = {}
    for cpu in ids:
        folder = topology / f"cpu{cpu}" / "topology"
        try:
            siblings = _cpu_list((folder / "thread_siblings_list").read_text())
            socket = int((folder / "physical_package_id").read_text())
        except (OSError, ValueError):
            return {}
        places[cpu] = _Place(tuple(sorted({cpu, *siblings} & set(ids))), socket)
    return places


def _cpu_list(text: str) -> list[int]:
    """``0-2,8`` as the kernel writes it."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _layout(places: Mapping[int, _Place], ids: tuple[int, ...]) -> _Layout:
    cores = [cpu for cpu in ids if cpu == places.get(cpu, _Place((cpu,), 0)).siblings[0]]
    twins = [places[cpu].siblings for cpu in cores] if places else []
    offsets = {pair[1] - pair[0] for pair in twins if len(pair) == 2}
    has_offset = len(offsets) == 1 and all(len(pair) == 2 for pair in twins) and _is_row(cores)
    if has_offset and min(offsets) >= len(cores):
        sockets = _n_sockets([places[cpu].socket for cpu in cores])
        return _Layout(len(cores), min(offsets), cores[0], sockets, len(ids))
    first = ids[0] if _is_row(ids) else None
    # Hyperthreads beside each other, or of some cores only: every CPU counts as a core.
    sockets = _n_sockets([places[cpu].socket for cpu in ids]) if places else 1
    alone = all(len(pair) == 1 for pair in twins)
    return _Layout(
        len(ids) if first is not None or alone else len(cores), 0, first, sockets, len(ids)
    )


def _is_row(ids: list[int] | tuple[int, ...]) -> bool:
    return list(ids) == list(range(ids[0], ids[0] + len(ids)))


def _n_sockets(sockets: list[int]) -> int:
    """Where each socket has as many cores, one after the other; else 1."""
    sizes = set(Counter(sockets).values())
    changes = sum(one != other for one, other in pairwise(sockets))
    return changes + 1 if len(sizes) == 1 and changes + 1 == len(set(sockets)) else 1
