"""Pong as the benchmarks of training want it: made as for the one of sampling."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from peers.pong.settings import DqnSettings, PpoSettings
from peers.sampling.environments import PONG_POOL, native, pong

__all__ = ["PoolEnvs", "make_vector", "pong"]


def make_vector(settings: PpoSettings | DqnSettings, num_envs: int) -> "VectorEnv | PoolEnvs":
    """Vector environments of the peers that take any, with episode statistics.

    Variants: "gym" (Gymnasium's loop over environments), "ale" (ale-py's vector environment),
    "pool" (EnvPool).
    """
    kind = settings.variant.split("-")[0]
    if kind == "pool":
        return PoolEnvs(num_envs, settings.env_threads, settings.seed)
    if kind == "ale":
        return RecordEpisodeStatistics(native("pong", num_envs, settings.env_threads))
    return RecordEpisodeStatistics(gymnasium.vector.SyncVectorEnv([pong] * num_envs))


class PoolEnvs:
    """EnvPool's Pong with returns in ``info``, as Gymnasium's wrapper gives them."""

    def __init__(self, num_envs: int, num_threads: int, seed: int) -> None:
        import envpool  # only where this variant is asked for

        self.envs = envpool.make(
            "Pong-v5",
            env_type="gymnasium",
            num_envs=num_envs,
            num_threads=num_threads,
            seed=seed,
            **PONG_POOL,
        )
        self.single_observation_space = self.envs.observation_space
        self.single_action_space = self.envs.action_space
        self.returns = np.zeros(num_envs)

    def reset(self, seed: int | None = None) -> tuple[Any, Any]:
        """All environments; their seed was given to the constructor."""
        return self.envs.reset()

    def step(self, action: Any) -> tuple[Any, ...]:
        """One step of all."""
        observation, reward, terminated, truncated, _info = self.envs.step(action)
        self.returns += reward
        done = terminated | truncated
        info = {}
        if done.any():
            info = {"episode": {"r": self.returns.copy()}, "_episode": done}
            self.returns[done] = 0.0
        return observation, reward, terminated, truncated, info
