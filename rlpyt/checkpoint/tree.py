"""A state tree, taken apart into named tensors and a JSON skeleton, and put together again exactly.

A *state tree* is what ``state_dict()`` returns: nested dicts (keys: str or int), lists, tuples and
NamedArrayTuples of torch tensors, numpy arrays, numpy scalars, int, float, bool, str and None.

In the skeleton None, booleans, strings, 64-bit integers, finite floats and lists stand for
themselves; everything else is an object whose first key says what it is: ``{"tuple": [...]}``,
``{"tensor": "agent/model/pi.0.weight"}``.
"""

import math
import struct
import sys
from collections import OrderedDict
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch
from torch import Tensor

from rlpyt.checkpoint.arrays import DTYPE_NAMES, tensor_bytes
from rlpyt.utils.collections import is_namedarraytuple, namedarraytuple
from rlpyt.utils.errors import RlpytError

__all__ = ["Json", "flatten", "unflatten"]

Json: TypeAlias = Any
"""None, bool, int, finite float, str, or lists and string-keyed dicts of these."""

_Path: TypeAlias = tuple[str, ...]
_MAX_DEPTH = 100  # far above any real state; a tree that contains itself ends here
_NUMPY_KINDS = "biufcmMSU"  # plain values: no objects, no structures
_RESERVED_NAMES = ("", "__metadata__")  # not possible as names in a safetensors file
_NUMPY_DTYPES = frozenset(map(np.dtype, ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?")))
_RAW_DTYPES = {  # kept as bytes: not every supported release of safetensors knows them
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.complex32,
        torch.complex64,
        torch.complex128,
        torch.uint16,
        torch.uint32,
        torch.uint64,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
    )
}


def flatten(state: Any) -> tuple[dict[str, Tensor], Json]:
    """Take ``state`` apart: tensors by key path (``agent/model/pi.0.weight``), and the skeleton.

    The tensors are on the CPU. Nothing is copied where it can be avoided: the tensors share memory
    with ``state``. A tensor that stands at two places is kept twice. Device, ``requires_grad`` and
    memory layout are not part of the state.

    Raises:
        RlpytError: ``checkpoint``, naming path and type of a node that is none of the supported
            ones.
    """
    arrays: dict[str, Tensor] = {}
    skeleton = _encode(state, (), arrays)
    return arrays, skeleton


def unflatten(arrays: dict[str, Tensor], skeleton: Json, *, where: str = "") -> Any:
    """Put together what :func:`flatten` took apart: types, dtypes, shapes, bits, order of keys.

    A NamedArrayTuple gets its own class back if the module that declares it is imported, and else
    one of the same name and fields: a checkpoint never makes Python import anything.
    ``nn.Parameter`` comes back as a tensor. ``where`` is the file it came from, for errors.

    Raises:
        RlpytError: ``checkpoint``, if skeleton and arrays do not belong together or are not of this
            format.
    """
    used: set[str] = set()
    try:
        state = _decode(skeleton, arrays, used)
    except (KeyError, TypeError, ValueError, RuntimeError, struct.error) as error:
        what = f"the state does not fit its arrays: {error!r}"
        raise RlpytError("checkpoint", what, where=where) from error
    unused = sorted(arrays.keys() - used)
    if unused:
        what = f"no part of the state refers to the arrays {unused[:5]}"
        raise RlpytError("checkpoint", what, where=where)
    return state


def _where(path: _Path) -> str:
    return "/".join(path) or "the top"


def _refuse(path: _Path, what: str) -> NoReturn:
    raise RlpytError(
        "checkpoint",
        f"cannot save {what}",
        where=f"state at {_where(path)}",
        hint="use tensors, arrays, numbers, strings, None, and dicts, lists and tuples of these",
    )


def _encode(node: Any, path: _Path, arrays: dict[str, Tensor]) -> Json:
    if len(path) > _MAX_DEPTH:
        _refuse(path[:5], f"a tree nested deeper than {_MAX_DEPTH} levels")
    kind = type(node)
    if node is None or kind is bool:
        return node
    if kind is int:
        return node if node.bit_length() < 64 else {"int": hex(node)}
    if kind is float:
        return node if math.isfinite(node) else {"float": struct.pack(">d", node).hex()}
    if kind is str:
        return _encode_text(node, path)
    if isinstance(node, Tensor):
        return _encode_tensor(node, path, arrays)
    if kind is np.ndarray:
        return _encode_array(node, path, arrays)
    if isinstance(node, np.generic) and node.dtype.kind in _NUMPY_KINDS:
        return {"scalar": node.dtype.str, "bytes": node.tobytes().hex()}
    return _encode_container(node, path, arrays)


def _encode_text(text: str, path: _Path) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(path, f"a string with a lone surrogate, {text!r}")
    return text


def _encode_container(node: Any, path: _Path, arrays: dict[str, Tensor]) -> Json:
    kind = type(node)
    if is_namedarraytuple(node):
        fields = {name: _encode(value, (*path, name), arrays) for name, value in node.items()}
        return {"namedarraytuple": [kind.__module__, kind.__name__], "fields": fields}
    if kind is list or kind is tuple:
        nodes = [_encode(value, (*path, str(i)), arrays) for i, value in enumerate(node)]
        return nodes if kind is list else {"tuple": nodes}
    if kind is dict:
        return _encode_dict(node, path, arrays)
    if kind is OrderedDict:
        return {"ordered": _encode_dict(node, path, arrays)}
    return _refuse(path, f"a {kind.__module__}.{kind.__qualname__}")


def _encode_dict(node: dict[Any, Any], path: _Path, arrays: dict[str, Tensor]) -> Json:
    items = []
    for key, value in node.items():
        if type(key) is not str and type(key) is not int:
            _refuse(path, f"a dict key {key!r} of type {type(key).__qualname__}, not str or int")
        inner = (*path, str(key))
        items.append([_encode(key, inner, arrays), _encode(value, inner, arrays)])
    if all(type(key) is str for key in node):
        return {"dict": dict(items)}
    return {"items": items}


def _add(tensor: Tensor, path: _Path, arrays: dict[str, Tensor]) -> str:
    """Name ``tensor`` by its path, or near it where two meet: keys ``0`` and ``"0"``, say."""
    stem = name = "/".join(path)
    count = 1
    while name in arrays or name in _RESERVED_NAMES:
        count += 1
        name = f"{stem}#{count}"
    arrays[name] = tensor
    return name


def _encode_tensor(tensor: Tensor, path: _Path, arrays: dict[str, Tensor]) -> Json:
    if type(tensor) not in (Tensor, torch.nn.Parameter):
        _refuse(path, f"a tensor subclass, {type(tensor).__module__}.{type(tensor).__qualname__}")
    if tensor.layout != torch.strided or tensor.is_meta:
        _refuse(path, f"a tensor with layout {tensor.layout} on device {tensor.device}")
    tensor = tensor.detach().cpu()
    if tensor.dtype in DTYPE_NAMES:
        return {"tensor": _add(tensor, path, arrays)}
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _RAW_DTYPES:
        _refuse(path, f"a tensor of dtype {tensor.dtype}")
    raw = torch.from_numpy(np.asarray(tensor_bytes(tensor)))
    return {"tensor": _add(raw, path, arrays), "dtype": dtype, "shape": list(tensor.shape)}


def _encode_array(array: np.ndarray[Any, Any], path: _Path, arrays: dict[str, Tensor]) -> Json:
    dtype = array.dtype
    if dtype.kind not in _NUMPY_KINDS:
        _refuse(path, f"a numpy array of dtype {dtype}")
    if dtype in _NUMPY_DTYPES:
        # torch takes neither negative strides nor read-only memory
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        return {"array": _add(tensor, path, arrays)}
    raw = torch.from_numpy(np.array(bytearray(array.tobytes()), dtype=np.uint8))
    return {"array": _add(raw, path, arrays), "dtype": dtype.str, "shape": list(array.shape)}


def _decode(node: Json, arrays: dict[str, Tensor], used: set[str]) -> Any:
    match node:
        case None | bool() | int() | float() | str():
            return node
        case list():
            return [_decode(value, arrays, used) for value in node]
        case {"tuple": list(nodes)}:
            return tuple(_decode(value, arrays, used) for value in nodes)
        case {"dict": dict(nodes)}:
            return {key: _decode(value, arrays, used) for key, value in nodes.items()}
        case {"items": list(pairs)}:
            return {
                _decode(key, arrays, used): _decode(value, arrays, used) for key, value in pairs
            }
        case {"ordered": inner}:
            return OrderedDict(_decode(inner, arrays, used))
        case {"namedarraytuple": [str(module), str(name)], "fields": dict(nodes)}:
            fields = {key: _decode(value, arrays, used) for key, value in nodes.items()}
            return _named(module, name, fields)
    return _decode_leaf(node, arrays, used)


def _decode_leaf(node: Json, arrays: dict[str, Tensor], used: set[str]) -> Any:
    match node:
        case {"int": str(digits)}:
            return int(digits, 16)
        case {"float": str(bits)}:
            return struct.unpack(">d", bytes.fromhex(bits))[0]
        case {"scalar": str(dtype), "bytes": str(data)}:
            return np.ndarray((), _numpy_dtype(dtype), bytes.fromhex(data))[()]
        case {"tensor": str(name), "dtype": str(dtype), "shape": list(shape)}:
            used.add(name)
            return arrays[name].view(_RAW_DTYPES[dtype]).reshape(shape)
        case {"tensor": str(name)}:
            used.add(name)
            return arrays[name]
        case {"array": str(name), "dtype": str(dtype), "shape": list(shape)}:
            used.add(name)
            return np.ndarray(shape, _numpy_dtype(dtype), arrays[name].numpy())
        case {"array": str(name)}:
            used.add(name)
            return arrays[name].numpy()
    raise ValueError(f"unknown node {str(node)[:80]}")


def _numpy_dtype(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in _NUMPY_KINDS:
        raise ValueError(f"numpy dtype {name!r} is not a plain value")
    return dtype


def _named(module: str, name: str, fields: dict[str, Any]) -> Any:
    """The struct ``module.name``, looked up only among what is imported; else an equal one."""
    declared = vars(sys.modules[module]).get(name) if module in sys.modules else None
    struct_class = namedarraytuple(name, fields)
    if (
        isinstance(declared, type)
        and issubclass(declared, tuple)
        and declared.__getitem__ is struct_class.__getitem__
        and vars(declared).get("_fields") == tuple(fields)
    ):
        struct_class = declared
    return struct_class._make(fields.values())
