"""A grid in words: ``algo.learning_rate=1e-3,3e-4``, and its seeds: ``5``, ``3,7``, ``10-19``."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rlpyt.launch.grid import Grid, grid
from rlpyt.utils.errors import RlpytError

__all__ = ["grid_of", "seeds_of", "values_of"]

_BRACKETS = {"[": "]", "{": "}"}


def seeds_of(text: str) -> int | list[int]:
    """How many, or which."""
    try:
        if "," not in text and "-" not in text:
            return int(text)
        seeds: list[int] = []
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            seeds += range(int(first), int(last or first) + 1)
        return seeds
    except ValueError:
        what = f"{text!r} is none of 5 (seeds 0 to 4), 3,7 and 10-19"
        raise argparse.ArgumentTypeError(what) from None


def grid_of(
    words: Sequence[str], seeds: int | Sequence[int], given: Mapping[str, Sequence[Any]]
) -> Grid:
    """The grid of ``KEY=V1,V2`` words, after the settings that are ``given`` as values.

    Raises:
        RlpytError: ``config``, for a word without values, and as :func:`~rlpyt.launch.grid` does.
    """
    settings = dict(given)
    for word in words:
        key, equals, text = word.partition("=")
        values = values_of(text)
        if not (key and equals and values):
            hint = "write algo.learning_rate=1e-3,3e-4; the grid goes up to the next option"
            raise RlpytError("config", f"--grid {word!r} is no KEY=V1,V2", hint=hint)
        if key in settings:
            raise RlpytError("config", f"--grid {key} is given twice", hint="give it once")
        settings[key] = values
    return grid(seeds=seeds, **settings)


def values_of(text: str) -> list[Any]:
    """``V1,V2`` as values: JSON, where they are, else text. None where one is empty."""
    parts = _values(text)
    return [_value(part) for part in parts] if all(parts) else []


def _values(text: str) -> list[str]:
    """Split at the commas outside of brackets and quotes."""
    parts, closing, quoted = [""], "", False
    for character in text:
        quoted ^= character == '"'
        if not quoted and character in _BRACKETS:
            closing = _BRACKETS[character] + closing
        elif not quoted and closing.startswith(character):
            closing = closing[1:]
        elif character == "," and not closing and not quoted:
            parts.append("")
            continue
        parts[-1] += character
    return [part.strip() for part in parts]


def _value(text: str) -> Any:
    """As JSON, where it is; else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
