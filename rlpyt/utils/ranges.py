"""Numbers among a component's settings, held to their range as the component is made."""

import math
from typing import Any

import numpy as np

from rlpyt.utils.errors import RlpytError

__all__ = ["check_flag", "check_integer", "check_number"]


def check_integer(place: str, value: Any, *, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number from ``low`` to ``high``, ends included.

    ``place`` says whose setting it is: ``RandomShift.pad``.

    Raises:
        RlpytError: ``config``, with the place, the value and the range.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        limits = f"{low} or more" if high is None else f"{low} to {high}"
        raise RlpytError("config", _setting(place, value), hint=f"use a whole number, {limits}")


def check_number(
    place: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    is_low_allowed: bool = True,
) -> None:
    """Refuse what is no finite number from ``low`` to ``high``, ends included; ``low`` itself is
    not, where it is not allowed.

    Raises:
        RlpytError: ``config``, with the place, the value and the range.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    is_number = is_number and not isinstance(value, bool)
    if (
        is_number
        and -math.inf < value < math.inf  # false for NaN too
        and low <= value <= high
        and (is_low_allowed or value != low)
    ):
        return
    if low == -math.inf:
        hint = "use a finite number"
    elif high < math.inf:
        hint = f"use {low:g} to {high:g}"
    else:
        hint = f"use a finite number, {low:g} or more"
        if not is_low_allowed:
            hint = f"use a finite number above {low:g}"
    raise RlpytError("config", _setting(place, value), hint=hint)


def check_flag(place: str, value: Any) -> None:
    """Refuse what is neither ``True`` nor ``False``.

    Raises:
        RlpytError: ``config``, with the place and the value.
    """
    if not isinstance(value, bool | np.bool_):
        raise RlpytError("config", _setting(place, value), hint="use True or False")


def _setting(place: str, value: Any) -> str:
    return f"{place}={value!r:.80}"
