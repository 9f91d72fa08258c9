"""One Atari game as a ``gymnasium.Env``: the back end that can be saved, drawn and wrapped."""

import importlib
from collections.abc import Iterator
from typing import Any, SupportsFloat, final

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.envs.atari import AtariConfig, rom_of
from rlpyt.envs.gym import make_env
from rlpyt.utils.errors import RlpytError

__all__ = ["AtariGame", "ale_seed", "make_atari"]

_OURS = {  # what AtariEnv would do by itself: the field of AtariConfig that does it
    "frameskip": "frame_skip",
    "repeat_action_probability": "repeat_action_probability",
    "full_action_space": "full_action_space",
    "max_num_frames_per_episode": "max_frames",
    "obs_type": "grayscale",
}
_WORD = 2**32
_NONE = -1


def ale_seed(seed: int) -> int:
    """The seed of the emulator and of the no-ops: 31 bits, and not 0, which ale-py takes for no
    seed.
    """
    return seed % (2**31 - 1) + 1


def make_atari(env_id: Any, kwargs: dict[str, Any], config: AtariConfig) -> "AtariGame":
    """The game ``env_id`` with its preprocessing; ``kwargs`` (``mode``, ``difficulty``,
    ``render_mode``) are ale-py's.

    Raises:
        RlpytError: for an id of no Atari game, a missing package, or a setting that does not fit.
    """
    config.check()
    rom_of(env_id)
    for name, field in _OURS.items():
        if name in kwargs:
            raise RlpytError(
                "config",
                f"kwargs.{name} is a part of the preprocessing",
                hint=f"set atari.{field}, or atari=null for the plain environment",
            )
    own = {
        "frameskip": 1,
        "repeat_action_probability": config.repeat_action_probability,
        "full_action_space": config.full_action_space,
        "max_num_frames_per_episode": None,
        "obs_type": "grayscale" if config.grayscale else "rgb",
    }
    return AtariGame(make_env(env_id, {**kwargs, **own}), config)


