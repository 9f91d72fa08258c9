"""Making one Gymnasium environment: from an id, ``module:callable``, or a callable."""

import importlib
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import gymnasium
from gymnasium import error, spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import FilterObservation, TransformObservation

from rlpyt.envs.dm_control_pixels import PIXELS, register_pixels
from rlpyt.envs.suites import hint_elsewhere, import_suite, install_hint
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["env_name", "find_spec", "make_env", "named_callable"]

# Words by which a message tells which package is missing, and our extra that brings it.
_EXTRAS = (
    ("mujoco", "mujoco"),
    ("imageio", "mujoco"),
    ("box2d", "box2d"),
    ("ale_py", "atari"),
    ("pygame", "video"),
)


def make_env(
    env: str | Callable[..., gymnasium.Env[Any, Any]], env_kwargs: dict[str, Any] | None = None
) -> gymnasium.Env[Any, Any]:
    """One environment.

    Args:
        env: a Gymnasium id (``"CartPole-v1"``; ``"package.module:Id-v0"`` imports the module that
            registers it first), ``"package.module:callable"``, or a callable.
        env_kwargs: keyword arguments of the environment's constructor or of the callable.

    Gymnasium's own checker is left out: what environments return is checked where they are stepped.
    So is the ``mission`` that MiniGrid's environments tell in words, of which arrays cannot be
    made; a task that depends on it is given as a callable that encodes it. What dm_control calls
    ``walker/joints_pos`` is ``walker_joints_pos`` here, where names are those of fields; entries
    without a number in them are left out.

    Raises:
        RlpytError: ``env``, for an unknown id, a missing package, or a callable that returned
            something else. What a constructor itself raises comes through as it is.
    """
    kwargs = env_kwargs or {}
    make = named_callable(env)
    if make is not None:
        return _called(make, kwargs)
    return _with_plain_observation(_registered(str(env), kwargs), str(env))


def named_callable(env: str | Callable[..., Any]) -> Any:
    """What ``"package.module:callable"`` names, or ``env`` itself where it is no string; ``None``
    for a Gymnasium id.

    Raises:
        RlpytError: ``env``, where there is no such module or name.
    """
    if not isinstance(env, str):
        return env
    module_name, colon, name = env.partition(":")
    if colon and all(part.isidentifier() for part in name.split(".")):
        return _imported(module_name, name)
    return None


def env_name(env: str | Callable[..., gymnasium.Env[Any, Any]]) -> str:
    """How messages call ``env``: its id, or the callable's module and name."""
    if isinstance(env, str):
        return env
    name = getattr(env, "__qualname__", type(env).__qualname__)
    return f"{getattr(env, '__module__', type(env).__module__)}:{name}"


