"""Configuration: a component that is not initialized *is* its configuration.

Components are dataclasses nested in each other. :func:`config_dict` writes one down completely, as
data for JSON; :func:`apply_overrides` makes a changed copy from dotted paths such as
``algo.learning_rate=1e-3``.
"""

import functools
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from gymnasium import Env, Space
from gymnasium.vector import VectorEnv

from rlpyt.utils.convert import convert, parse_value, type_name
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = [
    "apply_overrides",
    "apply_values",
    "config_dict",
    "config_value",
    "dotted_path",
    "flatten_config",
    "fresh",
]

Component = TypeVar("Component")


def config_dict(component: Any) -> dict[str, Any]:
    """The complete configuration as data for JSON: ``{"class": dotted path, field: value, ...}``.

    Every field of ``__init__`` appears, defaults too, except those declared with
    ``metadata={"config": False}``. Equal configurations give equal data, in every process.
    """
    settings = {name: config_value(getattr(component, name)) for name in _config_fields(component)}
    return {"class": dotted_path(type(component)), **settings}


def fresh(component: Component) -> Component:
    """A copy that is not initialised, nor is any component in it."""
    inner = {
        name: fresh(getattr(component, name))
        for name in _config_fields(component)
        if is_dataclass(getattr(component, name)) and not isinstance(getattr(component, name), type)
    }
    return replace(component, **inner)  # type: ignore[type-var]  # a dataclass, as every component


def config_value(value: Any) -> Any:
    """``value`` as data for JSON.

    Components become dicts, classes dotted paths, functions and environment classes
    ``"module:name"`` (as environments are given), tuples lists, enumerations their name, spaces and
    devices their text, other objects the dotted path of their class; NaN and infinities become
    text, since JSON has none.
    """
    if is_dataclass(value) and not isinstance(value, type):
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


def apply_overrides(component: Component, overrides: Iterable[str]) -> Component:
    """A copy of ``component`` with overrides such as ``"algo.learning_rate=1e-3"``; the last wins.

    A path goes through fields and through dicts (``agent.model_kwargs.hidden_sizes=[64, 64]``). A
    dict takes new keys, unless its field declares ``metadata={"keys": [...]}``. A component that is
    None begins with its defaults, at the first path into it (``algo.replay.prioritized.alpha=0.6``)
    or with ``{}``. Values are JSON, Python numbers or strings, checked and converted against the
    field's annotation. Components off the paths are shared with the original.

    Raises:
        RlpytError: ``config``, naming the full path, for a malformed override, an unknown key or a
            wrong value.
    """
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        if not equals or not all(path.split(".")):
            hint = "write path=value, such as algo.learning_rate=1e-3"
            raise RlpytError("config", f"malformed override {override!r}", hint=hint)
        value = parse_value(text, path)
        component = _with(component, path.split("."), value, path, text.strip())
    return component


def apply_values(component: Component, values: Mapping[str, Any]) -> Component:
    """:func:`apply_overrides` for data by dotted path: ``{"algo.learning_rate": 1e-3}``."""
    for path, value in values.items():
        if not all(path.split(".")):
            raise RlpytError("config", f"malformed path {path!r}", hint="write algo.learning_rate")
        component = _with(component, path.split("."), value, path, None)
    return component


def _config_fields(component: Any) -> dict[str, Field[Any]]:
    return {f.name: f for f in fields(component) if f.init and f.metadata.get("config", True)}


def _with(
    component: Component, parts: list[str], value: Any, path: str, text: str | None
) -> Component:
    """``component`` with the field that ``parts`` leads to replaced by ``value``."""
    name, rest = parts[0], parts[1:]
    known = _config_fields(component)
    kind = type(component)
    if name not in known:
        what = f"{path}: {kind.__name__} has no field {name!r}"
        hint = did_you_mean(name, known) if known else "it has no fields"
        raise RlpytError("config", what, where=dotted_path(kind), hint=hint)
    annotation = get_type_hints(kind)[name]
    current: Any = getattr(component, name)
    absent = _component_type(annotation) if current is None else None
    new: Any
    if absent is not None and rest:
        new = _with(absent(), rest, value, path, text)
    elif absent is not None and value == {}:
        new = absent()
    elif not rest:
        new = _field_value(value, annotation, current, path, text)
    elif is_dataclass(current) and not isinstance(current, type):
        new = _with(current, rest, value, path, text)
    else:
        mapping = _mapping_type(annotation, current)
        if mapping is None:
            hint = f"write {path.removesuffix('.' + '.'.join(rest))}=..."
            now = f"{name} ({type_name(annotation)}, now {current!r:.40})"
            what = f"{path}: {now} has nothing inside"
            raise RlpytError("config", what, where=dotted_path(kind), hint=hint)
        keys = known[name].metadata.get("keys")
        new = _with_item(current or {}, rest, value, mapping, keys, path, text)
    return replace(component, **{name: new})  # type: ignore[type-var]  # it has fields: a dataclass


def _field_value(value: Any, annotation: Any, current: Any, path: str, text: str | None) -> Any:
    try:
        return convert(value, annotation, path, text)
    except RlpytError as error:
        if is_dataclass(current) and not isinstance(current, type):
            inner = ", ".join(f"{path}.{name}" for name in _config_fields(current))
            raise RlpytError(error.code, error.what, hint=f"set a field: {inner}") from None
        raise


def _options(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    is_union = get_origin(annotation) in (Union, UnionType)
    return get_args(annotation) if is_union else (annotation,)


def _component_type(annotation: Any) -> type | None:
    """The component of a field that may also be ``None``, where it has a default for each field."""
    kinds = [kind for kind in _options(annotation) if isinstance(kind, type) and is_dataclass(kind)]
    if len(kinds) != 1:
        return None
    given = (f for f in fields(kinds[0]) if f.init)
    complete = all(f.default is not MISSING or f.default_factory is not MISSING for f in given)
    return kinds[0] if complete else None


def _mapping_type(annotation: Any, current: Any) -> tuple[Any, Any] | None:
    """Key and item type of a dict field, also of one that may be ``None``; ``None`` for others."""
    for option in _options(annotation):
        kind = get_origin(option) or option
        if isinstance(kind, type) and issubclass(kind, Mapping):
            key, item = get_args(option) or (Any, Any)
            return key, item
    return (Any, Any) if isinstance(current, Mapping) else None


def _with_item(
    current: Mapping[str, Any],
    parts: list[str],
    value: Any,
    mapping: tuple[Any, Any],
    keys: Iterable[str] | None,
    path: str,
    text: str | None,
) -> dict[str, Any]:
    """``current`` with the item that ``parts`` leads to replaced; ``keys`` are all it may have."""
    name, rest = parts[0], parts[1:]
    known = list(current if keys is None else keys)
    if name not in known and (keys is not None or rest):
        what = f"{path}: no key {name!r}"
        raise RlpytError("config", what, hint=did_you_mean(name, known) if known else "it is empty")
    old = current.get(name)
    new: Any
    if not rest:
        new = convert(value, mapping[1], path, text)
        new = tuple(new) if isinstance(old, tuple) and isinstance(new, list) else new
    elif is_dataclass(old) and not isinstance(old, type):
        new = _with(old, rest, value, path, text)
    elif isinstance(old, Mapping):
        new = _with_item(old, rest, value, (Any, Any), None, path, text)
    else:
        raise RlpytError("config", f"{path}: {name!r} is {old!r}, which has nothing inside")
    return {**current, name: new}
