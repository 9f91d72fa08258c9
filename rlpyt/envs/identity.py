"""Name what is seen, or what is hidden: the smallest environments in which there is something to
learn.
"""

from typing import Any, Final, Literal, final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from rlpyt.utils.errors import RlpytError

__all__ = ["PIXEL_FRAMES", "HiddenNumber", "Identity", "hidden_number"]

PIXEL_FRAMES: Final = 3
"""Images that an observation of the kind "pixels" stacks, the newest last."""

_OPTIONS = 4
_SIZE = 24  # pixels


@final
class Identity(gymnasium.Env[Any, Any]):
    """Each step shows something new, and pays for an action that names it.

    ========== ========================================== ================== ====================
    kind       observation                                action             reward
    ========== ========================================== ================== ====================
    discrete   index i of 4                               index a            1 if a = i
    continuous x in [-1, 1], float32 [1]                  a in [-1, 1]       1 - (a - x)²
    pixels     three images as bright as x was in the     a in [-1, 1]       1 - (a - x)², x the
               last steps, uint8 [3, 24, 24]                                 newest
    ========== ========================================== ================== ====================

    An episode is truncated after ``episode_steps``; each of its steps terminates it with
    ``end_chance``. The best return of a whole episode is ``episode_steps``.

    Raises:
        RlpytError: ``config``, for a kind that there is not, or numbers out of range.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # as Gymnasium declares it

    def __init__(
        self,
        kind: Literal["discrete", "continuous", "pixels"] = "discrete",
        episode_steps: int = 10,
        end_chance: float = 0.0,
    ) -> None:
        if kind not in ("discrete", "continuous", "pixels"):
            hint = "use discrete, continuous or pixels"
            raise RlpytError("config", f"Identity(kind={kind!r})", hint=hint)
        if episode_steps < 1 or not 0.0 <= end_chance <= 1.0:
            what = f"Identity(episode_steps={episode_steps}, end_chance={end_chance})"
            raise RlpytError("config", what, hint="use 1 step or more, and a chance of 0 to 1")
        self._kind, self._episode_steps, self._end_chance = kind, episode_steps, end_chance
        self.action_space: Any = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.observation_space: Any = spaces.Box(-1.0, 1.0, (1,), np.float32)
        if kind == "discrete":
            self.observation_space = self.action_space = spaces.Discrete(_OPTIONS)
        elif kind == "pixels":
            shape = (PIXEL_FRAMES, _SIZE, _SIZE)
            self.observation_space = spaces.Box(0, 255, shape, np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin an episode."""
        super().reset(seed=seed)
        self._steps = 0
        self._frames: list[Any] = []
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        """Name what was seen last."""
        reward = self._paid(action)
        self._steps += 1
        ended = self._end_chance > 0.0 and bool(self.np_random.random() < self._end_chance)
        return self._observe(), reward, ended, self._steps >= self._episode_steps, {}

    def _paid(self, action: Any) -> float:
        if self._kind == "discrete":
            return float(action == self._shown)
        return 1.0 - float(np.square(np.asarray(action) - self._shown).sum())

    def _observe(self) -> Any:
        if self._kind == "discrete":
            self._shown: Any = int(self.np_random.integers(_OPTIONS))
            return self._shown
        self._shown = self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32)
        if self._kind == "continuous":
            return self._shown.copy()
        level = round(127.5 * (1.0 + float(self._shown[0])))
        frame = np.full((1, _SIZE, _SIZE), level, np.uint8)
        kept = self._frames or [frame] * PIXEL_FRAMES
        self._frames = [*kept[1:], frame]
        return np.concatenate(self._frames)


@final
class HiddenNumber(gymnasium.Env[Any, Any]):
    """A family of tasks: nothing is seen, and each step pays 1 - (a - x)², where the task is x.

    Observation: 0, float32 [1]; action: a in [-1, 1]. Who does not know x does best by a = 0, for
    2/3 a step on average. Episodes have no end of their own: :func:`hidden_number`.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # as Gymnasium declares it

    def __init__(self) -> None:
        self.observation_space = self.action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._number = 0.0

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """``n`` numbers, evenly from [-1, 1]."""
        return [{"number": float(number)} for number in rng.uniform(-1.0, 1.0, n)]

    def set_task(self, task: Any) -> None:
        """Hide the number of ``task``."""
        self._number = float(task["number"])

    def get_task(self) -> dict[str, Any]:
        """What is hidden."""
        return {"number": self._number}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin an episode."""
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> Any:
        """Name the number."""
        reward = 1.0 - float(np.square(np.asarray(action) - self._number).sum())
        return np.zeros(1, np.float32), reward, False, False, {}


def hidden_number(episode_steps: int = 5) -> gymnasium.Env[Any, Any]:
    """:class:`HiddenNumber`, each episode truncated after ``episode_steps``."""
    return TimeLimit(HiddenNumber(), episode_steps)
