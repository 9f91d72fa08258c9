"""From a configuration written down back to components: the inverse of
:func:`rlpyt.utils.config.config_dict`.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

from rlpyt.utils.convert import built, convert
from rlpyt.utils.errors import RlpytError

__all__ = ["component_from"]


def component_from(config: Mapping[str, Any], place: str) -> Any:
    """The component that ``config`` describes: ``{"class": dotted path, field: value, ...}``,
    recursively.

    Only dataclasses are built, and only from fields that they declare. Functions stay
    ``"module:name"`` where their field takes text, as that of an environment does.

    Raises:
        RlpytError: naming ``place`` and the path inside, for a class that is not there or no
            dataclass, an unknown field, a value of the wrong type, or a function that nobody can
            find again: a lambda, one inside another, one of the script that was run.
    """
    cls = _component_class(str(config.get("class")), place)
    settings = {
        name: _built(value, f"{place}: {name}") for name, value in config.items() if name != "class"
    }
    return built(cls, settings, place, ": ")


def _built(value: Any, place: str) -> Any:
    """``value`` with every component inside built."""
    if isinstance(value, Mapping):
        if "class" in value:
            return component_from(value, place)
        if value.keys() == {"function", "args", "kwargs"}:
            return _partial(value, place)
        return {key: _built(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_built(item, f"{place}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, str):
        _check_findable(value, place)
    return value


def _partial(value: Mapping[str, Any], place: str) -> functools.partial[Any]:
    parts = {key: _built(item, f"{place}.{key}") for key, item in value.items()}
    function = convert(parts["function"], Callable[..., Any], f"{place}.function")
    return functools.partial(function, *parts["args"], **parts["kwargs"])


def _check_findable(value: str, place: str) -> None:
    """Raise for a function that was written down but that no import can find."""
    module, colon, name = value.partition(":")
    if not colon or not (name.endswith("<lambda>") or "<locals>." in name or module == "__main__"):
        return
    if module == "__main__":
        what = f"{name!r} was defined in the script that was run, which is not imported again"
    else:
        what = f"{value!r} is a lambda or a function inside a function, which no import can find"
    raise RlpytError(
        "config",
        what,
        where=place,
        hint="use a module-level function: def it in a module, such as my_envs.py, and import it",
    )


def _component_class(path: str, place: str) -> Any:
    module, _dot, name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        if module == "__main__":
            hint = "move the class from the script into a module, and import it"
        else:
            hint = "run where its module can be imported, or rerun the script with resume=True"
        raise RlpytError(
            "config", f"cannot find the class {path}: {error}", where=place, hint=hint
        ) from error
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise RlpytError("config", f"{path} is not a component (a dataclass)", where=place)
    return cls
