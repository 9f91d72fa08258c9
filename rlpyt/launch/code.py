"""Affinity codes such as ``16cpu_8gpu_2gpr_24hto_2skt``: how many runs share a machine, and how."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, NoReturn, final

from rlpyt.utils.device_slots import ACCELERATOR_LETTERS
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["RUN_SLOT", "AffinityCode", "counted", "parsed_code"]

RUN_SLOT = "slt"
"""The letters of a run slot, before the code."""

_LETTERS: Mapping[str, str] = MappingProxyType(
    {
        "cpu": "n_cpu_core",
        **dict.fromkeys(ACCELERATOR_LETTERS, "n_gpu"),
        "cxg": "contexts_per_gpu",
        "mig": "instances_per_gpu",
        "gpr": "gpu_per_run",
        "cpr": "cpu_per_run",
        "cpw": "cpu_per_worker",
        "hto": "hyperthread_offset",
        "skt": "n_socket",
        "res": "cpu_reserved",
        "ass": "async_sample",
        "sgr": "sample_gpu_per_run",
        "oss": "optim_sample_share_gpu",
        "alt": "alternating",
        "saf": "set_affinity",
        "off": "first_cpu",
    }
)
"""Letters to field, in the order of writing."""

_FLAGS = ("async_sample", "optim_sample_share_gpu", "alternating", "set_affinity")
_FROM_ZERO = ("n_gpu", "hyperthread_offset", "cpu_reserved", "sample_gpu_per_run", "first_cpu")


@final
@dataclass(frozen=True, kw_only=True)
class AffinityCode:
    """How a machine is divided into run slots; as text (``str``) the code that rlpyt 0.1 has.

    Of each run's cores ``cpu_reserved`` are not for workers. A run that samples asynchronously has
    the reserved ones, at least 1, for each device that it learns on.

    Raises:
        RlpytError: ``affinity``, for numbers that do not go together.
    """

    n_cpu_core: int = 1  # cores to use in all; not counting hyperthreads
    n_gpu: int = 0  # accelerators to use in all
    contexts_per_gpu: int = 1  # runs that share an accelerator
    gpu_per_run: int = 1  # to learn on
    cpu_per_run: int = 1  # cores; where there are accelerators, these divide the cores
    cpu_per_worker: int = 1  # cores; more than 1 for environments with threads of their own
    cpu_reserved: int = 0  # cores
    hyperthread_offset: int  # CPU c and CPU c + this are one core; 0: hyperthreads are not used
    n_socket: int = 1
    async_sample: bool = False
    sample_gpu_per_run: int = 0  # to sample on; 0: the CPU
    optim_sample_share_gpu: bool = False  # sample on those to learn on
    alternating: bool = False  # twice the workers: for two groups of them, in turn
    set_affinity: bool = True  # False: nothing is pinned, only numbers count
    accelerator: str = ACCELERATOR_LETTERS[0]  # its letters
    instances_per_gpu: int = 1  # parts that MIG has made of each, of which a run has one
    first_cpu: int = 0  # the number of the first CPU

    def __post_init__(self) -> None:
        self._check_numbers()
        if self.n_gpu == 0:
            self._check_without_gpu()
        else:
            self._check_kinds()
        if self.n_run_slots < 1:
            total = self._gpus_of_run
            self.refuse(f"a run takes {total} of {counted(self.n_devices, 'device')}", "take fewer")
        if self.hyperthread_offset and self.hyperthread_offset < self.n_cpu_core:
            self.refuse(
                f"a hyperthread offset of {self.hyperthread_offset} with {self.n_cpu_core} cores: "
                "the hyperthread of one core is another core",
                f"use at most {self.hyperthread_offset} cores (hyperthreads are not counted), or "
                "0hto",
            )

    @property
    def n_devices(self) -> int:
        """Accelerators, or the parts that MIG has made of them."""
        return self.n_gpu * self.instances_per_gpu

    @property
    def n_run_slots(self) -> int:
        """Runs at a time."""
        if self.n_gpu == 0:
            return self.n_cpu_core // self.cpu_per_run
        return self.n_devices * self.contexts_per_gpu // self._gpus_of_run

    @property
    def _gpus_of_run(self) -> int:
        shared = self.optim_sample_share_gpu
        return self.gpu_per_run + (0 if shared else self.sample_gpu_per_run)

    def __str__(self) -> str:
        parts = [f"{self.n_cpu_core}cpu", f"{self.n_gpu}{self.accelerator}"]
        for letters, name in list(_LETTERS.items())[1 + len(ACCELERATOR_LETTERS) :]:
            value = getattr(self, name)
            if name == "cpu_per_run":
                is_written = self.n_gpu == 0
            elif name == "hyperthread_offset":
                is_written = value != self.n_cpu_core
            else:
                is_written = value != _DEFAULTS[name]
            if is_written:
                parts.append(f"{int(value)}{letters}")
        return "_".join(parts)

    def refuse(self, what: str, hint: str) -> NoReturn:
        """Raise: the code says what cannot be."""
        raise RlpytError("affinity", what, where=f"affinity code {self}", hint=hint)

    def _check_numbers(self) -> None:
        for letters, name in _LETTERS.items():
            value = getattr(self, name)
            if name in _FLAGS:
                good, needed = isinstance(value, bool), "True or False"
            else:
                least = 0 if name in _FROM_ZERO else 1
                is_int = isinstance(value, int) and not isinstance(value, bool)
                good, needed = is_int and value >= least, f"a whole number, {least} or more"
            if not good:
                what = f"{name}={value!r} ({letters}) takes {needed}"
                raise RlpytError("affinity", what, hint="give such a one, or leave it out")
        if self.accelerator not in ACCELERATOR_LETTERS:
            hint = did_you_mean(self.accelerator, ACCELERATOR_LETTERS)
            raise RlpytError("affinity", f"accelerator={self.accelerator!r}", hint=hint)

    def _check_without_gpu(self) -> None:
        need_gpu = ("contexts_per_gpu", "instances_per_gpu", "gpu_per_run", "async_sample")
        for name in (*need_gpu, "sample_gpu_per_run", "optim_sample_share_gpu"):
            if getattr(self, name) != _DEFAULTS[name]:
                hint = "leave it out; on CPUs any runner takes a code without it"
                self.refuse(f"{name} without an accelerator", hint)
        left = self.n_cpu_core % self.cpu_per_run
        if left:
            fewer = self.n_cpu_core - left or self.cpu_per_run
            what = f"{counted(self.n_cpu_core, 'core')} cannot be divided into runs of "
            self.refuse(f"{what}{self.cpu_per_run}", f"use {counted(fewer, 'core')}")

    def _check_kinds(self) -> None:
        if self.cpu_per_run != 1:
            self.refuse("cpu_per_run beside accelerators, which divide the cores", "leave it out")
        if not self.async_sample and (self.sample_gpu_per_run or self.optim_sample_share_gpu):
            name = "sample_gpu_per_run (sgr) and optim_sample_share_gpu (oss)"
            self.refuse(f"{name} are for asynchronous sampling", "add 1ass, or leave them out")
        if self.contexts_per_gpu > 1 and (self.async_sample or self.gpu_per_run > 1):
            hint = "leave out cxg, or ass and gpr"
            self.refuse("runs that share accelerators have one of them, synchronously", hint)
        if self.instances_per_gpu > 1:
            if self._gpus_of_run > 1:
                hint = "leave out gpr; for sampling on the part that is learned on, write 1oss"
                self.refuse("a run sees one part of a GPU only", hint)
            if self.accelerator != ACCELERATOR_LETTERS[0]:
                self.refuse(f"parts (mig) of an {self.accelerator}", "leave out mig")


_DEFAULTS = {field.name: field.default for field in fields(AffinityCode)}


def counted(number: int, noun: str) -> str:
    """``1 core``, ``2 cores``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def parsed_code(text: str) -> AffinityCode:
    """The code that ``text`` is.

    Raises:
        RlpytError: ``affinity``, for text that is none, and as :class:`AffinityCode` does.
    """
    values: dict[str, Any] = {}
    for part in text.split("_"):
        letters, value = _parsed_part(part, text)
        name = _LETTERS[letters]
        if name in values:
            raise RlpytError("affinity", f"{letters!r} a second time", where=_where(text, part))
        if name in _FLAGS:
            if value > 1:
                what = f"{part!r}: {letters} is 0 or 1"
                raise RlpytError("affinity", what, where=_where(text, part))
            values[name] = bool(value)
        else:
            values[name] = value
        if name == "n_gpu":
            values["accelerator"] = letters
    _check_parts(values, text)
    values.setdefault("hyperthread_offset", values["n_cpu_core"])
    return AffinityCode(**values)


