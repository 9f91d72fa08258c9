"""Replays: past transitions and sequences, sampled uniformly or by priority."""

from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.replays.frames import FrameStorage
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.replays.storage import ArrayStorage, Storage
from rlpyt.replays.sum_tree import SumTree
from rlpyt.replays.tasks import TaskReplay, TaskTransitions

__all__ = [
    "ArrayStorage",
    "FrameStorage",
    "Prioritized",
    "ReplayBuffer",
    "ReplaySamples",
    "ReplaySequences",
    "Storage",
    "SumTree",
    "TaskReplay",
    "TaskTransitions",
]
