"""Distances to nearest neighbours, and a memory of what was seen to measure them in."""

from typing import Any, final

import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.rewards.features import FeatureNetwork, FeatureOptions
from rlpyt.rewards.normalize import ObservationStatistics, observation_scaling
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int, seeded_init

__all__ = [
    "NeighborMemory",
    "check_neighbors",
    "kth_distance",
    "nearest_distances",
    "random_features",
]

_CHUNK = 256  # vectors whose distances to all entries are held at once
_SPARE = 2  # candidates beyond k, for those whose order the fast distances get wrong


def random_features(
    observation_space: Space[Any],
    options: FeatureOptions,
    *,
    seed: int,
    normalize_observation: bool,
) -> tuple[ObservationStatistics | None, FeatureNetwork]:
    """What normalises observations, where they are to be, and the network that they are measured
    by.
    """
    statistics, space = observation_scaling(observation_space, normalize_observation)
    with seeded_init(seed_int(seed, Stream.REWARD)):
        return statistics, FeatureNetwork.from_space(space, options)


def nearest_distances(
    query: Tensor, entries: Tensor, k: int, *, known: Tensor, own: Tensor | None = None
) -> Tensor:
    """‖x - m‖₂ of each ``query`` x [B, M, d] from its ``k`` nearest ``entries`` m [B, N, d]:
    [B, M, k], ascending, infinite where there are fewer.

    Candidates are found by ‖m‖² - 2 x·m, their distances computed from the difference: of equal
    vectors it is exactly 0.

    Args:
        query: x.
        entries: m.
        k: How many.
        known: Which entries there are, bool [B, N].
        own: The entry that is x itself, which is no neighbour, int64 [B, M].
    """
    # What is far from 0 has few digits left for distances.
    weight = known.to(entries.dtype).unsqueeze(2)
    center = (entries * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    squares = (entries - center).square().sum(-1).masked_fill(~known, torch.inf).unsqueeze(1)
    columns = (entries - center).transpose(1, 2)
    found = []
    for rows in (slice(at, at + _CHUNK) for at in range(0, query.shape[1], _CHUNK)):
        near = query[:, rows]
        scores = torch.baddbmm(squares, near - center, columns, alpha=-2)
        if own is not None:
            scores.scatter_(2, own[:, rows].unsqueeze(2), torch.inf)
        found.append(_exact(near, entries, scores, k))
    missing = k - found[0].shape[2]
    return nn.functional.pad(torch.cat(found, dim=1), (0, missing), value=torch.inf)


def _exact(query: Tensor, entries: Tensor, scores: Tensor, k: int) -> Tensor:
    """The ``k`` least distances, or as many as there are, of ``query`` [B, M, d] from the
    ``entries`` [B, N, d] of least ``scores`` [B, M, N]; infinite where those are.
    """
    B, M, d = query.shape
    least, index = scores.topk(min(k + _SPARE, scores.shape[2]), dim=2, largest=False)
    rows = index.reshape(B, -1, 1).expand(-1, -1, d)
    difference = entries.gather(1, rows).reshape(B, M, -1, d) - query.unsqueeze(2)
    distances = difference.square().sum(-1).sqrt().masked_fill(least == torch.inf, torch.inf)
    return distances.sort(dim=2).values[:, :, :k]


def kth_distance(distances: Tensor) -> Tensor:
    """Of ``distances`` [..., k], ascending, the last one that is finite; 0 where there is none."""
    count = distances.isfinite().sum(-1, keepdim=True)
    last = distances.gather(-1, (count - 1).clamp(min=0)).squeeze(-1)
    return last.masked_fill(count.squeeze(-1) == 0, 0.0)


def check_neighbors(n_neighbors: int, alpha: float | None = None) -> None:
    """Raise where ``n_neighbors`` is below 1, or ``alpha`` no order in [0, 1)."""
    if n_neighbors < 1:
        raise RlpytError("config", f"n_neighbors={n_neighbors}", hint="use 1 or more")
    if alpha is not None and not 0.0 <= alpha < 1.0:
        raise RlpytError("config", f"alpha={alpha}", hint="use 0 or more, and less than 1")


@final
class NeighborMemory(nn.Module):
    """The last N vectors of all environments, in buffers.

    Args:
        capacity: N; the oldest gives way. 0: neighbours are those of the same batch only.
        size: d, the length of a vector.

    Raises:
        RlpytError: for a ``capacity`` below 0.
    """

    entries: Tensor
    count: Tensor

    def __init__(self, capacity: int, size: int) -> None:
        super().__init__()
        if capacity < 0:
            hint = "use 1 or more, or 0 for neighbours of the same batch only"
            raise RlpytError("config", f"capacity={capacity}", hint=hint)
        self.capacity = capacity
        self.register_buffer("entries", torch.zeros(capacity, size))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def distances(self, vectors: Tensor, valid: Tensor | None, k: int) -> Tensor:
        """Of each of ``vectors`` [T, B, d] to its ``k`` nearest among what is remembered and the
        others here that are ``valid``: [T, B, k], ascending, infinite where there are fewer.
        """
        flat = vectors.flatten(0, 1)
        held = min(int(self.count), self.capacity)
        entries = torch.cat([self.entries[:held], flat])
        known = torch.ones(len(entries), dtype=torch.bool, device=flat.device)
        if valid is not None:
            known[held:] = valid.flatten()
        own = torch.arange(held, len(entries), device=flat.device)
        found = nearest_distances(flat[None], entries[None], k, known=known[None], own=own[None])
        return found.reshape(*vectors.shape[:2], k)

    def add(self, vectors: Tensor, valid: Tensor | None) -> None:
        """Remember ``vectors`` [T, B, d], where ``valid``, row after row."""
        flat = vectors.flatten(0, 1)
        if valid is not None:
            flat = flat[valid.flatten()]
        new = flat[len(flat) - min(len(flat), self.capacity) :]
        if len(new):
            first = int(self.count) + len(flat) - len(new)
            at = torch.arange(first, first + len(new), device=flat.device) % self.capacity
            self.entries[at] = new
        self.count += len(flat)
