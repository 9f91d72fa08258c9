"""From what a user names to a running vector of environments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, final

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv as GymVectorEnv
from gymnasium.wrappers import FrameStackObservation, TimeLimit

from rlpyt.data import EnvSpaces
from rlpyt.envs.atari import ATARI_INFO_KEYS, AtariConfig, atari_defaults
from rlpyt.envs.atari_game import make_atari
from rlpyt.envs.atari_vector import NATIVE_OPTIONS, AtariVectorEnv
from rlpyt.envs.envpool import EnvPool, is_envpool
from rlpyt.envs.gym import find_spec, make_env, named_callable
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream

__all__ = ["ClipReward", "EnvConfig", "build_env", "build_vector_env", "peek_spaces"]

_UNCLIPPED = "unclipped_reward"


@final
@dataclass(kw_only=True)
class EnvConfig:
    """An environment by Gymnasium id, ``"module:callable"``, or callable, with the wrappers most
    people want.

    Observation and reward *normalisation* are not here: they are state of the agent
    (``normalize_observation``) and of the algorithm (``normalize_reward``), so that evaluation and
    resume cannot forget them.

    ``"auto"`` is decided at once, and stays decided in a copy: an Atari id gets the preprocessing
    of its convention (``ALE/Pong-v5``, ``PongNoFrameskip-v4``) and ale-py's vector environment,
    where ``kwargs`` allow it; ``envpool/Pong-v5`` EnvPool's, with its own options as ``kwargs``;
    everything else the loop and no Atari preprocessing. The reward
    before clipping and the end of a game are recorded with it: ``info_keys`` gets ``game_reward``
    and ``game_over``.
    """

    id: str | Callable[..., Any]
    kwargs: dict[str, Any] = field(default_factory=dict)
    # native: the suite's own vector environment
    vectorization: Literal["auto", "loop", "native"] = "auto"
    # Preprocessing of an Atari game; None: the plain Gymnasium environment.
    atari: AtariConfig | Literal["auto"] | None = "auto"
    clip_reward: float | None = None  # to [-clip_reward, clip_reward]
    frame_stack: int | None = None  # the last n observations, stacked in front
    time_limit: int | None = None  # truncate after so many steps
    info_keys: tuple[str, ...] = ()  # numeric leaves of ``info`` to record as float32

    def __post_init__(self) -> None:
        if self.atari == "auto":
            self.atari = atari_defaults(self.id)
        if self.vectorization == "auto":
            is_ale = self.atari is not None and set(self.kwargs) <= set(NATIVE_OPTIONS)
            self.vectorization = "native" if is_ale or is_envpool(self.id) else "loop"
        keys = dict.fromkeys(self.info_keys)
        if self.atari is not None:
            self.info_keys = tuple(keys | dict.fromkeys(ATARI_INFO_KEYS))
        elif atari_defaults(self.id) is not None:  # a copy without preprocessing has no such keys
            self.info_keys = tuple(key for key in keys if key not in ATARI_INFO_KEYS)

    def for_evaluation(self) -> "EnvConfig":
        """The task as it is scored: to the end of the game, and with the rewards before clipping
        recorded (:attr:`score_key`). They stay clipped for the agent: a network that is told the
        previous one is told what it has learned from.
        """
        atari, keys = self.atari, dict.fromkeys(self.info_keys)
        if isinstance(atari, AtariConfig):
            atari = replace(atari, terminal_on_life_loss=False)
        if self.clip_reward is not None:
            keys[_UNCLIPPED] = None
        return replace(self, atari=atari, info_keys=tuple(keys))

    @property
    def score_key(self) -> str | None:
        """What is recorded of the reward before clipping, one of ``info_keys``; None where the
        reward is not clipped, or nothing is recorded.
        """
        clips = {_UNCLIPPED: self.clip_reward is not None}
        if isinstance(self.atari, AtariConfig):
            clips[ATARI_INFO_KEYS[0]] = self.atari.reward_clip is not None
        return next((key for key, clip in clips.items() if clip and key in self.info_keys), None)

    @staticmethod
    def of(env: "EnvConfig | str | Callable[..., Any]") -> "EnvConfig":
        """``env`` itself, or an EnvConfig around an id or callable."""
        return env if isinstance(env, EnvConfig) else EnvConfig(id=env)


@final
class ClipReward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Rewards in [-limit, limit]; ``info`` has each as it was, as ``unclipped_reward``."""

    def __init__(self, env: gymnasium.Env[Any, Any], limit: float) -> None:
        super().__init__(env)
        self.limit = limit

    def step(self, action: Any) -> Any:
        """One step."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        clipped = float(np.clip(float(reward), -self.limit, self.limit))
        info = {**info, _UNCLIPPED: float(reward)}
        return observation, clipped, terminated, truncated, info


def build_env(config: EnvConfig, *, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    """One environment with its wrappers; ``render_mode`` is passed on where given."""
    kwargs = config.kwargs if render_mode is None else {**config.kwargs, "render_mode": render_mode}
    if isinstance(config.atari, AtariConfig):
        _refuse_wrappers(config)
        return make_atari(config.id, kwargs, config.atari)
    env = make_env(config.id, kwargs)
    if config.frame_stack is not None:
        env = FrameStackObservation(env, config.frame_stack)
    if config.clip_reward is not None:
        env = ClipReward(env, config.clip_reward)
    if config.time_limit is not None:
        env = TimeLimit(env, config.time_limit)
    return env


def _refuse_wrappers(config: EnvConfig) -> None:
    """Raise for the general form of what an AtariConfig says in its own."""
    for name, instead in (
        ("clip_reward", "reward_clip"),
        ("frame_stack", "stack"),
        ("time_limit", "max_frames"),
    ):
        if getattr(config, name) is not None:
            what = f"{name} is not for an Atari game with its preprocessing"
            raise RlpytError("config", what, hint=f"use atari.{instead}")


def build_vector_env(
    config: EnvConfig,
    env_indices: Sequence[int],
    *,
    seed: int,
    stream: Stream = Stream.ENV,
    auto_reset: bool = True,
    total_envs: int | None = None,
) -> VectorEnv:
    """The environments with these global indices, out of ``total_envs``; ``None``: just these.

    Raises:
        RlpytError: for options that a native vector environment cannot honour.
    """
    if config.vectorization == "loop":
        return LoopVectorEnv(
            partial(build_env, config),
            env_indices,
            seed=seed,
            stream=stream,
            auto_reset=auto_reset,
            info_keys=config.info_keys,
            description=config_dict(config),
            total_envs=total_envs,
        )
    return _build_native(config, env_indices, seed=seed, stream=stream, auto_reset=auto_reset)


def _build_native(
    config: EnvConfig, env_indices: Sequence[int], *, seed: int, stream: Stream, auto_reset: bool
) -> VectorEnv:
    atari = config.atari if isinstance(config.atari, AtariConfig) else None
    for name, value in (
        ("clip_reward", config.clip_reward),
        ("frame_stack", config.frame_stack),
        ("time_limit", config.time_limit),
        ("info_keys", config.info_keys if config.info_keys and atari is None else None),
        ("mid_batch_reset=False", None if auto_reset else True),
    ):
        if value is not None:
            raise RlpytError(
                "config",
                f"{name} is not available with vectorization='native'",
                hint="set the suite's own option in kwargs, or use vectorization='loop'",
            )
    if atari is not None:
        return AtariVectorEnv(
            config.id,
            atari,
            env_indices,
            seed=seed,
            stream=stream,
            options=config.kwargs,
            info_keys=config.info_keys,
            description=config_dict(config),
        )
    return NativeVectorEnv(
        partial(_make_native, config),
        env_indices,
        seed=seed,
        stream=stream,
        description=config_dict(config),
    )


def _make_native(config: EnvConfig, n_envs: int) -> GymVectorEnv[Any, Any, Any]:
    if is_envpool(config.id):
        return EnvPool(str(config.id), n_envs, config.kwargs)
    make = named_callable(config.id)
    if make is not None:
        made = make(num_envs=n_envs, **config.kwargs)
        if not isinstance(made, GymVectorEnv):
            raise RlpytError(
                "env",
                f"{config.id} returned {type(made).__name__}, expected a vector environment",
                hint="use vectorization='loop' for a callable that returns a gymnasium.Env",
            )
        return made
    if find_spec(str(config.id)).vector_entry_point is None:
        raise RlpytError(
            "env", f"{config.id} has no native vector environment", hint="use vectorization='loop'"
        )
    return gymnasium.make_vec(
        str(config.id), num_envs=n_envs, vectorization_mode="vector_entry_point", **config.kwargs
    )


def peek_spaces(config: EnvConfig) -> EnvSpaces:
    """The spaces of one environment, from an instance that is closed again.

    Raises:
        RlpytError: as :func:`build_vector_env` does, and for a constructor that raises.
    """
    env = build_vector_env(config, range(1), seed=0)
    env.close()
    return env.spaces
