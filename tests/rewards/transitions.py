"""Batches of transitions for the tests of intrinsic rewards."""

from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor

from rlpyt.rewards import RewardSamples
from rlpyt.utils.buffer import buffer_map

VECTOR = spaces.Box(-np.inf, np.inf, (5,), np.float32)
DISCRETE = spaces.Discrete(4)
BOX = spaces.Box(-1.0, 1.0, (2,), np.float32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(space: Space[Any], *leading: int, seed: int = 0) -> Tensor:
    """Random elements of ``space`` [*leading, *shape]."""
    if isinstance(space, spaces.Discrete):
        return torch.randint(int(space.n), leading, generator=seeded(seed))
    assert isinstance(space, spaces.Box)
    shape = (*leading, *space.shape)
    return torch.randn(shape, generator=seeded(seed))


def transitions(
    T: int,
    B: int,
    *,
    observation_space: Space[Any] = VECTOR,
    action_space: Space[Any] = DISCRETE,
    seed: int = 0,
    done: float = 0.0,
) -> RewardSamples:
    """Consecutive random steps; an episode ends with probability ``done``, terminated or
    truncated.
    """
    observation = draw(observation_space, T + 1, B, seed=seed)
    ends = torch.rand(T, B, generator=seeded(seed + 1)) < done
    cut = torch.rand(T, B, generator=seeded(seed + 2)) < 0.5
    last = draw(observation_space, T, B, seed=seed + 3)
    following = torch.where(
        ends.reshape(T, B, *(1,) * (observation.dim() - 2)), last, observation[1:]
    )
    return RewardSamples(
        observation=observation[:-1],
        action=draw(action_space, T, B, seed=seed + 4),
        next_observation=following,
        terminated=ends & ~cut,
        truncated=ends & cut,
    )


def constant(batch: RewardSamples) -> RewardSamples:
    """``batch`` with the first observation and action everywhere."""
    first = buffer_map(lambda leaf: leaf[:1, :1].expand_as(leaf).clone(), batch)
    return batch._replace(
        observation=first.observation,
        action=first.action,
        next_observation=first.observation,
    )
