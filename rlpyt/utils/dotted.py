"""Classes and functions that a setting names: by a dotted path, or a class of ours by its name."""

import importlib
from collections.abc import Iterator
from dataclasses import is_dataclass
from inspect import isabstract, isclass
from typing import Any, get_args, get_origin

from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.mismatch import mismatch, near, quote, type_name

__all__ = ["component_named", "dotted", "located"]

_DOTTED = "give a dotted path: package.module.Name"


def dotted(value: Any, annotation: Any, place: str) -> Any:
    """A class or function: itself, ``package.module.Name`` or ``package.module:name``; where the
    annotation says of which class it is one, also the mere name of one that is imported.

    Raises:
        RlpytError: ``config``, for what cannot be found or is not what ``annotation`` says.
    """
    arguments = get_args(annotation)
    wants_class = annotation is type or get_origin(annotation) is type
    base = arguments[0] if wants_class and arguments and isclass(arguments[0]) else None
    found = _found(value, base, place) if isinstance(value, str) else value
    if not callable(found) or (wants_class and not isclass(found)):
        raise mismatch(value, annotation, place, _DOTTED)
    if base is not None and not issubclass(found, base):
        raise mismatch(value, annotation, place, f"it is no subclass of {type_name(base)}")
    if base is not None and isabstract(found):
        known = ", ".join(sorted(_subclasses(found)))
        raise mismatch(value, annotation, place, f"it is abstract: choose one of {known}")
    return found


def located(path: str, place: str) -> Any:
    """What ``package.module.Name`` or ``package.module:name`` says.

    Raises:
        RlpytError: ``config``, for what is no such path, or leads nowhere.
    """
    module, _colon, names = path.partition(":") if ":" in path else path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.replace(":", ".").split(".")):
        hint = _DOTTED
        if "<" in names:
            hint = "only functions at the top of a module can be found again: write one, with def"
        raise RlpytError("config", f"{place} = {quote(path)} is no dotted path", hint=hint)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise RlpytError("config", f"{place} = {quote(path)}: {error}", hint=_DOTTED) from error
    for name in names.split("."):
        members = vars(found)
        if name not in members:
            what = f"{place} = {quote(path)}: {module} has no {names!r}"
            public = [known for known in members if not known.startswith("_")]
            raise RlpytError("config", what, hint=near(name, public))
        found = members[name]
    return found


def component_named(value: str, kind: type, place: str) -> Any:
    """The component with the defaults of a class, for a field of the abstract ``kind``: by its
    name, or by its dotted path, where it is no class of rlpyt.

    Raises:
        RlpytError: ``config``, where there is none, or it has settings without a default.
    """
    classes: list[type] = kind.__subclasses__()
    known = {cls.__name__: cls for cls in classes if is_dataclass(cls)}
    found = located(value, place) if "." in value or ":" in value else known.get(value)
    if not isclass(found) or not issubclass(found, kind):
        raise mismatch(value, kind, place, did_you_mean(value, known) if known else _DOTTED)
    try:
        return found()
    except TypeError as error:
        hint = "choose it in a script, where it can be given what it needs"
        raise RlpytError("config", f"{place} = {quote(value)}: {error}", hint=hint) from error


def _found(value: str, base: type | None, place: str) -> Any:
    """A subclass of ``base`` by its mere name, where one only has it; else by its dotted path."""
    if base is None or not value.isidentifier():
        return located(value, place)
    known = _subclasses(base)
    if value == base.__name__:
        return base
    if value not in known:
        hint = f"{near(value, list(known))} or {_DOTTED}".removeprefix(" or ")
        raise RlpytError("config", f"{place} = {quote(value)}: no such class", hint=hint)
    if len(known[value]) > 1:
        paths = " or ".join(f"{kind.__module__}.{kind.__qualname__}" for kind in known[value])
        raise RlpytError("config", f"{place} = {quote(value)}: there are several", hint=paths)
    return known[value][0]


def _subclasses(base: type) -> dict[str, list[type]]:
    """The concrete classes that are imported, by name."""
    known: dict[str, list[type]] = {}
    for kind in dict.fromkeys(_below(base)):
        if not isabstract(kind):
            known.setdefault(kind.__name__, []).append(kind)
    return known


def _below(base: type) -> Iterator[type]:
    yield base
    subclasses: list[type] = base.__subclasses__()
    for kind in subclasses:
        yield from _below(kind)
