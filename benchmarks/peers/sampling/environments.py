"""The three tasks, set equal in every back end.

Pong: 84 x 84 grey, the last 4 frames stacked, each action held for 4 frames, of which the last two
are maxed; up to 30 no-ops at a reset; no sticky actions, no FIRE at a reset, no end at a lost life,
rewards as they are, the 6 actions of the game. Gymnasium's wrappers and ALE's vector environment
then give the same pixels, but for the stack's first three frames (a copy of the first, or black).
EnvPool has another version of the emulator: the same preprocessing of another course of the game.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

__all__ = [
    "NATIVE",
    "POOL",
    "SINGLE",
    "cartpole",
    "drawn_actions",
    "halfcheetah",
    "native",
    "pong",
]

PONG_ALE: dict[str, Any] = {
    "repeat_action_probability": 0.0,
    "full_action_space": False,
    "max_num_frames_per_episode": 108_000,
}
PONG_VECTOR: dict[str, Any] = {
    **PONG_ALE,
    "img_height": 84,
    "img_width": 84,
    "grayscale": True,
    "stack_num": 4,
    "frameskip": 4,
    "maxpool": True,
    "noop_max": 30,
    "episodic_life": False,
    "reward_clipping": False,
    "use_fire_reset": False,
}
PONG_POOL: dict[str, Any] = {
    "repeat_action_probability": 0.0,
    "full_action_space": False,
    "max_episode_steps": 27_000,
    "img_height": 84,
    "img_width": 84,
    "gray_scale": True,
    "stack_num": 4,
    "frame_skip": 4,
    "noop_max": 30,
    "episodic_life": False,
    "reward_clip": False,
    "use_fire_reset": False,
}


def cartpole() -> gymnasium.Env[Any, Any]:
    """CartPole-v1 without the passive checker."""
    return gymnasium.make("CartPole-v1", disable_env_checker=True)


def pong() -> gymnasium.Env[Any, Any]:
    """Pong, preprocessed by Gymnasium's wrappers."""
    env = gymnasium.make(
        "ale_py:ALE/Pong-v5", disable_env_checker=True, frameskip=1, obs_type="rgb", **PONG_ALE
    )
    return FrameStackObservation(AtariPreprocessing(env, noop_max=30, frame_skip=4), 4)


def halfcheetah() -> gymnasium.Env[Any, Any]:
    """HalfCheetah-v5 without the passive checker."""
    return gymnasium.make("HalfCheetah-v5", disable_env_checker=True)


SINGLE: dict[str, Callable[[], gymnasium.Env[Any, Any]]] = {
    "cartpole": cartpole,
    "pong": pong,
    "halfcheetah": halfcheetah,
}

# Gymnasium id, and options, of the suite's own vector environment; HalfCheetah has none.
NATIVE: dict[str, tuple[str, dict[str, Any]]] = {
    "cartpole": ("CartPole-v1", {}),
    "pong": ("ALE/Pong-v5", PONG_VECTOR),
}

# EnvPool's id and options.
POOL: dict[str, tuple[str, dict[str, Any]]] = {
    "cartpole": ("CartPole-v1", {}),
    "pong": ("Pong-v5", PONG_POOL),
    "halfcheetah": ("HalfCheetah-v5", {}),
}


def native(
    environment: str, num_envs: int, threads: int, batch_size: int = 0
) -> VectorEnv[Any, Any, Any]:
    """The suite's own vector environment; ``threads`` and ``batch_size`` matter to Pong."""
    env_id, options = NATIVE[environment]
    if environment == "pong":
        env_id = f"ale_py:{env_id}"  # imported, as it registers its ids itself
        options = {**options, "num_threads": threads, "batch_size": batch_size}
    return gymnasium.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", **options
    )


def drawn_actions(
    space: gymnasium.Space[Any], num_envs: int, seed: int, length: int = 4096
) -> list[np.ndarray[Any, Any]]:
    """Random actions [num_envs, ...] of a Discrete or Box space, for ``length`` steps."""
    rng = np.random.default_rng(seed)
    if isinstance(space, gymnasium.spaces.Discrete):
        return list(rng.integers(space.n, size=(length, num_envs)))
    assert isinstance(space, gymnasium.spaces.Box)
    drawn = rng.uniform(space.low, space.high, size=(length, num_envs, *space.shape))
    return list(drawn.astype(space.dtype))
