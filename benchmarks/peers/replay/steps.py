"""Made-up Atari steps: random frames, stacked, in episodes that all end with the last row."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from peers.replay.task import FRAME, STACK, Task

__all__ = ["Steps", "make_steps"]

Array = np.ndarray[Any, Any]
ROWS = 512  # made once, appended again and again: more than a processor's cache holds


@dataclass(frozen=True, kw_only=True)
class Steps:
    """``ROWS`` steps of every environment, one episode each; it is terminated."""

    observation: Array  # [ROWS, B, 4, 84, 84] uint8
    final: Array  # [B, 4, 84, 84] uint8: what followed the last step
    action: Array  # [ROWS, B] int64
    reward: Array  # [ROWS, B] float32
    done: Array  # [ROWS, B] bool

    def following(self, row: int) -> Array:
        """The observations [B, ...] that followed those of ``row``."""
        return self.observation[row + 1] if row + 1 < ROWS else self.final


def make_steps(task: Task) -> Steps:
    """Steps of ``task.num_envs`` environments. Episodes start with three black frames."""
    rng, B = np.random.default_rng(task.seed), task.num_envs
    frames = rng.integers(0, 256, (ROWS + STACK[0], B, *FRAME), dtype=np.uint8)
    frames[: STACK[0] - 1] = 0
    observation = np.empty((ROWS, B, *STACK), np.uint8)
    for i in range(STACK[0]):
        observation[:, :, i] = frames[i : i + ROWS]
    done = np.zeros((ROWS, B), bool)
    done[-1] = True
    return Steps(
        observation=observation,
        final=np.ascontiguousarray(frames[-STACK[0] :].swapaxes(0, 1)),
        action=rng.integers(0, 6, (ROWS, B)),
        reward=rng.choice(np.float32([-1, 0, 1]), (ROWS, B)),
        done=done,
    )
