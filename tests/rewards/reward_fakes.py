"""Rewards of tiny networks, transitions of a walk on a grid, and networks written out in numpy."""

from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces

from rlpyt.rewards import (
    ICM,
    NGU,
    RIDE,
    RND,
    Disagreement,
    IntrinsicReward,
    PseudoCounts,
    RewardSamples,
    reward_samples,
)

TINY: dict[str, Any] = {"feature_size": 8, "hidden_sizes": (16,)}

REWARDS: dict[str, tuple[type[IntrinsicReward], dict[str, Any]]] = {
    "icm": (ICM, {**TINY, "model_sizes": (16,)}),
    "rnd": (RND, {**TINY, "learning_rate": 1e-3}),
    "disagreement": (Disagreement, {**TINY, "model_sizes": (16,)}),
    "pseudo_counts": (PseudoCounts, {**TINY, "model_sizes": (16,)}),
    "ride": (RIDE, {**TINY, "model_sizes": (16,)}),
    "ngu": (NGU, {"episodic_kwargs": TINY, "lifelong_kwargs": TINY}),
}
"""By name, with options that make them small."""

OBSERVATIONS: dict[str, Space[Any]] = {
    "vector": spaces.Box(-1.0, 1.0, (3,), np.float32),
    "chw": spaces.Box(0, 255, (1, 8, 8), np.uint8),
    "hwc": spaces.Box(0, 255, (8, 8, 3), np.uint8),
    "grey": spaces.Box(0, 255, (8, 8), np.uint8),
    "dict": spaces.Dict(
        cell=spaces.Discrete(5),
        place=spaces.Box(-1.0, 1.0, (2,), np.float32),
        view=spaces.Box(0, 255, (7, 7), np.uint8),
        action_mask=spaces.MultiBinary(4),
    ),
    "ram": spaces.Box(0, 255, (6,), np.uint8),
}

ACTIONS: dict[str, Space[Any]] = {
    "discrete": spaces.Discrete(4, start=2),
    "box": spaces.Box(np.float32([-2.0, 0.0]), np.float32([2.0, np.inf])),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
}

VECTOR, DISCRETE = OBSERVATIONS["vector"], ACTIONS["discrete"]


def make(
    name: str,
    observation_space: Space[Any] = VECTOR,
    action_space: Space[Any] = DISCRETE,
    *,
    n_envs: int = 2,
    seed: int = 3,
    **options: Any,
) -> Any:
    """The tiny reward of this name."""
    RewardCls, tiny = REWARDS[name]
    return RewardCls.from_spaces(
        observation_space, action_space, n_envs=n_envs, seed=seed, **{**tiny, **options}
    )


def rows(space: Space[Any], T: int, B: int, rng: np.random.Generator) -> Any:
    """Random elements [T, B, ...] as a library that knows nothing of trees would keep them."""
    if isinstance(space, spaces.Dict):
        return {name: rows(child, T, B, rng) for name, child in space.spaces.items()}
    if isinstance(space, spaces.Discrete):
        return rng.integers(0, space.n, (T, B))
    if isinstance(space, spaces.MultiDiscrete):
        return rng.integers(0, space.nvec, (T, B, *space.shape))
    if isinstance(space, spaces.MultiBinary):
        return rng.integers(0, 2, (T, B, *space.shape), dtype=np.int8)
    assert isinstance(space, spaces.Box)
    if space.dtype == np.uint8:
        return rng.integers(0, 256, (T, B, *space.shape), dtype=np.uint8)
    return rng.uniform(-1, 1, (T, B, *space.shape)).astype(np.float32)


def batch(
    T: int = 6,
    B: int = 2,
    *,
    observation_space: Space[Any] = VECTOR,
    action_space: Space[Any] = DISCRETE,
    done: tuple[tuple[int, int], ...] = (),
    seed: int = 0,
) -> RewardSamples:
    """Random consecutive transitions [T, B, ...]; episodes end at ``done``, (t, b) each, where the
    next observation is the row's below no more.
    """
    rng = np.random.default_rng(seed)
    every = rows(observation_space, T + 1, B, rng)
    final = rows(observation_space, T, B, rng)
    ends = np.zeros((T, B), bool)
    for t, b in done:
        ends[t, b] = True

    def following(leaf: Any, other: Any) -> Any:
        if isinstance(leaf, dict):
            return {name: following(leaf[name], other[name]) for name in leaf}
        found = leaf[1:].copy()
        found[ends] = other[ends]
        return found

    def first(leaf: Any) -> Any:
        if isinstance(leaf, dict):
            return {name: first(part) for name, part in leaf.items()}
        return leaf[:-1]

    return reward_samples(
        observation=first(every),
        action=rows(action_space, T, B, rng),
        next_observation=following(every, final),
        terminated=ends,
    )


def standing(samples: RewardSamples) -> RewardSamples:
    """The same where every observation is the first one."""

    def first(leaf: Any) -> Any:
        if isinstance(leaf, tuple):
            return type(leaf)(*map(first, leaf))
        return leaf[:1, :1].expand_as(leaf).clone()

    one = first(samples.observation)
    return samples._replace(observation=one, next_observation=one)


def relu_mlp(state: dict[str, Any], prefix: str, x: np.ndarray) -> np.ndarray:
    """A perceptron [N, in] to [N, out], of the weights that a ``state_dict`` holds."""
    layer = 0
    while f"{prefix}.hidden.{layer}.weight" in state:
        weight = state[f"{prefix}.hidden.{layer}.weight"].double().numpy()
        bias = state[f"{prefix}.hidden.{layer}.bias"].double().numpy()
        x = np.maximum(x @ weight.T + bias, 0.0)
        layer += 1
    weight = state[f"{prefix}.output.weight"].double().numpy()
    return x @ weight.T + state[f"{prefix}.output.bias"].double().numpy()


def one_hot(action: torch.Tensor, n: int = 4) -> np.ndarray:
    """[...] to [..., n]."""
    return np.eye(n)[action.numpy()]
