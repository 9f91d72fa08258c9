"""Two batches in shared memory: one is filled while the other is learned from."""

from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.data import Samples
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.shared_memory import SharedBlock

__all__ = ["DoubleBuffer", "Handover"]


class _Contents(NamedArrayTuple):
    even: Samples
    odd: Samples
    filled: Tensor  # int64 [1]: batches that may be read


class Handover(NamedTuple):
    """The layout of a buffer whose descriptor follows."""

    layout: Any


@final
class DoubleBuffer:
    """The batch of iteration ``itr`` is in half ``itr % 2``."""

    def __init__(self, block: SharedBlock) -> None:
        """Work on ``block``; :meth:`allocate` makes a new one."""
        self.block = block
        contents: _Contents = block.tree
        self.halves = (contents.even, contents.odd)
        self._filled = contents.filled.numpy()

    @staticmethod
    def allocate(samples: Samples) -> "DoubleBuffer":
        """Room for two batches like ``samples`` [T, B]."""
        meta = buffer_map(lambda leaf: torch.empty_like(leaf, device="meta"), samples)
        filled = torch.empty(1, dtype=torch.int64, device="meta")
        block = SharedBlock.allocate(_Contents(meta, meta, filled), "two batches of samples")
        return DoubleBuffer(block)

    @staticmethod
    def attach(handover: Handover, pipe: Connection) -> "DoubleBuffer":
        """The buffer of another process, whose descriptor comes through ``pipe``."""
        block = SharedBlock(reduction.recv_handle(pipe), handover.layout)
        block.close()  # what is mapped needs no descriptor
        return DoubleBuffer(block)

    @property
    def filled(self) -> int:
        """How many batches may have been read."""
        return int(self._filled[0])

    @filled.setter
    def filled(self, count: int) -> None:
        """Let others read so many."""
        self._filled[0] = count

    def write(self, itr: int, samples: Samples) -> None:
        """Copy the batch of ``itr``; final observations only where they mean something."""
        half = self.halves[itr % 2]
        rest = samples._replace(final_observation=None)
        for to, leaf in zip(
            leaves(half._replace(final_observation=None)), leaves(rest), strict=True
        ):
            to.copy_(leaf)
        meant = _meant(samples)
        for to, leaf in zip(
            leaves(half.final_observation), leaves(samples.final_observation), strict=True
        ):
            to[meant] = leaf[meant]

    def copied(self, itr: int) -> Samples:
        """The batch of ``itr``, the same for the same run: final observations are zero where they
        mean nothing.
        """
        half = self.halves[itr % 2]
        copy: Samples = buffer_map(torch.clone, half)
        for leaf in leaves(copy.final_observation):
            leaf[~_meant(half)] = 0
        return copy


def _meant(samples: Samples) -> Tensor:
    """Where final observations mean something, bool [T, B]."""
    meant = samples.done
    meant[-1] = True
    return meant
