"""Launching many runs: which CPUs and devices each has, and what is different about each."""

from rlpyt.launch.affinity import (
    affinity_from_code,
    decode_affinity,
    encode_affinity,
    get_n_run_slots,
    make_affinity,
    prepend_run_slot,
    quick_affinity_code,
    remove_run_slot,
)
from rlpyt.launch.code import AffinityCode
from rlpyt.launch.slot import (
    Affinity,
    AsyncAffinity,
    BaseAffinity,
    OptimizerAffinity,
    SyncAffinity,
)

__all__ = [
    "Affinity",
    "AffinityCode",
    "AsyncAffinity",
    "BaseAffinity",
    "OptimizerAffinity",
    "SyncAffinity",
    "affinity_from_code",
    "decode_affinity",
    "encode_affinity",
    "get_n_run_slots",
    "make_affinity",
    "prepend_run_slot",
    "quick_affinity_code",
    "remove_run_slot",
]
