"""Configuration: a component that is not initialized *is* its configuration.

Components are dataclasses nested in each other. :func:`config_dict` writes one down completely, as
data for JSON; :mod:`rlpyt.utils.overrides` changes a copy.
"""

import functools
import inspect
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import numpy as np
import torch
from gymnasium import Env, Space
from gymnasium.vector import VectorEnv

__all__ = [
    "config_dict",
    "config_fields",
    "config_value",
    "dotted_path",
    "flatten_config",
    "fresh",
    "has_default",
    "is_component",
    "union_members",
]

Component = TypeVar("Component")


def config_dict(component: Any) -> dict[str, Any]:
    """The complete configuration as data for JSON: ``{"class": dotted path, field: value, ...}``.

    Every field of ``__init__`` appears, defaults too, except those declared with
    ``metadata={"config": False}``. Equal configurations give equal data, in every process.
    """
    settings = {name: config_value(getattr(component, name)) for name in config_fields(component)}
    return {"class": dotted_path(type(component)), **settings}


def fresh(component: Component) -> Component:
    """A copy that is not initialised, nor is any component in it."""
    inner = {
        name: fresh(getattr(component, name))
        for name in config_fields(component)
        if is_component(getattr(component, name))
    }
    return replace(component, **inner)  # type: ignore[type-var]  # a dataclass, as every component


def config_value(value: Any) -> Any:
    """``value`` as data for JSON.

    Components become dicts, classes dotted paths, functions and environment classes
    ``"module:name"`` (as environments are given), tuples lists, enumerations their name, spaces and
    devices their text, other objects the dotted path of their class; NaN and infinities become
    text, since JSON has none.
    """
    if is_component(value):
        return config_dict(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        return config_value(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): config_value(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((config_value(item) for item in value), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [config_value(item) for item in value]
    if isinstance(value, Path | Space | torch.device | torch.dtype):
        return str(value)
    if isinstance(value, functools.partial):
        parts = {"function": value.func, "args": value.args, "kwargs": value.keywords}
        return config_value(parts)
    if inspect.isroutine(value) or (isinstance(value, type) and issubclass(value, Env | VectorEnv)):
        return f"{value.__module__ or 'builtins'}:{value.__qualname__}"
    return dotted_path(value if isinstance(value, type) else type(value))


def dotted_path(kind: type) -> str:
    """Where a class lives: ``rlpyt.algos.pg.ppo.PPO``."""
    return f"{kind.__module__}.{kind.__qualname__}"


def flatten_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dicts as one, keys joined by dots: ``{"algo.learning_rate": 0.001}``.

    An empty dict stays a value.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update({f"{key}.{inner}": item for inner, item in flatten_config(value).items()})
        else:
            flat[key] = value
    return flat


def config_fields(component: Any) -> dict[str, Field[Any]]:
    """The fields of a component, or of its class, that are settings, by name."""
    return {f.name: f for f in fields(component) if f.init and f.metadata.get("config", True)}


def is_component(value: Any) -> bool:
    """Whether it is an object of a dataclass, not the class."""
    return is_dataclass(value) and not isinstance(value, type)


def has_default(field: Field[Any]) -> bool:
    """Whether a component can be made without this field."""
    return field.default is not MISSING or field.default_factory is not MISSING


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, ``None`` as its class, or the one type."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)
