"""What is stored and what is asked for, the same for all replays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["FRAME", "KINDS", "STACK", "STACK_BYTES", "Batch", "System", "Task"]

KINDS = ("uniform", "prioritized", "sequence")
FRAME = (84, 84)
STACK = (4, *FRAME)
STACK_BYTES = 4 * 84 * 84

Batch = dict[str, Any]
"""observation, next_observation, action, reward, done: torch tensors on the CPU."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Atari transitions stored, and batches drawn of them."""

    kind: str  # of KINDS
    transitions: int = 1_000_000
    num_envs: int = 8
    rows: int = 16  # steps of every environment in one append, where a library takes several
    batches: tuple[int, ...] = (32, 256)  # transitions; or sequences
    length: int = 80  # of a sequence
    alpha: float = 0.6
    beta: float = 0.4
    seconds: float = 2.0  # measured, of each
    seed: int = 0
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class System:
    """A replay that is still empty."""

    append: Callable[[], int]  # the next steps; returns how many transitions they are
    draw: Callable[[int], Batch]  # a batch; with priorities, it also sets new ones
    forecast: int | None = None  # bytes that it says it will take
