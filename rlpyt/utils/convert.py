"""Values of configuration fields: parsed from text, then converted to a type annotation."""

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from inspect import isabstract, isclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import torch

from rlpyt.utils.config import has_default
from rlpyt.utils.dotted import component_named, dotted, located
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.mismatch import mismatch, near, quote

__all__ = ["built", "convert", "parse_value"]

_WORDS = {"true": True, "false": False, "null": None, "none": None}


def parse_value(text: str, place: str) -> Any:
    """What ``text`` means: JSON, a Python number (``1e-3``, ``100_000``), ``true``, ``none``.

    Everything else is the string itself.

    Raises:
        RlpytError: ``config``, for text that starts as JSON and is not, or that names a key twice.
    """
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if not text.startswith(("[", "{", '"')):
        return text
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        what = f"{place} = {quote(text)} is not JSON: {error}"
        raise RlpytError("config", what, hint="close every bracket, or quote a string") from None


def _constant(name: str) -> float:
    if name == "NaN":
        raise ValueError("NaN is not a number")
    return float(name)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"key {name!r} appears twice")
    return dict(pairs)


def convert(value: Any, annotation: Any, place: str, text: str | None = None) -> Any:
    """``value`` as a field annotated ``annotation`` takes it.

    Integers serve as floats, whole floats as integers, lists as tuples, dotted paths and
    ``module:name`` as classes and functions, the name of a class as the component that it makes;
    ``None`` must be allowed by the annotation. NaN is never a setting.

    Args:
        value: what was parsed.
        annotation: the field's type, with forward references resolved.
        place: the full path of the field, for errors.
        text: what the user wrote: a string field takes that and not its meaning (``name=1e3``).

    Raises:
        RlpytError: ``config``, naming the field, the type it takes and the value found.
    """
    origin = get_origin(annotation)
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar):
        if isinstance(value, float) and math.isnan(value):
            raise RlpytError("config", f"{place} = nan is not a number", hint="give a number")
        return value
    if origin is Annotated:
        return convert(value, get_args(annotation)[0], place, text)
    if origin in (Union, types.UnionType):
        return _convert_union(value, annotation, place, text)
    if origin is Literal:
        return _convert_literal(value, annotation, place, text)
    if origin in _CONTAINERS or annotation in _CONTAINERS:
        return _convert_container(value, annotation, place)
    if origin is type or annotation is type or origin is Callable or annotation is Callable:
        return dotted(value, annotation, place)
    return _convert_plain(value, annotation, place, text)


def _convert_union(value: Any, annotation: Any, place: str, text: str | None) -> Any:
    if isinstance(value, Mapping):  # its own error says what is wrong inside
        for member in get_args(annotation):
            if isclass(member) and is_dataclass(member):
                return _from_mapping(value, member, place)
    members = sorted(
        get_args(annotation), key=lambda member: (type(value) is not member, member is str)
    )
    hint = ""
    for member in members:  # the value's own type first, text last
        try:
            return convert(value, member, place, text)
        except RlpytError as error:
            hint = hint or error.hint
    raise mismatch(value, annotation, place, hint)


def _convert_literal(value: Any, annotation: Any, place: str, text: str | None) -> Any:
    choices = get_args(annotation)
    for choice in choices:
        if (type(choice) is type(value) and choice == value) or (
            text is not None and choice == text
        ):
            return choice
    known = ", ".join(repr(choice) for choice in choices)
    what = f"{place} = {quote(value)} is none of {known}"
    raise RlpytError("config", what, hint=near(value, [c for c in choices if isinstance(c, str)]))


_CONTAINERS: Mapping[Any, Callable[[Any], Any]] = types.MappingProxyType(
    {
        tuple: tuple,
        list: list,
        Sequence: tuple,
        set: set,
        frozenset: frozenset,
        Set: frozenset,
        dict: dict,
        Mapping: dict,
    }
)


