"""Checkpoints: everything a run is, in files without code, written whole, verified on reading."""

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_checkpoint, read_manifest, write_checkpoint
from rlpyt.checkpoint.hashing import state_hash
from rlpyt.checkpoint.lock import RunLock
from rlpyt.checkpoint.manifest import FORMAT_VERSION, FileRecord, Manifest
from rlpyt.checkpoint.tree import flatten, unflatten

__all__ = [
    "FORMAT_VERSION",
    "Checkpointer",
    "FileRecord",
    "Manifest",
    "RunLock",
    "flatten",
    "read_checkpoint",
    "read_manifest",
    "state_hash",
    "unflatten",
    "write_checkpoint",
]
