"""A grid that takes memory and a long way: the cue at its start says which key opens the door, and
an exit beside the start pays a little.
"""

from typing import Any, Final, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.utils.errors import RlpytError

__all__ = ["KeyDoorGrid"]

_WALL, _KEYS, _DOOR, _EXIT, _N_KINDS = 0, (5, 6), 7, 8, 9  # 1 ... 4: floor of four colours
_N_COLORS: Final = 4
_MOVES: Final = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right


@final
class KeyDoorGrid(gymnasium.Env[Any, Any]):
    """Two rooms of ``size`` x ``size`` cells, one above the other, joined by a gap in the middle of
    the wall between them.

    The first observation of an episode shows a cue: the first or the second key, with equal chance.
    Both keys lie in the upper room, where the agent starts; the first that it steps on it carries,
    the other is then gone. The door is in the far corner of the lower room. It cannot be entered
    without a key; with the key of the cue it pays 1, with the other nothing, and ends the episode.
    So do the clock, after ``8 * size`` steps, which is part of the task, and the exit in a corner
    of the upper room, some steps from the start, which pays ``distraction``: who has found that
    and looks no further never comes to the door.

    Seen are the 3 x 3 cells around the agent (wall, floor of four colours that were drawn by
    ``layout_seed``, keys, door, exit), which key it carries, and in the first step the cue.
    Actions: up, down, left, right. With memory the best mean return is 1; without it 0.5.

    On the command line: ``rlpyt.envs:KeyDoorGrid``, or ``rlpyt.envs.key_door:KeyDoorGrid``.

    Args:
        size: cells along a side of a room, 3 or more.
        layout_seed: of the colours of the floor.
        distraction: what the exit pays, less than 0.5; 0: there is none.
    """

    def __init__(self, *, size: int = 5, layout_seed: int = 0, distraction: float = 0.1) -> None:
        if size < 3:
            what = f"size={size} must be at least 3"
            raise RlpytError("env", what, where="KeyDoorGrid", hint="use 5, say")
        if not 0.0 <= distraction < 0.5:
            what = f"distraction={distraction} must be from 0 to less than 0.5"
            hint = "with more the exit is the better way out for who does not remember"
            raise RlpytError("env", what, where="KeyDoorGrid", hint=hint)
        self.observation_space = spaces.Box(0.0, 1.0, (9 * _N_KINDS + 4,), np.float32)
        self.action_space = spaces.Discrete(len(_MOVES))
        self.size = size
        floor = np.random.default_rng(layout_seed).integers(_N_COLORS, size=(2 * size + 1, size))
        self._floor = np.pad(1 + floor, 1, constant_values=_WALL)
        middle = (size + 1) // 2
        self._floor[size + 1, 1:-1] = _WALL
        self._floor[size + 1, middle] = 1  # the gap, as far from either key
        self.start, self.door = (1, middle), (2 * size + 1, size)
        self.keys = ((size, 1), (size, size))  # the lower corners of the upper room
        self.exit, self.distraction = (1, 1), distraction
        self._cue = self._time = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Back to the start, where a new cue is seen."""
        super().reset(seed=seed)
        self._cue = int(self.np_random.integers(len(_KEYS)))
        self._time, self._at, self._key = 0, self.start, -1
        self._grid = self._floor.copy()
        self._grid[self.door] = _DOOR
        if self.distraction > 0.0:
            self._grid[self.exit] = _EXIT
        for kind, place in zip(_KEYS, self.keys, strict=True):
            self._grid[place] = kind
        return self._seen(cue=True), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move, where no wall and no locked door is."""
        self._time += 1
        down, right = _MOVES[action]
        there = (self._at[0] + down, self._at[1] + right)
        kind, reward, ends = int(self._grid[there]), 0.0, self._time == 8 * self.size
        if kind != _WALL and (kind != _DOOR or self._key >= 0):
            self._at = there
        if kind in _KEYS:
            self._key = _KEYS.index(kind)
            for place in self.keys:
                self._grid[place] = self._floor[place]
        if kind == _EXIT:
            reward, ends = self.distraction, True
        if self._at == self.door:
            reward, ends = float(self._key == self._cue), True
        return self._seen(), reward, ends, False, {}

    def _seen(self, *, cue: bool = False) -> Any:
        row, column = self._at
        window = self._grid[row - 1 : row + 2, column - 1 : column + 2]
        cues = np.zeros(2, np.float32)
        cues[self._cue] = float(cue)
        carries = np.array([self._key == 0, self._key == 1], np.float32)
        kinds = np.eye(_N_KINDS, dtype=np.float32)[window]
        return np.concatenate([kinds.ravel(), carries, cues])
