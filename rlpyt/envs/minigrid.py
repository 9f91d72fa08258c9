"""MiniGrid's view as an image for networks: channels first, scaled or one-hot, without the mission.

Chevalier-Boisvert et al. 2023, "Minigrid & Miniworld" (arXiv:2306.13831), an optional package.
"""

from importlib import import_module
from typing import Any, Literal, final, get_args

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.envs.gym import make_env
from rlpyt.utils.errors import RlpytError

__all__ = ["MiniGridImage", "minigrid"]

Encoding = Literal["one_hot", "scaled", "index"]
_LARGEST = 255


@final
class MiniGridImage(gymnasium.ObservationWrapper[Any, Any, Any]):
    """The view of a MiniGrid environment, uint8 [C, rows, columns]; mission and direction are left
    out.

    A cell has an object, a color and a state (open, closed, locked), each an index. ``"one_hot"``
    gives each of their values a channel (20 in all) of 0 and 255, ``"scaled"`` spreads the three
    indices evenly over 0 to 255, ``"index"`` leaves them as they are.

    Raises:
        RlpytError: ``env``, for an environment without such a view.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], encoding: Encoding = "one_hot") -> None:
        super().__init__(env)
        if encoding not in get_args(Encoding):
            what = f"encoding={encoding!r} is none of {', '.join(get_args(Encoding))}"
            raise RlpytError("env", what, where="MiniGridImage")
        space = env.observation_space
        image = space.get("image") if isinstance(space, spaces.Dict) else None
        if not isinstance(image, spaces.Box) or image.shape[-1] != 3 or len(image.shape) != 3:
            what = f"{space} has no image of objects, colors and states"
            raise RlpytError("env", what, hint="use it with an id of MiniGrid or BabyAI")
        columns, rows, _channels = image.shape
        self._tables = _tables(encoding)
        n_channels = sum(table.shape[1] for table in self._tables)
        self.observation_space = spaces.Box(0, _LARGEST, (n_channels, rows, columns), np.uint8)

    def observation(self, observation: dict[str, Any]) -> np.ndarray[Any, Any]:
        """Encode the view [columns, rows, 3] of one step."""
        cells = observation["image"]
        parts = [table[cells[:, :, i]] for i, table in enumerate(self._tables)]
        encoded: np.ndarray[Any, Any] = np.concatenate(parts, axis=-1)
        return np.ascontiguousarray(encoded.transpose(2, 1, 0))


def minigrid(
    *,
    env: str,
    encoding: Encoding = "one_hot",
    env_kwargs: dict[str, Any] | None = None,
    render_mode: str | None = None,
) -> gymnasium.Env[Any, Any]:
    """The environment with the id ``env``, whose observation is an image; see
    :class:`MiniGridImage`.

    On the command line:

        rlpyt train ppo rlpyt.envs.minigrid:minigrid sampler.env.kwargs.env=MiniGrid-DoorKey-8x8-v0

    Args:
        env: such as ``"MiniGrid-DoorKey-8x8-v0"``.
        encoding: of cells.
        env_kwargs: of that environment.
        render_mode: passed on to Gymnasium.

    Raises:
        RlpytError: ``env``, for an unknown id, or where the package is missing.
    """
    kwargs = dict(env_kwargs or {})
    if render_mode is not None:
        kwargs["render_mode"] = render_mode
    return MiniGridImage(make_env(env, kwargs), encoding)


def _tables(encoding: Encoding) -> list[np.ndarray[Any, Any]]:
    """For object, color and state: a row for each index, uint8 [n, channels]."""
    constants = import_module("minigrid.core.constants")  # optional, hence here and not on top
    names = ("OBJECT_TO_IDX", "COLOR_TO_IDX", "STATE_TO_IDX")
    tables = []
    for n in (max(getattr(constants, name).values()) + 1 for name in names):
        indices = np.arange(n, dtype=np.uint8)[:, None]
        if encoding == "one_hot":
            tables.append(np.eye(n, dtype=np.uint8) * _LARGEST)
        else:
            tables.append(indices * (_LARGEST // (n - 1)) if encoding == "scaled" else indices)
    return tables
