"""Four rooms with a door between neighbours: how far does an agent get that is paid nothing?"""

from dataclasses import dataclass
from typing import Any, Final, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.data import Samples, TrajInfo
from rlpyt.utils.errors import RlpytError

__all__ = ["FOUR_ROOMS_INFO_KEYS", "FourRooms", "FourRoomsTrajInfo"]

FOUR_ROOMS_INFO_KEYS = ("cells_visited",)
"""For a sampler's ``EnvConfig``: what :class:`FourRoomsTrajInfo` needs."""

_MOVES: Final = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left: (rows, columns)
_SMALLEST: Final = 5  # rooms of 2 x 2 cells


@final
class FourRooms(gymnasium.Env[Any, Any]):
    """A grid of ``size`` x ``size`` cells, after the rooms of Sutton, Precup and Singh 1999,
    "Between MDPs and semi-MDPs".

    A row and a column of walls in the middle divide it into four rooms; each of the four walls
    between two rooms has a door, in its middle. An episode starts in the top left corner and is
    truncated after ``episode_steps``. Actions: up (0), right (1), down (2), left (3); a step
    against a wall or the border stays where it is. Nothing is random.

    The reward is 0, so that only an intrinsic reward makes an agent explore; with ``goal`` the
    bottom right corner pays 1 and terminates the episode. ``info["cells_visited"]`` is the number
    of different cells of the episode so far, the start included, out of ``n_cells``.
    :class:`FourRoomsTrajInfo` logs it:

        rlpyt train ppo rlpyt.envs:FourRooms 'sampler.env.info_keys=["cells_visited"]'
            sampler.TrajInfoCls=rlpyt.envs.four_rooms.FourRoomsTrajInfo

    The observation is (row, column), each scaled to [-1, 1]: float32 ``[2]``; with ``one_hot``
    each as a one-hot vector: float32 ``[2 * size]``; with ``image`` an image of the grid: uint8
    ``[3, size, size]`` of 0 and 255, its channels the walls, the agent and the goal.

    Args:
        size: rows, and columns, of cells, 5 or more. Walls take 2 * size - 5 of them.
        image: observe an image.
        one_hot: observe one-hot vectors.
        goal: pay for the opposite corner.
        episode_steps: of an episode, 1 or more.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # as gymnasium.Env has it

    def __init__(
        self,
        *,
        size: int = 20,
        image: bool = False,
        one_hot: bool = False,
        goal: bool = False,
        episode_steps: int = 500,
    ) -> None:
        _check(size, image, one_hot, episode_steps)
        self.action_space = spaces.Discrete(len(_MOVES))
        walls = _walls(size)
        self.n_cells = int(size * size - walls.sum())
        self._size, self._goal, self._episode_steps = size, goal, episode_steps
        self._next = _transitions(walls)
        self._picture = self._table = None
        if image:
            self.observation_space = spaces.Box(0, 255, (3, size, size), np.uint8)
            self._picture = np.zeros((3, size, size), np.uint8)
            self._picture[0] = walls * 255
            self._picture[2, -1, -1] = 255 * goal
        else:
            self._table = _one_hot(size) if one_hot else _coordinates(size)
            low = 0.0 if one_hot else -1.0
            self.observation_space = spaces.Box(low, 1.0, self._table.shape[1:], np.float32)
        self._cell = self._steps = 0
        self._visited = {0}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Back to the corner; one cell is visited."""
        super().reset(seed=seed)
        self._cell = self._steps = 0
        self._visited = {0}
        return self._observe(), {"cells_visited": 1}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Walk to a neighbouring cell, unless there is a wall."""
        self._cell = cell = self._next[self._cell][int(action)]
        self._visited.add(cell)
        self._steps += 1
        found = self._goal and cell == self._size * self._size - 1
        truncated = not found and self._steps >= self._episode_steps
        info = {"cells_visited": len(self._visited)}
        return self._observe(), float(found), found, truncated, info

    def _observe(self) -> Any:
        if self._table is not None:
            return self._table[self._cell].copy()
        assert self._picture is not None
        picture = self._picture.copy()
        picture[1].reshape(-1)[self._cell] = 255
        return picture


def _check(size: int, image: bool, one_hot: bool, episode_steps: int) -> None:
    if size < _SMALLEST:
        what = f"size={size} must be at least {_SMALLEST}"
        raise RlpytError("env", what, where="FourRooms", hint="use 20, say")
    if episode_steps < 1:
        what = f"episode_steps={episode_steps} must be at least 1"
        raise RlpytError("env", what, where="FourRooms", hint="use 500, say")
    if image and one_hot:
        what = "image=True and one_hot=True are two observations"
        raise RlpytError("env", what, where="FourRooms", hint="set one of them")


def _walls(size: int) -> np.ndarray[Any, Any]:
    """Where walls stand: bool [size, size]."""
    middle = size // 2
    doors = [middle // 2, (middle + size) // 2]  # the middles of both halves
    walls = np.zeros((size, size), bool)
    walls[middle, :] = walls[:, middle] = True
    walls[middle, doors] = walls[doors, middle] = False
    return walls


def _transitions(walls: np.ndarray[Any, Any]) -> list[list[int]]:
    """The cell that each action leads to, for each cell: cell ``row * size + column``."""
    size = len(walls)
    table = []
    for cell in range(size * size):
        row, column = divmod(cell, size)
        reached = []
        for rows, columns in _MOVES:
            r, c = row + rows, column + columns
            free = 0 <= r < size and 0 <= c < size and not walls[r, c]
            reached.append(r * size + c if free else cell)
        table.append(reached)
    return table


def _coordinates(size: int) -> np.ndarray[Any, Any]:
    """(row, column) of every cell in [-1, 1], float32 [size², 2]."""
    cells = np.stack(np.divmod(np.arange(size * size), size), axis=-1)
    return (cells * (2.0 / (size - 1)) - 1.0).astype(np.float32)


def _one_hot(size: int) -> np.ndarray[Any, Any]:
    """(row, column) of every cell as two one-hot vectors, float32 [size², 2 * size]."""
    rows, columns = np.divmod(np.arange(size * size), size)
    eye = np.eye(size, dtype=np.float32)
    return np.concatenate([eye[rows], eye[columns]], axis=-1)


@final
@dataclass
class FourRoomsTrajInfo(TrajInfo):
    """Statistics of an episode in :class:`FourRooms`, with the number of different cells visited.

    Needs :data:`FOUR_ROOMS_INFO_KEYS` to be recorded.
    """

    CellsVisited: float = 0.0

    def extend(self, fragment: Samples) -> None:
        """Take in ``n`` consecutive steps of the episode: numpy arrays [n, ...]."""
        super().extend(fragment)
        info = fragment.env_info
        if info is None or FOUR_ROOMS_INFO_KEYS[0] not in info:
            hint = "set EnvConfig(info_keys=FOUR_ROOMS_INFO_KEYS) in the sampler"
            raise RlpytError("config", "the cells visited are not recorded", hint=hint)
        self.CellsVisited = float(np.asarray(info.cells_visited)[-1])
