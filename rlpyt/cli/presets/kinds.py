"""What decides the defaults."""

from dataclasses import replace
from typing import Literal

from gymnasium import spaces

from rlpyt.data import EnvSpaces
from rlpyt.envs.atari import AtariConfig
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.dm_control_pixels import pixel_stack
from rlpyt.envs.spaces import space_items
from rlpyt.replays.frames import FrameStorage
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.errors import RlpytError

__all__ = ["Kind", "Recurrent", "image_replay", "kind_of", "refuse_memory", "unclipped"]

Kind = Literal["discrete", "continuous", "image"]
"""What decides the defaults: images observed, else whether actions are real numbers."""

Recurrent = Literal["none", "lstm", "gru"]
"""Which recurrent part a model is given."""


def kind_of(env_spaces: EnvSpaces) -> Kind:
    """Which defaults fit these spaces."""
    leaves = [space for _path, space in space_items(env_spaces.observation)]
    if any(isinstance(space, spaces.Box) and len(space.shape) >= 2 for space in leaves):
        return "image"
    actions = [space for _path, space in space_items(env_spaces.action)]
    if any(isinstance(space, spaces.Box) for space in actions):
        return "continuous"
    return "discrete"


def refuse_memory(algorithm: str, recurrent: Recurrent, hint: str) -> None:
    """Raise where a model with memory is asked for, and ``algorithm`` has no use for one."""
    if recurrent != "none":
        what = (
            f"{algorithm} learns from single transitions, --recurrent {recurrent} needs sequences"
        )
        raise RlpytError("config", what, hint=hint)


def unclipped(env: EnvConfig) -> EnvConfig:
    """``env`` with the rewards of an Atari game as they are: for values on the scale of h."""
    if not isinstance(env.atari, AtariConfig):
        return env
    return replace(env, atari=replace(env.atari, reward_clip=None))


def image_replay(env: EnvConfig) -> ReplayBuffer:
    """A million transitions where stacked frames are kept once; else fewer, for they are larger."""
    stack = env.atari.stack if isinstance(env.atari, AtariConfig) else env.frame_stack
    stack = pixel_stack(env.id, env.kwargs) or stack
    if stack is None:
        return ReplayBuffer(size=100_000)
    return ReplayBuffer(size=1_000_000, storage=FrameStorage(n_frames=stack))