@final
class AtariGame(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An ``ale_py.AtariEnv`` with the preprocessing of :class:`rlpyt.envs.atari.AtariConfig`.

    With ``terminal_on_life_loss``, ``reset`` after a lost life goes on with the game and does not
    use its seed; at any other time it starts a new one. ``info`` has ``game_reward``, ``game_over``
    and ``lives``.
    """

    def __init__(self, env: Any, config: AtariConfig) -> None:
        """``env`` is an AtariEnv that skips no frames; it is stepped through its emulator."""
        super().__init__(env.unwrapped)
        self._config = config
        self._game: Any = env.unwrapped
        self._ale: Any = self._game.ale
        self._resize: Any = _opencv()
        height, width = self._ale.getScreenDims()
        size, depth = config.screen_size, 1 if config.grayscale else 3
        screen = (height, width) if config.grayscale else (height, width, 3)
        self._raw = np.zeros((2, *screen), np.uint8)  # the last two screens; 0 has the maximum
        self._stack = np.zeros((config.stack * depth, size, size), np.uint8)
        self._depth = depth
        self.observation_space = spaces.Box(0, 255, self._stack.shape, np.uint8)
        legal, minimal = self._ale.getLegalActionSet, self._ale.getMinimalActionSet
        self._actions = list(legal() if config.full_action_space else minimal())
        fire = self._action_named("FIRE") if config.use_fire_reset else None
        self._fire = fire if fire in self._actions else None
        self._max_frames = config.max_frames or float("inf")
        self._frames = self._lives = 0  # since the game's start; after the last step
        self._goes_on = False  # whether a life was lost in the last step, and not the game
        self._words = _mersenne_twister(0)
        self._seed = _NONE
        self._log: list[int] = []  # since the seed: actions, and resets as _NONE

    def _action_named(self, name: str) -> Any:
        return type(self._ale.getLegalActionSet()[0]).__members__[name]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a game, or go on with it after a lost life; [stack, size, size] uint8.

        Without a ``seed`` the generators of sticky actions and no-ops go on.
        """
        if self._goes_on:
            self._log.append(_NONE)
            self._goes_on = False
            self._stack[: -self._depth] = 0
            return self._stack.copy(), self._info(0, False)
        if seed is not None:
            self._seed_game(seed)
        elif self._seed == _NONE:
            raise RlpytError("env", "an Atari game was reset without a seed", hint="give the first")
        else:
            self._log.append(_NONE)
        self._ale.reset_game()
        noops = self._draw_noops()
        if self._fire is not None:
            self._ale.act(self._fire)
            noops -= 1
        for _ in range(noops):
            self._ale.act(0)
            if self._ale.game_over():
                self._ale.reset_game()
        self._screen(0)
        self._raw[1] = 0
        self._stack[:] = 0
        self._push()
        self._frames, self._lives = 0, self._ale.lives()
        return self._stack.copy(), self._info(0, False)

    def _seed_game(self, seed: int) -> None:
        self._ale.setInt("random_seed", ale_seed(seed))  # takes effect as the ROM is loaded
        self._game.load_game()
        self._words = _mersenne_twister(ale_seed(seed))
        self._seed, self._log = seed, []

    def _draw_noops(self) -> int:
        """Uniform over 0 to ``noop_max``, from the same words and by the same rule as ale-py's
        vector environment (``std::uniform_int_distribution`` of libstdc++, by multiplication).
        """
        n = self._config.noop_max + 1
        while True:
            product = next(self._words) * n
            if product % _WORD >= _WORD % n:
                return product // _WORD

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Hold ``action`` for ``frame_skip`` frames."""
        self._log.append(int(action))
        ale, held, reward = self._ale, self._actions[action], 0
        over = cut = False
        for left in range(self._config.frame_skip, 0, -1):
            reward += ale.act(held)
            self._frames += 1
            over, cut = ale.game_over(), self._frames >= self._max_frames
            if over or cut:
                break
            if left <= 2:
                self._screen(left - 1)
        self._push()
        lives = ale.lives()
        lost = self._config.terminal_on_life_loss and 0 < lives < self._lives
        self._goes_on = lost and not (over or cut)
        self._lives = lives
        info = self._info(reward, over or cut)
        clip = self._config.reward_clip
        given = float(reward) if clip is None else max(-clip, min(clip, float(reward)))
        terminated = over or self._goes_on
        return self._stack.copy(), given, terminated, cut and not over, info

    def _info(self, reward: int, over: bool) -> dict[str, Any]:
        return {"game_reward": float(reward), "game_over": over, "lives": self._lives}

    def _screen(self, index: int) -> None:
        if self._config.grayscale:
            self._ale.getScreenGrayscale(self._raw[index])
        else:
            self._ale.getScreenRGB(self._raw[index])

    def _push(self) -> None:
        """The next frame of the stack, from the last two screens."""
        np.maximum(self._raw[0], self._raw[1], out=self._raw[0])
        frame = self._resize(self._raw[0], self._config.screen_size)
        self._stack[: -self._depth] = self._stack[self._depth :]
        self._stack[-self._depth :] = frame if self._depth == 1 else np.moveaxis(frame, -1, 0)

    def get_state(self) -> dict[str, Any]:
        """The last seed, and the actions and resets since.

        Not ale-py's ``cloneState``: it leaves out the action that sticky actions repeat.
        """
        return {"seed": self._seed, "log": np.array(self._log, np.int64)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take them again."""
        self._goes_on = False
        self.reset(seed=int(state["seed"]))
        for entry in np.asarray(state["log"]).tolist():
            if entry == _NONE:
                self.reset()
            else:
                self.step(entry)


def _opencv() -> Any:
    """A function that resizes an image [H, W(, 3)] to a square by area."""
    try:
        cv2 = importlib.import_module("cv2")  # an optional package, hence here and not on top
    except ImportError as cause:
        raise RlpytError(
            "env",
            f"Atari preprocessing needs the package cv2: {cause}",
            hint='pip install "rlpyt[atari]"',
        ) from cause
    area = cv2.INTER_AREA
    return lambda image, size: cv2.resize(image, (size, size), interpolation=area)


def _mersenne_twister(seed: int) -> Iterator[int]:
    """The 32-bit words of MT19937 (Matsumoto and Nishimura 1998), as ``std::mt19937(seed)``.

    Written out, since NumPy seeds its own in another way.
    """
    size, shift, ones = 624, 397, _WORD - 1
    words = [seed]
    for i in range(1, size):
        words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + i) & ones)
    while True:
        for i in range(size):
            mixed = (words[i] & 0x80000000) | (words[(i + 1) % size] & 0x7FFFFFFF)
            word = words[(i + shift) % size] ^ (mixed >> 1) ^ (0x9908B0DF if mixed & 1 else 0)
            words[i] = word
            word ^= word >> 11
            word ^= (word << 7) & 0x9D2C5680
            word ^= (word << 15) & 0xEFC60000
            yield word ^ (word >> 18)
