"""Atari 2600 games: their preprocessing, in the two conventions of the literature, and their score.

Two back ends give the same observations, rewards and ends for the same seed and actions, pixel for
pixel: :class:`rlpyt.envs.atari_game.AtariGame`, one game as a ``gymnasium.Env``, and
:class:`rlpyt.envs.atari_vector.AtariVectorEnv`, ale-py's C++ vector environment.

What a step is (as Gymnasium's ``AtariPreprocessing``): the action is held for ``frame_skip``
frames, the last two screens are maximised pixel by pixel, made grey, resized by area, and stacked
with those of the steps before; where there were none, frames are zero.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, final

import numpy as np

from rlpyt.data import Samples, TrajInfo
from rlpyt.envs.gym import find_spec
from rlpyt.utils.errors import RlpytError

__all__ = ["ATARI_INFO_KEYS", "AtariConfig", "AtariTrajInfo", "atari_defaults", "rom_of"]

ATARI_INFO_KEYS = ("game_reward", "game_over")
"""What is always recorded of a game: the reward before clipping, and whether the game has ended or
was cut. Beside them, ``lives``."""


@final
@dataclass(kw_only=True)
class AtariConfig:
    """Preprocessing of an Atari game; the defaults are those of the ``v5`` convention.

    Observations are uint8 [stack, screen_size, screen_size], three channels for each frame without
    ``grayscale``, the newest frame last.

    ``terminal_on_life_loss`` ends an episode where a life is lost, but not the game: the next
    episode starts on the very screen where the last one ended, with an empty stack, and only when
    the game is over is it started anew. (Gymnasium's and ale-py's options of this kind restart the
    game, so that nothing after the first life is ever seen; this is the meaning of the published
    results.)
    """

    frame_skip: int = 4  # frames for which an action is held
    screen_size: int = 84  # rows and columns
    grayscale: bool = True
    stack: int = 4  # frames in an observation
    noop_max: int = 30  # a game starts with 0 to so many frames without action, uniformly
    use_fire_reset: bool = False  # a game starts with FIRE for one frame, before these
    terminal_on_life_loss: bool = False
    repeat_action_probability: float = 0.25  # sticky actions, in each frame (Machado et al. 2018)
    reward_clip: float | None = 1.0  # to [-reward_clip, reward_clip]
    max_frames: int | None = 108_000  # a game is cut (truncated) after so many, half an hour
    full_action_space: bool = False  # all 18 actions instead of those that do something

    @staticmethod
    def v5() -> "AtariConfig":
        """As Machado et al. 2018 (arXiv:1709.06009) and Dopamine: sticky actions, and only the
        game's own end ends an episode.
        """
        return AtariConfig()

    @staticmethod
    def no_frameskip_v4() -> "AtariConfig":
        """As Mnih et al. 2015, Baselines and most published code: no sticky actions, and in
        training a lost life ends an episode.
        """
        return AtariConfig(repeat_action_probability=0.0, terminal_on_life_loss=True)

    def check(self) -> None:
        """Raise RlpytError for a value that makes no sense."""
        for name in ("frame_skip", "screen_size", "stack", "max_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise RlpytError("config", f"atari.{name}={value}", hint="use 1 or more")
        if self.noop_max < 0:
            raise RlpytError("config", f"atari.noop_max={self.noop_max}", hint="use 0 or more")
        if not 0 <= self.repeat_action_probability <= 1:
            value = self.repeat_action_probability
            what = f"atari.repeat_action_probability={value}"
            raise RlpytError("config", what, hint="use 0 (none) to 1")
        if self.reward_clip is not None and self.reward_clip <= 0:
            what = f"atari.reward_clip={self.reward_clip}"
            raise RlpytError("config", what, hint="use a positive number, or null for no clipping")


def atari_defaults(env_id: object) -> AtariConfig | None:
    """The convention that an id stands for: that of ``ALE/Pong-v5`` or of ``PongNoFrameskip-v4``;
    ``None`` for everything else.
    """
    if not isinstance(env_id, str):
        return None
    name = env_id.rpartition(":")[2]
    if name.startswith("ALE/"):
        return AtariConfig.v5()
    return AtariConfig.no_frameskip_v4() if name.endswith("NoFrameskip-v4") else None


def rom_of(env_id: object) -> str:
    """The name of an Atari game in ale-py: ``"space_invaders"`` for ``"ALE/SpaceInvaders-v5"``.

    From here on ale-py tells errors only, not its version for every process.

    Raises:
        RlpytError: for anything that is not the id of an Atari game, or without ale-py.
    """
    if isinstance(env_id, str):
        spec = find_spec(env_id)
        if spec.entry_point == "ale_py.env:AtariEnv":
            ale = import_module("ale_py")  # an optional package, hence here and not on top
            ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
            return str(spec.kwargs["game"])
    raise RlpytError(
        "config",
        f"{env_id!r} is no Atari game: the preprocessing in atari is not for it",
        hint="use an id such as ALE/Pong-v5, or atari=null",
    )


@final
@dataclass(kw_only=True)
class AtariTrajInfo(TrajInfo):
    """Statistics of a whole game, however many episodes its lost lives made of it.

    ``GameScore`` is the sum of rewards before clipping, ``Return`` of those that the agent sees.
    Without the recorded :data:`ATARI_INFO_KEYS` (any other environment) the two are the same.
    """

    GameScore: float = 0.0

    def extend(self, fragment: Samples) -> None:
        """Take in ``n`` consecutive steps of the game: numpy arrays [n, ...]."""
        super().extend(fragment)
        reward: Any = fragment.reward if _game(fragment) is None else fragment.env_info.game_reward
        self.GameScore += float(np.asarray(reward, dtype=np.float64).sum())

    def ends(self, samples: Samples) -> Any:
        """Where games have ended, not lives: [T, B] bool."""
        over = _game(samples)
        return samples.terminated | samples.truncated if over is None else over != 0


def _game(samples: Samples) -> Any:
    """``game_over`` where it was recorded, else ``None``."""
    info = samples.env_info
    return None if info is None or "game_over" not in info else info.game_over