def _called(make: object, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    if not callable(make):
        raise RlpytError(
            "env",
            f"an environment is given as an id or a callable, found {make!r}",
            hint="pass the class, or a function that makes the environment, and env_kwargs",
        )
    made = make(**kwargs)
    if isinstance(made, gymnasium.Env):
        return made
    if isinstance(made, gymnasium.vector.VectorEnv):
        hint = "return one environment; samplers make the vector"
    elif type(made).__mro__[-2].__module__.partition(".")[0] == "gym":
        hint = (
            "the old gym package is not Gymnasium; wrap with shimmy.GymV26CompatibilityV0(env=...)"
        )
    else:
        hint = "return an instance of a subclass of gymnasium.Env"
    raise RlpytError(
        "env",
        f"{getattr(make, '__qualname__', make)} returned {type(made).__module__}."
        f"{type(made).__qualname__}, expected a gymnasium.Env",
        hint=hint,
    )


def _imported(module_name: str, name: str) -> object:
    """Attribute ``name`` of the module ``module_name``."""
    try:
        module = importlib.import_module(module_name)
    except ImportError as cause:
        raise RlpytError(
            "env",
            f"cannot import {module_name!r}: {cause}",
            where=f"{module_name}:{name}",
            hint="install the package, or put its folder on PYTHONPATH",
        ) from cause
    found: Any = module
    for part in name.split("."):
        members = vars(found)
        if part not in members:
            known = [key for key, v in members.items() if callable(v) and not key.startswith("_")]
            raise RlpytError(
                "env",
                f"module {module_name!r} has no {name!r}",
                where=f"{module_name}:{name}",
                hint=did_you_mean(part, known) if known else "it defines no public callable",
            )
        found = members[part]
    return found


def find_spec(env_id: str) -> EnvSpec:
    """What Gymnasium knows of ``env_id``, after the package that registers it was imported.

    Raises:
        RlpytError: ``env``, for an unknown id or a missing package.
    """
    _import_suite(env_id)
    try:
        return gymnasium.spec(env_id)
    except error.Error as cause:
        raise RlpytError(
            "env", f"no environment is registered as {env_id!r}", hint=_nearest(env_id)
        ) from cause


def _import_suite(env_id: str) -> None:
    if env_id.startswith(PIXELS):
        register_pixels()
    import_suite(env_id)


def _registered(env_id: str, kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    _import_suite(env_id)
    try:
        return gymnasium.make(env_id, **{"disable_env_checker": True, **kwargs})
    except (error.UnregisteredEnv, error.DeprecatedEnv) as cause:
        raise RlpytError(
            "env", f"no environment is registered as {env_id!r}", hint=_nearest(env_id)
        ) from cause
    except error.DependencyNotInstalled as cause:
        raise RlpytError("env", f"{env_id}: {cause}", hint=_mend(env_id, str(cause))) from cause
    except error.Error as cause:  # a malformed id, say
        raise RlpytError("env", f"{env_id}: {cause}", hint=_nearest(env_id)) from cause
    except ImportError as cause:
        raise RlpytError("env", f"{env_id}: {cause}", hint=_mend(env_id, str(cause))) from cause


def _with_plain_observation(env: gymnasium.Env[Any, Any], env_id: str) -> gymnasium.Env[Any, Any]:
    space = env.observation_space
    if not isinstance(space, spaces.Dict):
        return env
    if type(space.get("mission")).__name__ == "MissionSpace":
        return FilterObservation(env, [key for key in space if key != "mission"])
    if env_id.startswith("dm_control/"):
        return _with_field_names(env, space)
    return env


def _with_field_names(env: gymnasium.Env[Any, Any], space: spaces.Dict) -> gymnasium.Env[Any, Any]:
    kept = {key: child for key, child in space.items() if 0 not in (child.shape or ())}
    names = {key: key.replace("/", "_") for key in kept}
    if all(name == key for key, name in names.items()) and len(kept) == len(space):
        return env
    renamed = spaces.Dict({names[key]: child for key, child in kept.items()})
    return TransformObservation(
        env, lambda observation: {name: observation[key] for key, name in names.items()}, renamed
    )


def _nearest(env_id: str) -> str:
    elsewhere = hint_elsewhere(env_id)
    if elsewhere:
        return elsewhere
    near = get_close_matches(env_id, gymnasium.registry, n=1, cutoff=0.5)
    if near:
        return did_you_mean(env_id, near)
    return "gymnasium.pprint_registry() lists the known ids; write package.module:Id-v0 for others"


def _mend(env_id: str, message: str) -> str:
    """What to do where ``env_id`` is known and ``message`` says why it cannot be made."""
    lowered = message.lower()
    if "moved to" in lowered:  # HalfCheetah-v3, to another package
        old = gymnasium.spec(env_id)
        versions = [spec.version or 0 for spec in gymnasium.registry.values() if _same(spec, old)]
        return f"use {env_id.removesuffix(f'v{old.version}')}v{max(versions)}"
    for word, extra in _EXTRAS:
        if word in lowered:
            return install_hint(extra)
    return hint_elsewhere(env_id) or "install the package that the message names"


def _same(one: EnvSpec, other: EnvSpec) -> bool:
    """Whether these are versions of one environment."""
    return (one.namespace, one.name) == (other.namespace, other.name)
