"""Keyword arguments that a user chose, checked before the call that takes them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rlpyt.utils.convert import convert
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["checked_arguments"]


def checked_arguments(
    function: Callable[..., Any], arguments: Mapping[str, Any], place: str, *, positional: int = 0
) -> dict[str, Any]:
    """``arguments``, each converted to what ``function`` says it takes.

    Args:
        function: what is going to be called, a class or a function.
        arguments: its keyword arguments, as the user set them.
        place: where the user sets them, for errors: ``agent.model_kwargs``.
        positional: how many arguments it is given before them.

    Raises:
        RlpytError: ``config``, for a name that ``function`` does not take or a value of the wrong
            type.
    """
    parameters = list(inspect.signature(function).parameters.values())[positional:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(arguments)
    known = {parameter.name: parameter.annotation for parameter in parameters}
    checked = {}
    for name, value in arguments.items():
        if name not in known:
            what = f"{place}.{name}: {function.__qualname__} has no argument {name!r}"
            raise RlpytError("config", what, hint=did_you_mean(name, known))
        annotation = known[name]
        is_type = annotation is not inspect.Parameter.empty and not isinstance(annotation, str)
        checked[name] = convert(value, annotation, f"{place}.{name}") if is_type else value
    return checked
