"""Presets made small, for what trains every one of them in seconds: ``rlpyt verify --quick``, and
the matrix of exactness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, final

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.identity import PIXEL_FRAMES
from rlpyt.replays.frames import FrameStorage

__all__ = [
    "IdentityKind",
    "Sizes",
    "identity_env",
    "identity_kind",
    "pixel_storage",
    "small_agent",
    "small_parts",
]

IdentityKind = Literal["discrete", "continuous", "pixels"]
"""The kinds of :class:`~rlpyt.envs.identity.Identity`."""

_PIXELS = frozenset({"drqv2", "rad_sac"})
_CONTINUOUS = frozenset({"crossq", "ddpg", "drac", "drdaac", "redq", "sac", "td3", "tqc"})


@final
@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How small."""

    hidden: tuple[int, ...]  # layers of policies and critics with a critic apart
    hidden_else: tuple[int, ...]  # of all others
    rnn: int
    feature: int  # numbers that an image becomes
    embedding: int  # numbers that an observation becomes in an intrinsic reward
    embedding_hidden: tuple[int, ...]
    random_steps: int  # environment steps
    noise_steps: int


def identity_kind(algorithm: str) -> IdentityKind:
    """Which kind the preset is tried on: one that it can take, and that is unlike the others'."""
    if algorithm in _PIXELS:
        return "pixels"
    return "continuous" if algorithm in _CONTINUOUS else "discrete"


def identity_env(kind: IdentityKind, **kwargs: Any) -> EnvConfig:
    """The environment, with further arguments."""
    return EnvConfig(id="rlpyt.envs.identity:Identity", kwargs={"kind": kind, **kwargs})


def pixel_storage() -> FrameStorage:
    """Of a replay that keeps each of its images once."""
    return FrameStorage(n_frames=PIXEL_FRAMES)


def small_agent(agent: Any, kind: IdentityKind, sizes: Sizes) -> Any:
    """``agent`` with small networks, exploring for few steps."""
    is_qpg = isinstance(agent, QpgAgent)
    model = {**agent.model_kwargs, "hidden_sizes": sizes.hidden if is_qpg else sizes.hidden_else}
    if model.get("recurrent", "none") != "none":
        model["rnn_size"] = sizes.rnn
    if kind == "pixels":
        model["feature_size"] = sizes.feature
    made = replace(agent, model_kwargs=model)
    if not is_qpg:
        return made
    steps = {"random_steps": sizes.random_steps, "noise_steps": sizes.noise_steps}
    return replace(made, exploration=replace(made.exploration, **steps))


def small_parts(
    algo: RlAlgorithm, kind: IdentityKind, sizes: Sizes, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Of the ``wanted`` settings those that ``algo`` has, and small networks where it has some."""
    known = {field.name for field in fields(algo) if field.init}
    found = {name: value for name, value in wanted.items() if name in known}
    if "reward_kwargs" in known:
        small = {"feature_size": sizes.embedding, "hidden_sizes": sizes.embedding_hidden}
        found["reward_kwargs"] = {"episodic_kwargs": small, "lifelong_kwargs": small}
    if isinstance(algo, QpgAlgorithm):
        critic = {**algo.critic_kwargs, "hidden_sizes": sizes.hidden}
        critic |= {"rnn_size": sizes.rnn} if "recurrent" in critic else {}
        critic |= {"feature_size": sizes.feature} if kind == "pixels" else {}
        found["critic_kwargs"] = critic
    return found
