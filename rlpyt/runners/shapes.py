"""Parameters whose shapes are not the same in two states, told in one line."""

from collections.abc import Mapping
from typing import Any

__all__ = ["first_of", "misfitting"]


def misfitting(here: Mapping[str, Any], there: Mapping[str, Any], told: str) -> list[str]:
    """A text for each array, by name, that has another shape ``here`` than ``there``, or that one
    of the two has not ("none").

    ``told`` has the places ``{name}``, ``{here}`` and ``{there}``.
    """
    texts = []
    for name in dict.fromkeys([*here, *there]):
        shapes = {
            side: tuple(arrays[name].shape) if name in arrays else "none"
            for side, arrays in (("here", here), ("there", there))
        }
        if shapes["here"] != shapes["there"]:
            texts.append(told.format(name=name, **shapes))
    return texts


def first_of(texts: list[str], most: int) -> str:
    """The first ``most`` of them, and how many more there are."""
    more = len(texts) - most
    return "; ".join(texts[:most]) + (f"; and {more} more" if more > 0 else "")
