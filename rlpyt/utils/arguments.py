"""Keyword arguments that a user chose, checked before the call that takes them."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from rlpyt.utils.convert import convert
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["checked_arguments"]


def checked_arguments(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    place: str,
    *,
    positional: int = 0,
    given: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """``arguments``, each converted to what ``function`` says it takes.

    Args:
        function: what is going to be called, a class or a function.
        arguments: its keyword arguments, as the user set them.
        place: where the user sets them, for errors: ``agent.model_kwargs``.
        positional: how many arguments it is given before them.
        given: those that the caller gives it besides, by name, and the setting they come from.

    Raises:
        RlpytError: ``config``, for a name that ``function`` does not take, a value of the wrong
            type, or an argument that it needs and nobody gives.
    """
    parameters = list(inspect.signature(function).parameters.values())[positional:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(arguments)
    known = {one.name: one.annotation for one in parameters if one.name not in given}
    for one in parameters:
        if one.default is one.empty and one.name in known and one.name not in arguments:
            what = f"{place}: {function.__qualname__} needs {one.name}"
            raise RlpytError("config", what, hint=f"give {place}.{one.name}")
    checked = {}
    for name, value in arguments.items():
        if name in given:
            what = f"{place}.{name}: it is given {function.__qualname__} already"
            raise RlpytError("config", what, hint=f"set {given[name]} instead")
        if name not in known:
            what = f"{place}.{name}: {function.__qualname__} has no argument {name!r}"
            raise RlpytError("config", what, hint=did_you_mean(name, known))
        annotation = known[name]
        is_type = annotation is not inspect.Parameter.empty and not isinstance(annotation, str)
        checked[name] = convert(value, annotation, f"{place}.{name}") if is_type else value
    return checked
