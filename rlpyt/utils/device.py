"""The device layer: the one place where a kind of accelerator is named and chosen.

Everything else takes a ``torch.device`` and asks :mod:`torch.accelerator`.
"""

import importlib
import importlib.metadata
import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import distributed

from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.cpus import Cpus, usable_cpus
from rlpyt.utils.errors import RlpytError

__all__ = [
    "DEVICE_NAMES",
    "DEVICE_VARIABLES",
    "Accelerator",
    "Devices",
    "can_pin",
    "collective_backend",
    "describe_devices",
    "device_model",
    "pinned_like",
    "rank_device",
    "resolve_device",
    "torch_build",
]

DEVICE_NAMES = "auto, cpu, cuda, cuda:1, npu, npu:0, mps, ..."
"""What a user can write, by example, for help pages."""

DEVICE_VARIABLES = ("ASCEND_RT_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES")
"""Environment variables that say which accelerators there are, and how they compute."""

_NPU_PACKAGE = "torch_npu"
# By device type. What torch has registered comes second: torch_npu registers lccl before hccl, and
# torch 2.13 keeps the first.
_COLLECTIVES = {"cpu": "gloo", "cuda": "nccl", "npu": "hccl", "xpu": "xccl"}


def resolve_device(name: str) -> torch.device:
    """The device that a user names.

    Args:
        name: ``"auto"``, this machine's accelerator where it has one, else the CPU; ``"cpu"``; or
            any other device type that torch knows, with or without an index: ``"cuda"``,
            ``"cuda:1"``, ``"npu:0"``, ``"mps"``. Ascend's ``npu`` is added to torch by the package
            torch_npu, which is imported here, and only if it is needed.

    Raises:
        RlpytError: for a device that is unknown or not here, with what to install.
    """
    if name == "auto":
        return _best_device()
    kind, _, index = name.partition(":")
    if kind == "npu":
        _load_npu()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        hint = f"use one of: {DEVICE_NAMES}"
        raise RlpytError("device", f"unknown device {name!r}", hint=hint) from error
    if kind != "cpu" and kind != _accelerator_type():
        where, hint = f"here: {_here()}", _remedy(kind)
        raise RlpytError("device", f"{name!r} is not here", where=where, hint=hint)
    count = 1 if kind == "cpu" else torch.accelerator.device_count()
    if index and int(index) >= count:  # of the name: torch takes it modulo 256
        what = f"{name!r} is not here: this machine has {_counted(count, kind)}"
        raise RlpytError("device", what, where=f"here: {_here()}", hint="the first has index 0")
    return torch.device("cpu") if kind == "cpu" else device


def rank_device(device: torch.device, local_rank: int) -> torch.device:
    """The device of one process of a group.

    Args:
        device: what all of them were given.
        local_rank: the process's number among those on this machine, from 0.

    Returns:
        The CPU, for all the same; else the accelerator of index ``local_rank``.

    Raises:
        RlpytError: for more ranks than accelerators, and where several would share one.
    """
    if device.type == "cpu":
        return device
    if device != torch.device(device.type):  # it has an index
        if local_rank > 0:
            what = f"{device} is one device, and there are several ranks"
            hint = f"write {device.type!r} without an index: each rank takes its own"
            raise RlpytError("device", what, where=f"local rank {local_rank}", hint=hint)
        return device
    count = torch.accelerator.device_count()
    if local_rank >= count:
        what = f"{local_rank + 1} ranks on this machine, for {_counted(count, device.type)}"
        hint = f"start {count} here, or use the device 'cpu'"
        raise RlpytError("device", what, where=f"here: {_here()}", hint=hint)
    return torch.device(device.type, local_rank)


def collective_backend(device: torch.device) -> str:
    """The ``torch.distributed`` backend for tensors on ``device``, such as ``"gloo"``.

    Raises:
        RlpytError: where torch has none for it, or was built without.
    """
    kind = device.type
    backend = _COLLECTIVES.get(kind) or _registered_collective(kind)
    if not backend:
        what = f"torch.distributed has no backend for {kind}"
        raise RlpytError("device", what, hint="use one process, or several with the device 'cpu'")
    if not _has_collective(backend):
        what = f"this torch ({torch.__version__}) is built without {backend}, which {kind} needs"
        hint = "install a build that has it, use one process, or several with the device 'cpu'"
        raise RlpytError("device", what, hint=hint)
    return backend


def can_pin() -> bool:
    """Whether there is page-locked memory, which an accelerator reads without a copy in between.

    Not every backend of torch has it.
    """
    if _accelerator_type() is None:
        return False
    try:
        torch.empty(1, pin_memory=True)
    except RuntimeError:
        return False
    return True


def pinned_like(tree: Any) -> Any:
    """Tensors of the same shapes and dtypes, in page-locked memory where that is to be had."""
    pin = can_pin()
    return buffer_map(lambda leaf: torch.empty(leaf.shape, dtype=leaf.dtype, pin_memory=pin), tree)


