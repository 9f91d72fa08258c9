"""What an error says of a value that a setting does not take."""

from inspect import isclass
from typing import Any, get_args

from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["mismatch", "near", "quote", "type_name"]

_LONGEST = 80  # characters of a value quoted in an error


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


def quote(value: Any) -> str:
    """The value as Python writes it, the beginning of a long one."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def mismatch(value: Any, annotation: Any, place: str, hint: str = "") -> RlpytError:
    """The error of a value whose type is not that of the setting at ``place``."""
    found = f"{quote(value)} ({type(value).__name__})"
    return RlpytError("config", f"{place} takes {type_name(annotation)}, not {found}", hint=hint)


def near(word: Any, known: list[str]) -> str:
    """A hint, only where a known word is near."""
    hint = did_you_mean(word, known) if isinstance(word, str) else ""
    return "" if hint.startswith("known") else hint
