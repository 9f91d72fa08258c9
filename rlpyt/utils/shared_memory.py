"""Shared memory without a name: nothing in /dev/shm to fill it, to leak, or to clean up.

A :class:`SharedBlock` is one anonymous file, mapped by every process that is handed its descriptor.
It goes when the last of them does.
"""

import math
import mmap
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.errors import RlpytError

__all__ = ["LeafSpec", "SharedBlock", "anonymous_file", "available_memory", "readable"]

_ALIGNMENT = 64  # bytes: a cache line, and what vector instructions like


@final
@dataclass(frozen=True)
class LeafSpec:
    """Where a tensor lies in a block."""

    offset: int  # bytes
    shape: tuple[int, ...]
    dtype: torch.dtype


@final
class SharedBlock:
    """Zeroed memory that several processes see, and the tree of tensors laid out in it.

    ``layout`` is the tree with a :class:`LeafSpec` for each leaf; it pickles. Another process
    attaches with the descriptor and the layout: ``SharedBlock(fd, layout)``.
    """

    def __init__(self, fd: int, layout: Any) -> None:
        """Map ``fd``, which is the block's from now on; :meth:`allocate` makes a new one."""
        self.fd = fd
        self.layout = layout
        self._map = mmap.mmap(fd, _size(layout))
        self.tree = buffer_map(self._tensor, layout)

    @staticmethod
    def allocate(example: Any, what: str) -> "SharedBlock":
        """A block for the leaves of ``example`` (tensors, also on the meta device).

        Raises:
            RlpytError: ``memory``, with the numbers, where the machine has less than it takes;
                ``what`` names it.
        """
        layout = _lay_out(example)
        size = _size(layout)
        free = available_memory()
        if free is not None and size > free:
            raise RlpytError(
                "memory",
                f"{what} takes {readable(size)} of memory, {readable(free)} are free",
                hint="use fewer environments (sampler.batch_B) or steps (sampler.batch_T)",
            )
        _check_temporary(size, what)
        fd = anonymous_file(size, "rlpyt")
        try:
            return SharedBlock(fd, layout)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Give up the descriptor; the memory stays as long as tensors in it do."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _tensor(self, spec: LeafSpec) -> Tensor:
        count = math.prod(spec.shape)
        if count == 0:
            return torch.zeros(spec.shape, dtype=spec.dtype)
        flat = torch.frombuffer(self._map, dtype=spec.dtype, count=count, offset=spec.offset)
        return flat.reshape(spec.shape)


def _lay_out(example: Any) -> Any:
    end = 0

    def place(leaf: Tensor) -> LeafSpec:
        nonlocal end
        spec = LeafSpec(end, tuple(leaf.shape), leaf.dtype)
        size = leaf.numel() * leaf.dtype.itemsize
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
        return spec

    return buffer_map(place, example)


def _size(layout: Any) -> int:
    ends = (spec.offset + math.prod(spec.shape) * spec.dtype.itemsize for spec in leaves(layout))
    return max(1, max(ends, default=1))


def anonymous_file(size: int, name: str, directory: Path | None = None) -> int:
    """The descriptor of a file without a name, of ``size`` zero bytes that take no room yet; in
    ``directory``, or in memory, where the system has no such files in its temporary directory.
    ``name`` is what tools show of it.
    """
    if directory is None and sys.platform == "linux":
        # Bounded by memory alone, not by how /dev/shm is mounted.
        fd = os.memfd_create(name, os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile(dir=directory) as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd


def _check_temporary(size: int, what: str) -> None:
    """Raise where blocks are files of a temporary directory that has no room for one."""
    if sys.platform != "linux":
        directory = tempfile.gettempdir()
        status = os.statvfs(directory)
        free = status.f_bavail * status.f_frsize
        if size > free:
            raise RlpytError(
                "memory",
                f"{what} takes {readable(size)}, {readable(free)} are free in {directory}",
                hint="set TMPDIR to a directory with more room",
            )


def available_memory(proc: Path = Path("/proc")) -> int | None:
    """Bytes that processes can still have, by the kernel's estimate; None where it gives none."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def readable(size: int) -> str:
    """``size`` in bytes as people say it: ``7.1 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