@final
@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One accelerator of this machine."""

    name: str  # for resolve_device
    model: str  # as its driver calls it; "" where torch does not tell
    memory_bytes: int | None  # in all; None where torch does not tell
    free_bytes: int | None


@final
@dataclass(frozen=True, kw_only=True)
class Devices:
    """What there is to compute on, in this process."""

    auto: str  # what the name "auto" stands for; "" where that fails
    cpus: Cpus
    accelerators: tuple[Accelerator, ...]
    torch_version: str
    torch_build: str  # the accelerator that torch was built for
    extensions: dict[str, str]  # packages that add devices to torch: version; "" if not installed
    collectives: dict[str, bool]  # each backend of torch.distributed: whether it is here
    problem: str  # why "auto" fails; "" where it does not
    remedies: dict[str, str]  # where there is no accelerator: by device type, how to get one


def describe_devices() -> Devices:
    """Look at what this machine has. Imports torch_npu where :func:`resolve_device` would."""
    auto, problem = "", ""
    try:
        auto = str(_best_device())
    except RlpytError as error:
        problem = str(error)
    kind = _accelerator_type()
    count = 0 if kind is None else torch.accelerator.device_count()
    return Devices(
        auto=auto,
        cpus=usable_cpus(),
        accelerators=tuple(_describe(torch.device(str(kind), index)) for index in range(count)),
        torch_version=torch.__version__,
        torch_build=torch_build(),
        extensions={_NPU_PACKAGE: _npu_version()},
        collectives={name: _has_collective(name) for name in _COLLECTIVES.values()},
        problem=problem,
        remedies={} if count else {name: _remedy(name) for name in ("cuda", "npu", "mps", "xpu")},
    )


def device_model(device: torch.device) -> str:
    """As its driver calls it; "" for the CPU, and where torch does not tell."""
    if device.type == "cpu":
        return ""
    get_name = getattr(torch.get_device_module(device), "get_device_name", None)
    return "" if get_name is None else str(get_name(device.index))


def _describe(device: torch.device) -> Accelerator:
    memory: tuple[int | None, int | None] = (None, None)
    with suppress(RuntimeError):  # a backend may have neither a name nor this
        memory = torch.accelerator.get_memory_info(device)
    return Accelerator(
        name=str(device),
        model=device_model(device),
        free_bytes=memory[0],
        memory_bytes=memory[1],
    )


def _best_device() -> torch.device:
    if _accelerator_type() is None and importlib.util.find_spec(_NPU_PACKAGE) is not None:
        _load_npu()
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if accelerator is None else accelerator


def _load_npu() -> None:
    """Let torch_npu add ``npu`` to torch. Does nothing a second time."""
    if importlib.util.find_spec(_NPU_PACKAGE) is None:
        what = f"'npu' needs the package {_NPU_PACKAGE}, which is not installed"
        raise RlpytError("device", what, where=f"here: {_here()}", hint=_remedy("npu"))
    try:
        importlib.import_module(_NPU_PACKAGE)
    except (ImportError, OSError, RuntimeError) as error:  # the last: torch has another accelerator
        cause = str(error).strip().partition("\n")[0]
        what = f"{_NPU_PACKAGE} cannot be imported: {type(error).__name__}: {cause}"
        hint = f"is it made for torch {torch.__version__}? is CANN's set_env.sh sourced?"
        raise RlpytError("device", what, hint=f"{hint} Or use the device 'cpu'") from error


def _accelerator_type() -> str | None:
    """The type of this machine's accelerator; None where it has none, or no driver for it."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return None if accelerator is None else accelerator.type


def _here() -> str:
    kind = _accelerator_type()
    if kind is None:
        return "cpu"
    count = torch.accelerator.device_count()
    return f"cpu, {kind}:0" if count == 1 else f"cpu, {kind}:0 to {kind}:{count - 1}"


def _counted(count: int, kind: str) -> str:
    return f"{count} {kind} device{'s' * (count != 1)}"


def _remedy(kind: str) -> str:
    """How to get an accelerator of this type, or what to look at where its software is here."""
    accelerator = torch.accelerator.current_accelerator()
    is_built = accelerator is not None and accelerator.type == kind
    if kind == "cuda" and is_built:
        return "torch is built for it but finds no GPU: see nvidia-smi, and CUDA_VISIBLE_DEVICES"
    if kind == "npu" and is_built:
        return f"{_NPU_PACKAGE} finds no NPU: see npu-smi info, and ASCEND_RT_VISIBLE_DEVICES"
    release = torch.__version__.partition("+")[0]
    return {
        "cuda": "install a CUDA (or ROCm) build of torch: https://pytorch.org/get-started/locally",
        "npu": f"pip install {_NPU_PACKAGE}, in the version made for torch {release}, "
        "and Ascend's CANN",
        "mps": "it takes macOS on Apple silicon",
        "xpu": "install an XPU build of torch, and Intel's driver",
    }.get(kind, "is the package that adds it to torch installed and imported?")


def torch_build() -> str:
    """The accelerator that torch was built for, such as ``"CUDA 12.6"``."""
    versions = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip, "XPU": torch.version.xpu}
    built = [f"{name} {version}" for name, version in versions.items() if version is not None]
    if torch.backends.mps.is_built():
        built.append("MPS")
    return ", ".join(built) or "CPU only"


def _npu_version() -> str:
    try:
        return importlib.metadata.version(_NPU_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "" if importlib.util.find_spec(_NPU_PACKAGE) is None else "of unknown version"


def _registered_collective(kind: str) -> str:
    """The backend that an extension of torch has registered for its devices; "" for none."""
    if not distributed.is_available():
        return ""
    backend = distributed.Backend.default_device_backend_map.get(kind, "")
    # The map has mps: gloo, which gloo cannot do.
    return backend if kind in distributed.Backend.backend_capability.get(backend, []) else ""


def _has_collective(backend: str) -> bool:
    return distributed.is_available() and distributed.is_backend_available(backend)
