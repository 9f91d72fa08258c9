"""Minibatches of one on-policy batch: single steps for feed-forward models, whole sequences for
recurrent ones.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.data import BatchSpec
from rlpyt.utils.buffer import buffer_map, get_leading_dims
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state
from rlpyt.utils.world import World

__all__ = ["Shuffle", "channels_last_images", "minibatches"]


@final
class Shuffle:
    """Divides batches [T, B] into minibatches in random order, anew for each epoch.

    ``rng`` is where the order comes from: the algorithm's own generator, and part of its state.
    """

    def __init__(
        self, count: int, batch_spec: BatchSpec, *, sequences: bool, seed: int, world: World
    ) -> None:
        """``count`` minibatches of each epoch: of whole ``sequences``, or of single steps.

        Raises:
            RlpytError: ``config``, where a batch has fewer of them.
        """
        units = batch_spec.B if sequences else batch_spec.size
        if count > units:
            what = "whole sequences" if sequences else "steps"
            raise RlpytError(
                "config",
                f"algo.minibatches={count} is more than the {units} {what} of a batch",
                hint=f"use at most {units}, or more environments",
            )
        self._count, self._sequences = count, sequences
        self.rng = generator(seed, Stream.ALGO, *world.keys)

    def epoch(self, batch: Any, state: Any) -> Iterator[tuple[Any, Any]]:
        """As :func:`minibatches`."""
        return minibatches(batch, state, self._count, self.rng, sequences=self._sequences)

    def state_dict(self) -> dict[str, Any]:
        """The generator's state."""
        return generator_state(self.rng)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        load_generator_state(self.rng, state)


def channels_last_images(tree: Any) -> Any:
    """``tree`` [T, B, ...], its uint8 images [T, B, C, H, W] in memory as [T, B, H, W, C].

    A convolution wants them so; once for a batch is cheaper than in every minibatch.
    """

    def arranged(leaf: Tensor) -> Tensor:
        if leaf.dtype != torch.uint8 or leaf.dim() != 5 or leaf.shape[2] >= leaf.shape[4]:
            return leaf
        return leaf.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)

    return buffer_map(arranged, tree)


def minibatches(
    batch: Any, state: Any, count: int, rng: np.random.Generator, *, sequences: bool
) -> Iterator[tuple[Any, Any]]:
    """One epoch: shuffle without replacement, gather once, hand out ``count`` contiguous parts of
    nearly equal size.

    Args:
        batch: tree [T, B, ...].
        state: recurrent state at the first step, tree [B, ...].
        count: how many minibatches.
        rng: where the order comes from.
        sequences: keep columns whole, [T, b, ...] with their state; else steps are flattened to
            [n, ...].

    Yields:
        (minibatch, its initial state).
    """
    T, B = get_leading_dims(batch, 2)
    order = torch.from_numpy(rng.permutation(B if sequences else T * B))
    if sequences:
        gathered = buffer_map(lambda leaf: leaf.index_select(1, order.to(leaf.device)), batch)
        states = buffer_map(lambda leaf: leaf.index_select(0, order.to(leaf.device)), state)
    else:
        gathered = buffer_map(
            lambda leaf: _gather(leaf.flatten(0, 1), order.to(leaf.device)), batch
        )
        states = state
    edges = np.linspace(0, len(order), count + 1).round().astype(int).tolist()
    for start, stop in pairwise(edges):
        if sequences:
            part = buffer_map(lambda leaf, a=start, b=stop: leaf[:, a:b].contiguous(), gathered)
            yield part, buffer_map(lambda leaf, a=start, b=stop: leaf[a:b], states)
        else:
            yield buffer_map(lambda leaf, a=start, b=stop: leaf[a:b], gathered), states


def _gather(leaf: Tensor, index: Tensor) -> Tensor:
    """Rows of a leaf [N, ...]; images stay in channels_last memory."""
    if leaf.dim() == 4 and leaf.is_contiguous(memory_format=torch.channels_last):
        return leaf.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return leaf.index_select(0, index)
