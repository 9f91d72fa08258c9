"""The env edge: a vector of environments behind one small protocol.

One auto-reset meaning for every back end: where an episode ends, ``final_observation`` keeps its
true last observation and ``observation`` is already the first of the next episode.
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rlpyt.data import EnvSpaces, EnvStep

__all__ = ["NOBODY", "PlannedEnv", "StatefulEnv", "VectorEnv"]

NOBODY = -1
"""In place of a row: no environment's method is running."""


@runtime_checkable
class StatefulEnv(Protocol):
    """An environment that can be put back exactly: ``get_state`` covers everything, its generator
    included.
    """

    def get_state(self) -> dict[str, Any]:
        """The whole state, as nested dicts of arrays, numbers and strings."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state`` as if nothing had happened since."""


@runtime_checkable
class PlannedEnv(Protocol):
    """An environment whose episodes follow a plan that all environments of a run share: each knows
    what the others do, without a word between them.
    """

    def plan_episode(self, number: int) -> None:
        """Before each reset: the episode to come is ``number`` of all. The first episodes of the n
        environments are 0 to n - 1, in their order, the second ones n to 2 n - 1.
        """


class VectorEnv(ABC):
    """``n_envs`` environments stepped together. Arrays are numpy, batched [B, ...], and owned by
    the caller.

    ``invalid_steps`` is true for back ends that spend a step on each reset: such a step is no
    transition.
    """

    n_envs: int
    spaces: EnvSpaces
    invalid_steps: bool = False

    @abstractmethod
    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start an episode everywhere, numbered ``first_episode``; write the first observations."""

    @abstractmethod
    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Take between 0 and ``max_steps`` random steps in each environment, so that episodes do
        not end together.
        """

    @abstractmethod
    def step(self, action: Any, out: EnvStep) -> np.ndarray[Any, Any] | None:
        """Step every environment that is not idle and write ``out``.

        Returns:
            Which rows are transitions, [B] bool; ``None`` when all are.
        """

    @abstractmethod
    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Start an episode where one waits for it (``auto_reset=False``); return which, [B]."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue mid-episode."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> bool:
        """Continue from ``state``, which led to ``observation`` [B, ...].

        Returns:
            False where that is not possible: then new episodes have started, and ``observation``
            now has their first observations.
        """

    @abstractmethod
    def watch(self, cell: Any) -> None:
        """From now on ``cell[0]`` says which row's method is running, or NOBODY; it may be memory
        that another process looks at. A vector environment that steps as a whole says 0.
        """

    @abstractmethod
    def capsule(self, failure: dict[str, str], row: int | None = None) -> dict[str, Any] | None:
        """What reproduces ``failure`` in one process, as data for JSON (see
        :mod:`rlpyt.envs.capsule`). Also for a signal handler, in the middle of a step.

        Args:
            failure: ``code``, ``what`` and ``where``.
            row: the environment that failed; ``None`` for the one whose method is running.

        Returns:
            ``None`` where ``row`` is, and no environment's method is running.
        """

    @abstractmethod
    def close(self) -> None:
        """Close every environment."""