def _convert_container(value: Any, annotation: Any, place: str) -> Any:
    origin = get_origin(annotation) or annotation
    build, arguments = _CONTAINERS[origin], get_args(annotation)
    if build is dict:
        if not isinstance(value, Mapping):
            raise mismatch(value, annotation, place, "write a JSON object")
        key, item = arguments or (Any, Any)
        return {
            convert(k, key, f"{place}.{k}"): convert(v, item, f"{place}.{k}")
            for k, v in value.items()
        }
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence | Set):
        raise mismatch(value, annotation, place, "write a list: [1, 2]")
    kinds: Sequence[Any] = [arguments[0] if arguments else Any] * len(value)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        kinds = arguments
        if len(value) != len(kinds):
            raise mismatch(value, annotation, place, f"give {len(kinds)} items")
    items = zip(value, kinds, strict=True)
    return build([convert(item, kind, f"{place}[{i}]") for i, (item, kind) in enumerate(items)])


def _convert_plain(value: Any, annotation: Any, place: str, text: str | None) -> Any:
    """A field annotated with one class."""
    kind = get_origin(annotation) or annotation
    if kind is None or kind is types.NoneType:
        if value is None:
            return None
    elif kind is str:
        if isinstance(value, str) or text is not None:
            return value if isinstance(value, str) else text
    elif kind is bool or kind is int or kind is float:
        return _convert_number(value, kind, place)
    elif isclass(kind) and vars(kind).get("_is_protocol"):  # isinstance would refuse to tell
        return dotted(value, annotation, place)
    elif isinstance(value, str) and isclass(kind):
        return _from_string(value, kind, place)
    elif isinstance(value, Mapping) and isclass(kind) and is_dataclass(kind):
        return _from_mapping(value, kind, place)
    elif isclass(kind) and isinstance(value, kind):
        return value
    raise mismatch(value, annotation, place)


def _convert_number(value: Any, kind: type, place: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is float and is_number and not math.isnan(value):
        return float(value)
    if kind is int and is_number and math.isfinite(value) and value == int(value):
        return int(value)  # so that 1e6 is a replay size
    raise mismatch(value, kind, place)


def _from_string(value: str, kind: type, place: str) -> Any:
    """Classes that a string stands for."""
    if issubclass(kind, Path):
        return kind(value)
    if issubclass(kind, Enum):
        if value not in kind.__members__:
            hint = did_you_mean(value, kind.__members__)
            raise RlpytError("config", f"{place} = {quote(value)} is no {kind.__name__}", hint=hint)
        return kind[value]
    if kind is torch.device:
        try:
            return torch.device(value)
        except RuntimeError as error:
            hint = "write cpu, or a name that `rlpyt devices` shows"
            raise mismatch(value, kind, place, hint) from error
    if kind is torch.dtype:
        found = vars(torch).get(value.removeprefix("torch."))
        if isinstance(found, torch.dtype):
            return found
    if isinstance(value, kind):
        return value
    if isabstract(kind):
        return component_named(value, kind, place)
    raise mismatch(value, kind, place)


def _from_mapping(value: Mapping[Any, Any], kind: type, place: str) -> Any:
    """A component by its fields, ``{"weight": 0.5}``; ``"class"`` says which where ``kind`` is
    abstract.
    """
    settings = {str(name): item for name, item in value.items()}
    named = settings.pop("class", None)
    found = kind if named is None else located(str(named), f"{place}.class")
    if not isclass(found) or not issubclass(found, kind) or isabstract(found):
        raise mismatch(value, kind, place, 'say which by "class": "package.module.Name"')
    return built(found, settings, place)


def built(cls: type, settings: Mapping[str, Any], place: str, joint: str = ".") -> Any:
    """The component of the dataclass ``cls`` with these fields, each converted; the others have
    their defaults. ``joint`` comes between ``place`` and a field's name, in errors.

    Raises:
        RlpytError: ``config``, for an unknown field, a value of the wrong type, or a field that
            is not given and has no default.
    """
    known = {field.name: field for field in fields(cls) if field.init}
    for name in settings:
        if name not in known:
            what = f"{cls.__name__} has no field {name!r}"
            raise RlpytError("config", what, where=place, hint=did_you_mean(name, known))
    for name, field in known.items():
        if name not in settings and not has_default(field):
            what = f"{cls.__name__} needs {name}"
            raise RlpytError("config", what, where=place, hint=f"give {place}{joint}{name}")
    hints = get_type_hints(cls)
    return cls(
        **{
            name: convert(value, hints[name], f"{place}{joint}{name}")
            for name, value in settings.items()
        }
    )
