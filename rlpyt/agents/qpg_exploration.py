"""How the agents of off-policy actor-critics explore."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from rlpyt.agents.base import Exploration
from rlpyt.utils.errors import RlpytError

__all__ = ["QpgExploration"]


@final
@dataclass(frozen=True, kw_only=True)
class QpgExploration:
    """Uniform actions in the first ``random_steps`` environment steps of the run, counted over all
    environments; then, where the policy is deterministic, Gaussian noise on its actions.

    The noise's standard deviation, in half-widths of the action bounds, is ``noise_std``; with
    ``noise_std_final`` it goes there in a straight line over the next ``noise_steps`` environment
    steps.
    """

    random_steps: int = 0
    noise_std: float = 0.1  # Fujimoto et al. 2018
    noise_std_final: float | None = None
    noise_steps: int = 100_000

    def __post_init__(self) -> None:
        for name in ("random_steps", "noise_std", "noise_std_final", "noise_steps"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < float("inf"):
                raise RlpytError("config", f"exploration.{name}={value}", hint="use 0 or more")

    def n_random(self, T: int, where: Exploration) -> int:
        """How many of one environment's next ``T`` actions are random: the first ones."""
        if where.steps is None:
            return 0
        left = self.random_steps - where.steps
        return min(T, max(0, -(-left // where.n_envs)))

    def noise_std_at(self, T: int, where: Exploration) -> np.ndarray[Any, Any]:
        """The noise of one environment's next ``T`` actions, [T] float32; 0 in an evaluation."""
        if where.steps is None:
            return np.zeros(T, dtype=np.float32)
        return self._std(where.steps + where.n_envs * np.arange(T)).astype(np.float32)

    def noise_std_after(self, steps: int) -> float:
        """The noise of the next action after ``steps`` environment steps of the run."""
        return float(self._std(np.array(steps)))

    def _std(self, steps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        last = self.noise_std if self.noise_std_final is None else self.noise_std_final
        progress = ((steps - self.random_steps) / max(1, self.noise_steps)).clip(0.0, 1.0)
        std: np.ndarray[Any, Any] = self.noise_std + (last - self.noise_std) * progress
        return std
