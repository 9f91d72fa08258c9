"""Schedules are functions of the iteration: nothing to save, nothing to forget."""

from typing import Literal

__all__ = ["Schedule", "scheduled"]

Schedule = Literal["constant", "linear"]
"""How a value goes on: as it is, or straight down to zero at the last iteration."""


def scheduled(value: float, schedule: Schedule, itr: int, n_itr: int) -> float:
    """``value`` at iteration ``itr`` of ``n_itr``; ``linear`` falls from ``value`` at 0 to zero at
    ``n_itr``.
    """
    if schedule == "constant":
        return value
    return value * max(0.0, 1.0 - itr / n_itr)
