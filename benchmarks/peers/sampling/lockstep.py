"""Driving a vector environment of a peer: act for all, step all, nothing kept."""

from typing import Any

import numpy as np

from peers.sampling.policy import Act

__all__ = ["CHUNK", "Lockstep", "SendReceive"]

CHUNK = 16  # vector steps between two looks at the clock


class Lockstep:
    """A ``gymnasium.vector.VectorEnv``; a step that is spent on a reset counts for nothing."""

    def __init__(self, envs: Any, act: Act, *, seed: int, spends_resets: bool) -> None:
        self.envs, self.act, self.spends_resets = envs, act, spends_resets
        self.observation, _info = envs.reset(seed=seed)
        self.resetting = 0

    def advance(self) -> int:
        """``CHUNK`` vector steps; returns how many transitions those were."""
        transitions = 0
        for _ in range(CHUNK):
            self.observation, _reward, terminated, truncated, _info = self.envs.step(
                self.act(self.observation)
            )
            transitions += len(terminated) - self.resetting
            if self.spends_resets:
                self.resetting = _ended(terminated, truncated)
        return transitions


class SendReceive:
    """A vector environment that returns the first ``batch_size`` environments that are done."""

    def __init__(self, envs: Any, act: Act, *, with_ids: bool) -> None:
        """``envs`` has been reset; ``with_ids``: actions are sent with their environments' ids."""
        self.envs, self.act, self.with_ids = envs, act, with_ids

    def advance(self) -> int:
        """``CHUNK`` vector steps; returns how many transitions those were."""
        transitions = 0
        for _ in range(CHUNK):
            observation, _reward, terminated, truncated, info = self.envs.recv()
            action = self.act(observation)
            if self.with_ids:
                self.envs.send(action, info["env_id"])
            else:
                self.envs.send(action)
            # Each end is followed by one step that resets.
            transitions += len(terminated) - _ended(terminated, truncated)
        return transitions


def _ended(terminated: np.ndarray[Any, Any], truncated: np.ndarray[Any, Any]) -> int:
    return int(np.count_nonzero(terminated)) + int(np.count_nonzero(truncated))