def _parsed_part(part: str, text: str) -> tuple[str, int]:
    found = re.fullmatch(r"([0-9]{1,6})([a-z]{3})", part)
    if found is None:
        what = f"{part[:40]!r} is not a number and three letters"
        raise RlpytError("affinity", what, where=_where(text, part), hint="write 8cpu_2gpu")
    letters = found.group(2)
    if letters == RUN_SLOT:
        hint = "take it off with remove_run_slot, or decode with affinity_from_code"
        raise RlpytError("affinity", "a run slot in a code", where=_where(text, part), hint=hint)
    if letters not in _LETTERS:
        what, hint = f"unknown letters {letters!r}", did_you_mean(letters, _LETTERS)
        raise RlpytError("affinity", what, where=_where(text, part), hint=hint)
    return letters, int(found.group(1))


def _check_parts(values: Mapping[str, Any], text: str) -> None:
    hint = ""
    if "n_cpu_core" not in values:
        what, hint = "no number of cores", f"write 8cpu_{text}"
    elif not values.get("n_gpu") and "cpu_per_run" not in values:
        what = "neither accelerators nor cores for each run"
        hint = f"write {text}_1cpr for runs of one core"
    elif values.get("async_sample") and values.get("cpu_reserved") == 0:
        what = "an asynchronous run reserves at least a core for each device that it learns on"
        hint = "leave out 0res"
    else:
        return
    raise RlpytError("affinity", what, where=_where(text), hint=hint)


def _where(text: str, part: str = "") -> str:
    shown = text if len(text) <= 100 else f"{text[:100]}..."
    column = f", column {text.find(part) + 1}" if part else ""
    return f"affinity code {shown!r}{column}"
