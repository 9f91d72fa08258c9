"""Minibatches of one on-policy batch: single steps for feed-forward models, whole sequences for
recurrent ones.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from rlpyt.utils.buffer import buffer_map, get_leading_dims

__all__ = ["minibatches"]


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
        sequences: keep columns whole, [T, b, ...] with their state; else steps are flattened, [n,
        ...].

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
            lambda leaf: leaf.flatten(0, 1).index_select(0, order.to(leaf.device)), batch
        )
        states = state
    edges = np.linspace(0, len(order), count + 1).round().astype(int).tolist()
    for start, stop in pairwise(edges):
        if sequences:
            part = buffer_map(lambda leaf, a=start, b=stop: leaf[:, a:b].contiguous(), gathered)
            yield part, buffer_map(lambda leaf, a=start, b=stop: leaf[a:b], states)
        else:
            yield buffer_map(lambda leaf, a=start, b=stop: leaf[a:b], gathered), states
