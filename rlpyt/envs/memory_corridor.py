"""A corridor that takes memory: the cue at its start says where to turn at its end."""

from typing import Any, Final, final

import gymnasium
from gymnasium import spaces

from rlpyt.utils.errors import RlpytError

__all__ = ["MemoryCorridor"]

_CORRIDOR: Final = 0
_CUES: Final = (1, 2)  # left, right
_JUNCTION: Final = 3
_FORWARD: Final = 0
_TURNS: Final = (1, 2)  # left, right


@final
class MemoryCorridor(gymnasium.Env[Any, Any]):
    """A T-maze, after Bakker 2001, "Reinforcement Learning with Long Short-Term Memory".

    The first observation is a cue: left (1) or right (2), with equal chance. Then follows corridor
    (0) and, ``length`` steps forward from the cue, the junction (3). Actions: forward (0), left
    (1), right (2). The turn to the side of the cue, at the junction, ends the episode with a reward
    of 1; a turn in the corridor, and anything else at the junction, ends it with -1. A step forward
    in the corridor is paid 0. With memory the best mean return is 1.

    Without memory it is 0, even for a policy that is also shown the previous action and reward.
    The junction is reached by steps forward of reward 0 only, so what is shown there is the same
    for both cues, and so are the probabilities p and q of turning left and right. Hence the return
    is 1 with a probability of at most (p + q) / 2 ≤ 1/2, and otherwise -1.

    On the command line: ``rlpyt.envs:MemoryCorridor``.

    Args:
        length: steps from the cue to the junction, 1 or more.
    """

    def __init__(self, *, length: int = 10) -> None:
        if length < 1:
            what = f"length={length} must be at least 1"
            raise RlpytError("env", what, where="MemoryCorridor", hint="use 10, say")
        self.observation_space = spaces.Discrete(4)
        self.action_space = spaces.Discrete(3)
        self._length = length
        self._side = self._position = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Back to the start, where a new cue is seen."""
        super().reset(seed=seed)
        self._side = int(self.np_random.integers(len(_CUES)))
        self._position = 0
        return _CUES[self._side], {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Go forward, or turn."""
        at_junction = self._position == self._length
        right = _TURNS[self._side] if at_junction else _FORWARD
        if action == right and not at_junction:
            self._position += 1
        seen = _JUNCTION if self._position == self._length else _CORRIDOR
        ends = at_junction or action != right
        reward = 0.0 if not ends else 1.0 if action == right else -1.0
        return seen, reward, ends, False, {}
