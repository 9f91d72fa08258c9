"""How often an episode has been near a state: pseudo-counts by a kernel (Badia et al. 2020,
arXiv:2002.06038, section 2 and appendix A.1).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from rlpyt.rewards.features import in_chunks
from rlpyt.rewards.memory import EpisodicMemory
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

__all__ = [
    "KernelCounts",
    "KernelOptions",
    "along_episodes",
    "features_along",
    "kernel",
    "kernel_options",
    "kernel_reward",
]


class KernelOptions(NamedTuple):
    """What counts as near, and how much is remembered."""

    capacity: int = 2048  # states of an episode; the oldest give way
    n_neighbors: int = 10  # k, the nearest ones, whose mean distance is the unit
    kernel_epsilon: float = 1e-4  # ε
    cluster_distance: float = 0.008  # ξ: what is nearer is the same


def kernel_options(chosen: Mapping[str, Any] | None) -> KernelOptions:
    """The defaults, but for what a user has ``chosen`` by name."""
    return KernelOptions(**checked_arguments(KernelOptions, chosen or {}, "kernel_kwargs"))


def kernel(
    square_distance: Tensor, mean_distance: Tensor, epsilon: float, cluster: float
) -> Tensor:
    """K(x, y) = ε / (max(d²(x, y) / d²_m - ξ, 0) + ε) (eq. 3); 0 at infinity.

    Args:
        square_distance: d², any shape.
        mean_distance: d²_m, the running mean of the nearest ones'; [].
        epsilon: ε.
        cluster: ξ.
    """
    rate = square_distance / mean_distance.clamp(min=1e-12)
    return epsilon / ((rate - cluster).clamp(min=0.0) + epsilon)


def kernel_reward(similarity: Tensor, pseudo_count: float, max_similarity: float) -> Tensor:
    """Reward r = 1 / s with s = √(Σ K) + c, and 0 where s > s_max (eq. 2 and algorithm 1).

    Args:
        similarity: Σ K over the nearest neighbours, any shape; 0 for an empty memory, which is the
            most that is new.
        pseudo_count: c.
        max_similarity: s_max.
    """
    s = similarity.sqrt() + pseudo_count
    return torch.where(s > max_similarity, 0.0, 1.0 / s)


def features_along(
    function: Callable[[Any], Tensor], samples: RewardSamples
) -> tuple[Tensor, Tensor]:
    """φ(s) and φ(s') of consecutive steps, [T, B, d] each, from ``function`` of trees [N, ...].

    Within an episode the next observation of a step is the observation of the following one, and is
    encoded once.
    """
    following = in_chunks(function, samples.next_observation)
    starts = torch.cat([torch.ones_like(samples.done[:1]), samples.is_last[:-1]])
    if samples.reset is not None:
        starts = starts | samples.reset
    first = buffer_map(lambda leaf: leaf[starts].unsqueeze(0), samples.observation)
    features = torch.cat([following[:1], following[:-1]])
    features[starts] = in_chunks(function, first)[0]
    return features, following


def along_episodes(
    memory: EpisodicMemory,
    features: Tensor,
    next_features: Tensor,
    samples: RewardSamples,
    visit: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """``visit(d², valid)`` of every step, [T, B]: d² [B, N] is the square distance of φ(s') from
    what the episode has seen up to s; after that, φ(s') is remembered too. Where an episode ends
    its memory is emptied.

    Args:
        memory: Of the B environments.
        features: φ(s), [T, B, d]; used where an episode starts.
        next_features: φ(s'), [T, B, d].
        samples: [T, B, ...]: where episodes start and end.
        visit: Numbers [B] from d² [B, N] and ``valid`` [B].
    """
    T, B = samples.terminated.shape
    memory.check(B)
    most = int(memory.count.max()) + 2 * T
    valid = torch.ones_like(samples.terminated) if samples.valid is None else samples.valid
    is_last, found = samples.is_last, []
    for t in range(T):
        if samples.reset is not None:
            memory.forget(samples.reset[t])
        memory.add(features[t], (memory.count == 0) & valid[t])
        found.append(visit(memory.square_distances(next_features[t], most), valid[t]))
        memory.add(next_features[t], valid[t])
        memory.forget(is_last[t])
    return torch.stack(found)


@final
class KernelCounts(nn.Module):
    """Σ K over the states of the episode so far, of each of B environments.

    The running mean d²_m is over all environments of this process, and never starts anew.

    Args:
        n_envs: B.
        size: d, the length of the features.
        options: What counts as near.
        all_states: Sum over all states that are remembered, not the nearest alone.

    Raises:
        RlpytError: for an option out of range.
    """

    distance: Tensor
    count: Tensor

    def __init__(
        self, n_envs: int, size: int, options: KernelOptions, *, all_states: bool = False
    ) -> None:
        super().__init__()
        if options.n_neighbors < 1:
            raise RlpytError("config", f"n_neighbors={options.n_neighbors}", hint="use 1 or more")
        numbers = (options.kernel_epsilon, options.cluster_distance)
        if not (numbers[0] > 0 and numbers[1] >= 0 and all(map(math.isfinite, numbers))):
            what = f"kernel_epsilon={options.kernel_epsilon}, "
            what += f"cluster_distance={options.cluster_distance}"
            raise RlpytError("config", what, hint="use more than 0, and 0 or more, finite both")
        self.options = options
        self.all_states = all_states
        self.memory = EpisodicMemory(n_envs, options.capacity, size)
        self.register_buffer("distance", torch.zeros((), dtype=torch.float64))  # sum of d²
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def similarity(self, features: Tensor, next_features: Tensor, samples: RewardSamples) -> Tensor:
        """Σ K of φ(s') and what the episode has seen up to s, [T, B]; then it has seen s' too.

        Arguments as of :func:`along_episodes`.
        """
        return along_episodes(self.memory, features, next_features, samples, self._visit)

    def _visit(self, distances: Tensor, valid: Tensor) -> Tensor:
        k = min(self.options.n_neighbors, distances.shape[1])
        nearest = distances.topk(k, dim=1, largest=False).values
        known = nearest.isfinite() & valid.unsqueeze(1)
        self.distance += nearest.where(known, 0.0).sum(dtype=torch.float64)
        self.count += known.sum()
        mean = (self.distance / self.count.clamp(min=1.0)).to(distances.dtype)
        counted = distances if self.all_states else nearest
        epsilon, cluster = self.options.kernel_epsilon, self.options.cluster_distance
        return kernel(counted, mean, epsilon, cluster).sum(1)
