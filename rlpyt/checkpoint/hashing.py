"""One number for a set of tensors: equal where names, dtypes, shapes and all bits are equal."""

import hashlib
import json
from collections.abc import Mapping

from torch import Tensor

from rlpyt.checkpoint.arrays import tensor_bytes

__all__ = ["state_hash"]


def state_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hexadecimal, over names (sorted), dtypes, shapes and raw bytes of ``tensors``.

    Independent of order, device and memory layout. Two NaNs with different bits differ, as do 0.0
    and -0.0.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
