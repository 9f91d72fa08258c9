"""The safetensors file: named tensors without code.

Written here rather than by the safetensors library, so that one pass over the memory writes and
hashes it, nothing is held twice, tensors may share memory, and a full disk is an ``OSError``. Read
by the library.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rlpyt.utils.errors import RlpytError

__all__ = ["DTYPE_NAMES", "array_chunks", "read_arrays", "tensor_bytes"]

DTYPE_NAMES: Mapping[torch.dtype, str] = MappingProxyType(
    {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
    }
)
"""The dtypes that every supported release of safetensors reads, by their names in the file."""

_MAX_HEADER = 16 * 2**20  # bytes; about 150,000 arrays
_LENGTH_BYTES = 8
_ALIGNMENT = 8
_PIECE = 2**24  # bytes: a write that can be given up ends after so many


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The elements of ``tensor`` in C order; no copy if it is contiguous and on the CPU."""
    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    if plain.numel() < 2:  # one element or none counts as contiguous whatever its stride
        plain = plain.clone(memory_format=torch.contiguous_format).as_strided(plain.shape, (1,))
    return plain.view(torch.uint8).numpy().data


def _header(names: list[str], arrays: Mapping[str, Tensor]) -> bytes:
    offset = 0
    entries = {}
    for name in names:
        array = arrays[name]
        end = offset + array.nbytes
        entries[name] = {
            "dtype": DTYPE_NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > _MAX_HEADER:
        raise RlpytError(
            "checkpoint",
            f"{len(names)} arrays need a header of {len(text)} bytes; {_MAX_HEADER} is the most",
            hint="keep lists of numbers in one array",
        )
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def array_chunks(arrays: Mapping[str, Tensor]) -> tuple[int, Iterator[bytes | memoryview]]:
    """The size in bytes of the file that holds ``arrays``, and its content piece by piece.

    Wide dtypes come first, so that every array is aligned in the file.

    Raises:
        RlpytError: ``checkpoint``, if there are too many arrays for one header.
    """
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header = _header(names, arrays)

    def chunks() -> Iterator[bytes | memoryview]:
        yield header
        for name in names:
            content = tensor_bytes(arrays[name])
            for start in range(0, len(content), _PIECE):
                yield content[start : start + _PIECE]

    return len(header) + sum(array.nbytes for array in arrays.values()), chunks()


def read_arrays(path: Path) -> dict[str, Tensor]:
    """The arrays in the file at ``path``, in memory of their own.

    Raises:
        RlpytError: ``checkpoint``, for anything but a safetensors file with a header of reasonable
            size.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - _LENGTH_BYTES):
        raise _not_safetensors(path, f"its header would be {length} bytes long")
    try:
        mapped = load_file(path)
    except SafetensorError as error:
        raise _not_safetensors(path, str(error)) from error
    # Out of the mapped file: an array that lives on must not keep a deleted checkpoint on disk.
    return {name: array.clone() for name, array in mapped.items()}


def _not_safetensors(path: Path, why: str) -> RlpytError:
    return RlpytError(
        "checkpoint",
        f"{path.name} is not a safetensors file: {why}; pickle is not a supported format",
        where=str(path),
    )
