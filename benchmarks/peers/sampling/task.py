"""What is sampled, the same for all systems."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ENVIRONMENTS", "System", "Task"]

ENVIRONMENTS = ("cartpole", "pong", "halfcheetah")


@dataclass(frozen=True, kw_only=True)
class Task:
    """``num_envs`` environments stepped for ``seconds``, after ``warmup`` seconds."""

    environment: str  # of ENVIRONMENTS
    policy: bool = False  # a network acts; False: random actions, drawn ahead
    num_envs: int = 8
    workers: int = 2  # processes, or threads where the system has those
    rollout: int = 128  # steps of each environment in one batch of ours
    seconds: float = 4.0
    warmup: float = 1.0
    device: str = "cpu"  # where the network is
    seed: int = 0
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class System:
    """A system that has started its environments."""

    advance: Callable[[], int]  # steps for a while; returns how many transitions that gave
    close: Callable[[], None]
    layout: str  # processes, threads and environments in words
