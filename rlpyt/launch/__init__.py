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
from rlpyt.launch.experiments import launch_experiment, run_experiments
from rlpyt.launch.grid import Grid, GridRun, grid
from rlpyt.launch.launched import LaunchedRun
from rlpyt.launch.launcher import Launcher
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import QueuedRun, RunSpec
from rlpyt.launch.slot import (
    Affinity,
    AsyncAffinity,
    BaseAffinity,
    OptimizerAffinity,
    SyncAffinity,
)
from rlpyt.launch.variant import (
    VariantLevel,
    apply_variant,
    load_variant,
    make_variants,
    save_variant,
    update_config,
)

__all__ = [
    "Affinity",
    "AffinityCode",
    "AsyncAffinity",
    "BaseAffinity",
    "Grid",
    "GridRun",
    "LaunchedRun",
    "Launcher",
    "OptimizerAffinity",
    "Queue",
    "QueuedRun",
    "RunSpec",
    "SyncAffinity",
    "VariantLevel",
    "affinity_from_code",
    "apply_variant",
    "decode_affinity",
    "encode_affinity",
    "get_n_run_slots",
    "grid",
    "launch_experiment",
    "load_variant",
    "make_affinity",
    "make_variants",
    "prepend_run_slot",
    "quick_affinity_code",
    "remove_run_slot",
    "run_experiments",
    "save_variant",
    "update_config",
]
