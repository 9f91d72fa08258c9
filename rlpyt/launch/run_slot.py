"""The slots of a launcher: places for one run at a time."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from rlpyt.launch.affinity import decode_affinity, prepend_run_slot
from rlpyt.launch.layout import slot_affinity
from rlpyt.launch.machine import this_machine
from rlpyt.launch.slot import BaseAffinity
from rlpyt.utils.device_slots import VisibleDevices

__all__ = ["RunSlot", "run_slots"]


@final
@dataclass(frozen=True)
class RunSlot:
    """A place for one run at a time."""

    number: int
    name: str  # what the run's script gets: 3slt_16cpu_8gpu_2gpr
    affinity: BaseAffinity
    environment: Mapping[str, str]  # what a process in it has besides its parent's
    pinned: tuple[str, ...]  # what stands before a command to give it the slot's CPUs


def run_slots(code: str, *, set_egl_device: bool = False) -> list[RunSlot]:
    """The slots of an affinity code, ``auto`` too; with ``set_egl_device`` runs draw, by EGL, on
    the accelerator that they have.

    Raises:
        RlpytError: ``affinity``, for a code that is none or does not fit this machine.
    """
    decoded = decode_affinity(code)
    machine = this_machine(with_devices=decoded.n_gpu > 0)
    machine.check(decoded)
    visible = machine.devices or VisibleDevices(letters="gpu", count=0)
    text = str(decoded) if code == "auto" else code
    can_pin = shutil.which("taskset") is not None
    slots = []
    for number in range(decoded.n_run_slots):
        affinity = slot_affinity(decoded, number)
        cpus = ",".join(map(str, affinity.all_cpus))
        slots.append(
            RunSlot(
                number=number,
                name=prepend_run_slot(number, text),
                affinity=affinity,
                environment={
                    **affinity.environment(visible),
                    **(_egl_environment(affinity) if set_egl_device else {}),
                },
                pinned=("taskset", "-c", cpus) if can_pin and affinity.set_affinity else (),
            )
        )
    return slots


def _egl_environment(affinity: BaseAffinity) -> dict[str, str]:
    """For MuJoCo and others that draw without a screen; nothing on a CPU."""
    _, _, index = affinity.devices[0].partition(":")
    return dict.fromkeys(("EGL_DEVICE_ID", "MUJOCO_EGL_DEVICE_ID"), index) if index else {}
