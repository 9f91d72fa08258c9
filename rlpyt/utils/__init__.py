"""Foundations that every other package stands on: data structures, buffers, seeds, configuration,
devices.
"""

from rlpyt.utils.buffer import (
    buffer_from_example,
    buffer_map,
    buffer_to,
    get_leading_dims,
    infer_leading_dims,
    leaves,
    numpify_buffer,
    torchify_buffer,
)
from rlpyt.utils.collections import NamedArrayTuple, is_namedarraytuple, namedarraytuple
from rlpyt.utils.config import config_dict
from rlpyt.utils.cpus import CpuAffinity
from rlpyt.utils.device import resolve_device
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides
from rlpyt.utils.seed import Stream, generator, make_seed, seed_int

__all__ = [
    "CpuAffinity",
    "NamedArrayTuple",
    "RlpytError",
    "Stream",
    "apply_overrides",
    "buffer_from_example",
    "buffer_map",
    "buffer_to",
    "config_dict",
    "generator",
    "get_leading_dims",
    "infer_leading_dims",
    "is_namedarraytuple",
    "leaves",
    "make_seed",
    "namedarraytuple",
    "numpify_buffer",
    "resolve_device",
    "seed_int",
    "torchify_buffer",
]
