"""How the launcher speaks of accelerators: beside :mod:`rlpyt.utils.device`, the only place that
names them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch

from rlpyt.utils.device import resolve_device

__all__ = [
    "ACCELERATOR_LETTERS",
    "INDEX_KEY",
    "VisibleDevices",
    "device_name",
    "instance_environment",
    "visible_devices",
]

ACCELERATOR_LETTERS = ("gpu", "npu")
"""What stands for accelerators in an affinity code: Ascend's, and all others."""

INDEX_KEY = "cuda_idx"
"""The index of a device in the dictionaries of rlpyt 0.1."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@final
@dataclass(frozen=True, kw_only=True)
class VisibleDevices:
    """The accelerators that this process may use."""

    letters: str  # in an affinity code
    count: int
    instances: tuple[str, ...] = ()  # names of MIG instances, where parts of GPUs are visible


def visible_devices(environ: Mapping[str, str] | None = None) -> VisibleDevices:
    """What is here; ``environ`` stands in for this process's environment variables.

    MIG instances are those that ``CUDA_VISIBLE_DEVICES`` names: a process that sees several uses
    only the first, so that torch does not count them.
    """
    names = (os.environ if environ is None else environ).get(_VISIBLE, "").split(",")
    kind = resolve_device("auto").type
    return VisibleDevices(
        letters="npu" if kind == "npu" else "gpu",
        count=0 if kind == "cpu" else torch.accelerator.device_count(),
        instances=tuple(name.strip() for name in names if name.strip().startswith("MIG-")),
    )


def device_name(letters: str, index: int | None) -> str:
    """For :func:`~rlpyt.utils.device.resolve_device`: ``cuda:1``, ``npu:0``; no index: ``cpu``.

    A ``gpu`` is what torch calls the accelerators of this machine, and ``cuda`` where it has none.
    """
    if index is None:
        return "cpu"
    here = torch.accelerator.current_accelerator(check_available=True)
    others = "cuda" if here is None or here.type == "npu" else here.type
    return f"{'npu' if letters == 'npu' else others}:{index}"


def instance_environment(instance: str) -> dict[str, str]:
    """The environment variables of a process that uses this MIG instance alone, as device 0."""
    return {_VISIBLE: instance}
