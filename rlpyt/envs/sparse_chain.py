"""A chain with its reward at the far end: who wanders, or takes what is near, never sees it."""

from typing import Any, Final, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.utils.errors import RlpytError

__all__ = ["SparseChain"]

_N_ACTIONS: Final = 2


@final
class SparseChain(gymnasium.Env[Any, Any]):
    """Cells 0 ... ``length`` in a row, after the river swim and the deep sea (Osband et al. 2019,
    arXiv:1908.03568), made partially observable.

    In each cell one of two actions goes on, the other back to cell 0; which one is which was drawn
    for each cell by ``layout_seed`` and stays so. The last cell pays 1 and ends the episode. The
    action back, taken in cell 0, pays ``distraction``. After ``2 * length`` steps the episode ends
    too: that is part of the task, and counts as termination.

    Seen is which cell it is, in even cells; in odd ones nothing, so that it takes memory to know
    what goes on there. Random actions get through once in about 2^length attempts. What solves it
    has a return of 1 or more; the distraction alone pays ``2 * length * distraction`` at most.

    On the command line: ``rlpyt.envs:SparseChain``, or ``rlpyt.envs.sparse_chain:SparseChain``.

    Args:
        length: steps to the far end, 1 or more.
        distraction: the small reward at the start.
        layout_seed: of which action goes on where.
    """

    def __init__(
        self, *, length: int = 20, distraction: float = 0.005, layout_seed: int = 0
    ) -> None:
        if length < 1:
            what = f"length={length} must be at least 1"
            raise RlpytError("env", what, where="SparseChain", hint="use 20, say")
        self.observation_space = spaces.Box(0.0, 1.0, (length // 2 + 1,), np.float32)
        self.action_space = spaces.Discrete(_N_ACTIONS)
        self.length, self.distraction = length, distraction
        self.onward = np.random.default_rng(layout_seed).integers(_N_ACTIONS, size=length)
        self._cell = self._time = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Back to cell 0."""
        super().reset(seed=seed)
        self._cell = self._time = 0
        return self._seen(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Go on, or back to the start."""
        self._time += 1
        if action == self.onward[self._cell]:
            self._cell += 1
            reward = float(self._cell == self.length)
        else:
            reward = self.distraction if self._cell == 0 else 0.0
            self._cell = 0
        ends = self._cell == self.length or self._time == 2 * self.length
        return self._seen(), reward, ends, False, {}

    def _seen(self) -> Any:
        seen = np.zeros(self.length // 2 + 1, np.float32)
        if self._cell % 2 == 0:
            seen[self._cell // 2] = 1.0
        return seen
