"""A space in words: ``algo.learning_rate=log:1e-5:1e-2``, ``algo.minibatches=1,2,4``."""

import re
from collections.abc import Sequence

from rlpyt.cli.grid_words import values_of
from rlpyt.search.space import Choice, Dimension, IntUniform, LogUniform, Uniform
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["FORMS", "space_of"]

FORMS = "log:LOW:HIGH, uniform:LOW:HIGH, int:LOW:HIGH or V1,V2,..."
"""What stands after the key."""

_KINDS = ("int", "log", "uniform")
_RANGE = re.compile(r"([A-Za-z]+):([^:,\[\]{}\"]+):([^:,\[\]{}\"]+)")


def space_of(words: Sequence[str]) -> dict[str, Dimension]:
    """The dimensions by path.

    Raises:
        RlpytError: ``config``, naming the word, for one that is none of the forms.
    """
    space: dict[str, Dimension] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals and text):
            what = f"--space {word!r} is no KEY=..."
            hint = f"after the key comes {FORMS}; the space goes up to the next option"
            raise RlpytError("config", what, hint=hint)
        if key in space:
            raise RlpytError("config", f"--space {key} is given twice", hint="give it once")
        try:
            space[key] = _dimension(text)
        except RlpytError as error:
            raise RlpytError("config", error.what, where=word, hint=error.hint) from error
    return space


def _dimension(text: str) -> Dimension:
    found = _RANGE.fullmatch(text)
    ends = [_number(end) for end in found.groups()[1:]] if found else []
    kind = found.group(1) if found else ""
    if found is None or (kind not in _KINDS and None in ends):  # module:function, say
        values = values_of(text)
        if not values:
            raise RlpytError("config", f"{text!r} has an empty value", hint=FORMS)
        return Choice(values)
    if kind not in _KINDS:
        raise RlpytError("config", f"{kind!r} is no distribution", hint=did_you_mean(kind, _KINDS))
    low, high = ends
    if low is None or high is None:
        raise RlpytError("config", f"{text!r} has an end that is no number", hint=FORMS)
    if kind == "int":
        if low != int(low) or high != int(high):
            what = f"{text!r} has an end that is no whole number"
            raise RlpytError("config", what, hint="use uniform")
        return IntUniform(int(low), int(high))
    return LogUniform(low, high) if kind == "log" else Uniform(low, high)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
