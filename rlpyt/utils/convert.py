"""Values of configuration fields: parsed from text, then converted to a type annotation."""

import importlib
import json
import math
import types
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import is_dataclass
from enum import Enum
from inspect import isabstract, isclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import torch

from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["convert", "parse_value", "type_name"]

_WORDS = {"true": True, "false": False, "null": None, "none": None}
_LONGEST = 80  # characters of a value quoted in an error


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
        what = f"{place} = {_quote(text)} is not JSON: {error}"
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
        return _convert_dotted(value, annotation, place)
    return _convert_plain(value, annotation, place, text)


def type_name(annotation: Any) -> str:
    """An annotation as a user writes it: ``float``, ``int | None``, ``tuple[int, ...]``."""
    return (
        annotation.__name__
        if isclass(annotation) and not get_args(annotation)
        else _short(str(annotation))
    )


def _short(name: str) -> str:
    for prefix in ("typing.", "collections.abc."):
        name = name.replace(prefix, "")
    return name


def _quote(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _mismatch(value: Any, annotation: Any, place: str, hint: str = "") -> RlpytError:
    found = f"{_quote(value)} ({type(value).__name__})"
    return RlpytError("config", f"{place} takes {type_name(annotation)}, not {found}", hint=hint)


def _convert_union(value: Any, annotation: Any, place: str, text: str | None) -> Any:
    members = sorted(
        get_args(annotation), key=lambda member: (type(value) is not member, member is str)
    )
    hint = ""
    for member in members:  # the value's own type first, text last
        try:
            return convert(value, member, place, text)
        except RlpytError as error:
            hint = hint or error.hint
    raise _mismatch(value, annotation, place, hint)


def _convert_literal(value: Any, annotation: Any, place: str, text: str | None) -> Any:
    choices = get_args(annotation)
    for choice in choices:
        if (type(choice) is type(value) and choice == value) or (
            text is not None and choice == text
        ):
            return choice
    known = ", ".join(repr(choice) for choice in choices)
    what = f"{place} = {_quote(value)} is none of {known}"
    raise RlpytError("config", what, hint=_near(value, [c for c in choices if isinstance(c, str)]))


def _near(word: Any, known: list[str]) -> str:
    """A hint, only where a known word is near."""
    hint = did_you_mean(word, known) if isinstance(word, str) else ""
    return "" if hint.startswith("known") else hint


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
            raise _mismatch(value, annotation, place, "write a JSON object")
        key, item = arguments or (Any, Any)
        return {
            convert(k, key, f"{place}.{k}"): convert(v, item, f"{place}.{k}")
            for k, v in value.items()
        }
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence | Set):
        raise _mismatch(value, annotation, place, "write a list: [1, 2]")
    kinds: Sequence[Any] = [arguments[0] if arguments else Any] * len(value)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        kinds = arguments
        if len(value) != len(kinds):
            raise _mismatch(value, annotation, place, f"give {len(kinds)} items")
    items = zip(value, kinds, strict=True)
    return build([convert(item, kind, f"{place}[{i}]") for i, (item, kind) in enumerate(items)])


def _convert_dotted(value: Any, annotation: Any, place: str) -> Any:
    """A class or function: itself, ``package.module.Name`` or ``package.module:name``."""
    found = _locate(value, place) if isinstance(value, str) else value
    arguments = get_args(annotation)
    wants_class = annotation is type or get_origin(annotation) is type
    if not callable(found) or (wants_class and not isclass(found)):
        raise _mismatch(value, annotation, place, "give a dotted path: package.module.Name")
    if wants_class and arguments and isclass(arguments[0]) and not issubclass(found, arguments[0]):
        raise _mismatch(value, annotation, place, f"it is no subclass of {type_name(arguments[0])}")
    return found


def _locate(path: str, place: str) -> Any:
    module, _colon, names = path.partition(":") if ":" in path else path.rpartition(".")
    hint = "give a dotted path: package.module.Name"
    if not module or not all(part.isidentifier() for part in path.replace(":", ".").split(".")):
        if "<" in names:
            hint = "only functions at the top of a module can be found again: write one, with def"
        raise RlpytError("config", f"{place} = {_quote(path)} is no dotted path", hint=hint)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise RlpytError("config", f"{place} = {_quote(path)}: {error}", hint=hint) from error
    for name in names.split("."):
        members = vars(found)
        if name not in members:
            what = f"{place} = {_quote(path)}: {module} has no {names!r}"
            public = [known for known in members if not known.startswith("_")]
            raise RlpytError("config", what, hint=_near(name, public))
        found = members[name]
    return found


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
        return _convert_dotted(value, annotation, place)
    elif isinstance(value, str) and isclass(kind):
        return _from_string(value, kind, place)
    elif isclass(kind) and isinstance(value, kind):
        return value
    raise _mismatch(value, annotation, place)


def _convert_number(value: Any, kind: type, place: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is float and is_number and not math.isnan(value):
        return float(value)
    if kind is int and is_number and math.isfinite(value) and value == int(value):
        return int(value)  # so that 1e6 is a replay size
    raise _mismatch(value, kind, place)


def _from_string(value: str, kind: type, place: str) -> Any:
    """Classes that a string stands for."""
    if issubclass(kind, Path):
        return kind(value)
    if issubclass(kind, Enum):
        if value not in kind.__members__:
            hint = did_you_mean(value, kind.__members__)
            raise RlpytError(
                "config", f"{place} = {_quote(value)} is no {kind.__name__}", hint=hint
            )
        return kind[value]
    if kind is torch.device:
        try:
            return torch.device(value)
        except RuntimeError as error:
            hint = "write cpu, or a name that `rlpyt devices` shows"
            raise _mismatch(value, kind, place, hint) from error
    if kind is torch.dtype:
        found = vars(torch).get(value.removeprefix("torch."))
        if isinstance(found, torch.dtype):
            return found
    if isinstance(value, kind):
        return value
    if isabstract(kind):
        return _component(value, kind, place)
    raise _mismatch(value, kind, place)


def _component(value: str, kind: type, place: str) -> Any:
    """The component with the defaults of a class, for a field of the abstract ``kind``: by its
    name, or by its dotted path, where it is no class of rlpyt.
    """
    classes: list[type] = kind.__subclasses__()
    known = {cls.__name__: cls for cls in classes if is_dataclass(cls)}
    found = _locate(value, place) if "." in value or ":" in value else known.get(value)
    if not isclass(found) or not issubclass(found, kind):
        hint = did_you_mean(value, known) if known else "give a dotted path: package.module.Name"
        raise _mismatch(value, kind, place, hint)
    try:
        return found()
    except TypeError as error:
        hint = "choose it in a script, where it can be given what it needs"
        raise RlpytError("config", f"{place} = {_quote(value)}: {error}", hint=hint) from error
