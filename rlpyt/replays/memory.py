"""The memory of a replay: one dict of arrays, in ordinary memory, in shared memory, or in a file.

Nothing is written before it is needed: pages take memory when data comes. Shared memory and the
file have no name, so that nothing is left behind, however the process ends.
"""

import math
import mmap
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import numpy as np

from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import anonymous_file, available_memory, readable

__all__ = ["Array", "ArraySpec", "ReplayMemory", "forecast_bytes", "parts_of"]

Array: TypeAlias = np.ndarray[Any, Any]
"""A numpy array of any shape and dtype."""

_ALIGNMENT = 4096  # bytes: a page, so that no two arrays share one


@final
@dataclass(frozen=True)
class ArraySpec:
    """One array: shape and dtype, and how much of it is in use."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    # Name of the count of leading entries in use; "" where that is all of them.
    filled: str = "rows"
    # Room for the worst case, of which little is ever used: takes addresses, hardly memory.
    sparse: bool = False
    # [B, rows, ...], each environment's rows together; "filled" counts rows.
    by_env: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of all entries."""
        return math.prod(self.shape) * self.dtype.itemsize


def parts_of(name: str, spec: ArraySpec, array: Array) -> dict[str, Array]:
    """``array``, by name, in parts whose leading entries are those that count as filled."""
    if spec.by_env:
        return {f"{name}/{b}": rows for b, rows in enumerate(array)}
    return {name: array}


def forecast_bytes(specs: Iterable[ArraySpec]) -> int:
    """Bytes that the arrays take when full, without the sparse ones."""
    return sum(spec.nbytes for spec in specs if not spec.sparse)


@final
class ReplayMemory:
    """Zeroed arrays for ``specs``, by name, in ``arrays``, which stay as long as they are used.

    Args:
        specs: what to allocate.
        share: in memory that other processes can map, by the descriptor ``fd``.
        directory: in a file there, for more than the machine's memory.
        fd: map what the process of this descriptor allocated for the same specs.

    Raises:
        RlpytError: ``memory``, with both numbers, where more is needed than is free.
    """

    def __init__(
        self,
        specs: Mapping[str, ArraySpec],
        *,
        share: bool = False,
        directory: Path | None = None,
        fd: int | None = None,
    ) -> None:
        needed = forecast_bytes(specs.values())
        if fd is None:
            _check_free(needed, directory)
        in_file = {
            name: spec
            for name, spec in specs.items()
            if spec.sparse or share or directory is not None or fd is not None
        }
        size = max(1, sum(_aligned(spec.nbytes) for spec in in_file.values()))
        try:
            self.fd = anonymous_file(size, "rlpyt-replay", directory) if fd is None else os.dup(fd)
            weakref.finalize(self, os.close, self.fd)
            self._map = mmap.mmap(self.fd, size)
            self.arrays = {
                name: np.zeros(spec.shape, spec.dtype)
                for name, spec in specs.items()
                if name not in in_file
            }
        except (OSError, MemoryError, ValueError) as error:
            hint = "use a smaller replay (size), or memory_map=<directory>"
            what = f"the replay's {readable(needed)} cannot be mapped: {error}"
            raise RlpytError("memory", what, hint=hint) from error
        offset = 0
        for name, spec in in_file.items():
            self.arrays[name] = self._array(spec, offset)
            offset += _aligned(spec.nbytes)

    def _array(self, spec: ArraySpec, offset: int) -> Array:
        count = math.prod(spec.shape)
        if count == 0:
            return np.zeros(spec.shape, spec.dtype)
        flat = np.frombuffer(self._map, dtype=spec.dtype, count=count, offset=offset)
        return flat.reshape(spec.shape)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _check_free(needed: int, directory: Path | None) -> None:
    if directory is None:
        free, where = available_memory(), "of memory"
        hint = "use a smaller replay (size), FrameStorage, or memory_map=<directory>"
    else:
        try:
            status = os.statvfs(directory)
        except OSError as error:
            what = f"memory_map={str(directory)!r} is no directory that can be used: {error}"
            raise RlpytError("memory", what, hint="make it first") from error
        free, where = status.f_bavail * status.f_frsize, f"in {directory}"
        hint = "use a smaller replay (size), or a directory with more room"
    if free is not None and needed > free:
        what = f"the replay takes {readable(needed)}, {readable(free)} {where} are free"
        raise RlpytError("memory", what, hint=hint)
