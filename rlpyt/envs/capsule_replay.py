"""Replaying a crash capsule: the same environment, seed and actions, in this process."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from rlpyt.data import EnvStep
from rlpyt.envs.action_log import decode_actions
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.envs.spaces import example_of
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.buffer import buffer_from_example, numpify_buffer
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.config import dotted_path
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.rebuild import component_from
from rlpyt.utils.seed import Stream, seed_int

__all__ = ["ReplayOutcome", "replay_capsule"]


@final
@dataclass(frozen=True, kw_only=True)
class ReplayOutcome:
    """What a replay came to.

    Attributes:
        reproduced: whether it failed as it is recorded: same code, same message but for addresses
            in memory.
        error: what it failed with; ``None`` where nothing failed.
        n_actions: how many it took.
        ended_early: whether the episode ended before the last action, as it did not then.
    """

    reproduced: bool
    error: RlpytError | None
    n_actions: int
    ended_early: bool = False


def replay_capsule(
    capsule: Mapping[str, Any], *, before: Callable[[int | None], None] | None = None
) -> ReplayOutcome:
    """Make the environment anew from its configuration, reset it with the episode's seed, and take
    the recorded actions, through the checks of the run.

    A hang hangs here too, and what killed the process kills this one. The configuration names code
    that is imported and run: replay only files that you trust.

    Args:
        capsule: as :func:`rlpyt.envs.capsule.read_capsule` returns it.
        before: called before the constructor with ``None``, before the reset with 0, and before
            each action with its number, from 1.

    Raises:
        RlpytError: where the environment cannot be made again here (a missing package, a lambda),
            or the capsule has no configuration or no actions.
    """
    config, actions = _config_of(capsule), _actions_of(capsule)
    tell = before or _ignore
    taken = 0
    try:
        tell(None)
        env = _build(capsule, config)
        try:
            if capsule["episode"] is not None:
                _set_task(env, capsule.get("task"))
                observation, out = _arrays(env, config)
                tell(0)
                env.reset(observation, first_episode=capsule["episode"])
                for taken, action in enumerate(actions, 1):
                    tell(taken)
                    _take(env, action, out)
                    if _has_ended(env, out) and taken < len(actions):
                        return ReplayOutcome(
                            reproduced=False, error=None, n_actions=taken, ended_early=True
                        )
        finally:
            with suppress(RlpytError):  # how it fails is what counts, not how it closes then
                env.close()
    except RlpytError as error:
        if error.capsule is None:  # not the environment's
            raise
        return ReplayOutcome(
            reproduced=_is_same(error, capsule["failure"]), error=error, n_actions=taken
        )
    return ReplayOutcome(reproduced=False, error=None, n_actions=taken)


def _ignore(number: int | None) -> None:
    """Tell nobody."""


def _config_of(capsule: Mapping[str, Any]) -> EnvConfig:
    description = capsule["env"]
    if description is None:
        raise RlpytError(
            "capsule",
            "the capsule does not say how to make the environment",
            hint="make vectors of environments with build_vector_env(EnvConfig(...), ...)",
        )
    if description.get("class") != dotted_path(EnvConfig):
        what = f"the capsule's env is a {description.get('class')}, expected an EnvConfig"
        raise RlpytError("capsule", what, hint="it may have been edited")
    config: EnvConfig = component_from(description, "the capsule's env")
    return config


def _actions_of(capsule: Mapping[str, Any]) -> list[Any]:
    """The actions, in an episode that this version of rlpyt seeds as that of the run did."""
    if capsule["actions"] is None:
        what = f"the capsule has none of its {capsule['steps']} actions: there were too many"
        hint = "vectorization='loop' keeps those of the episode"
        raise RlpytError("capsule", what, hint=hint)
    if capsule["episode"] is not None:
        keys = capsule["env_index"], capsule["episode"]
        seed = seed_int(capsule["seed"], Stream[capsule["stream"]], *keys)
        if seed != capsule["episode_seed"]:
            what = f"the capsule's episode seed is {capsule['episode_seed']}, here it is {seed}"
            hint = "it may have been edited, or replay it with the version of rlpyt that it names"
            raise RlpytError("capsule", what, hint=hint)
    return decode_actions(capsule["actions"])


def _build(capsule: Mapping[str, Any], config: EnvConfig) -> VectorEnv:
    first = capsule["env_index"]
    return build_vector_env(
        config,
        range(first, first + capsule["n_envs"]),
        seed=capsule["seed"],
        stream=Stream[capsule["stream"]],
        auto_reset=capsule["auto_reset"],
        total_envs=capsule.get("total_envs"),
    )


def _set_task(env: VectorEnv, task: Mapping[str, Any] | None) -> None:
    if task is not None and isinstance(env, LoopVectorEnv) and env.task_envs[0] is not None:
        env.task_envs[0].set_task(task)


def _arrays(env: VectorEnv, config: EnvConfig) -> tuple[Any, EnvStep]:
    """Where it writes its first observation, and its steps."""
    B, keys = env.n_envs, config.info_keys

    def rows(example: Any) -> Any:
        return numpify_buffer(buffer_from_example(example, (B,)))

    example = example_of(env.spaces.observation)
    info = namedarraytuple("EnvInfo", keys)(*[np.float32(0)] * len(keys)) if keys else None
    reward, no = rows(np.float32(0)), np.False_
    return rows(example), EnvStep(
        rows(example), reward, rows(no), rows(no), rows(example), rows(info)
    )


def _take(env: VectorEnv, action: Any, out: EnvStep) -> None:
    if isinstance(env, NativeVectorEnv):
        env.take(action, out)
    else:
        assert isinstance(env, LoopVectorEnv)
        env.take([action], out)


def _has_ended(env: VectorEnv, out: EnvStep) -> bool:
    """Whether the one episode that is replayed has; a native vector environment goes on."""
    return isinstance(env, LoopVectorEnv) and bool(out.terminated[0] or out.truncated[0])


def _is_same(error: RlpytError, failure: Mapping[str, str]) -> bool:
    return error.code == failure["code"] and _plain(error.what) == _plain(failure["what"])


def _plain(what: str) -> str:
    """``what`` without the addresses of objects, which are others in every process."""
    return re.sub(r"\b0x[0-9a-f]+\b", "0x...", what)
