"""Keyword arguments that a user chose: names and types."""

from collections.abc import Sequence
from typing import Any

import pytest

from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError


def build(space: object, *, sizes: Sequence[int] | None = None, rate: float = 1.0, **_: Any): ...


def plain(space: object, sizes: Sequence[int] | None = None, rate: float = 1.0, untyped=None): ...


def quoted(space: object, rate: "float" = 1.0): ...


def check(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    return checked_arguments(function, arguments, "agent.kwargs", positional=1)


def test_values_are_converted_to_what_the_function_says():
    assert check(plain, {"sizes": [8, 8], "rate": 2}) == {"sizes": (8, 8), "rate": 2.0}
    assert check(plain, {"sizes": None, "untyped": [1]}) == {"sizes": None, "untyped": [1]}
    assert check(plain, {}) == {}


def test_an_unknown_name_has_a_nearest_one():
    with pytest.raises(RlpytError, match=r"agent\.kwargs\.size: plain has no argument") as caught:
        check(plain, {"size": [8]})
    assert caught.value.hint == "did you mean 'sizes'?"
    with pytest.raises(RlpytError, match="no argument 'space'"):
        check(plain, {"space": 1})  # given already


def test_a_wrong_type_is_named():
    with pytest.raises(RlpytError, match=r"agent\.kwargs\.rate takes float, not 'fast'"):
        check(plain, {"rate": "fast"})


def test_what_takes_everything_is_left_to_itself():
    assert check(build, {"sizes": [8], "novel": 1}) == {"sizes": [8], "novel": 1}


def test_annotations_that_are_text_are_not_looked_up():
    assert check(quoted, {"rate": "fast"}) == {"rate": "fast"}


def test_the_callers_mapping_stays_as_it_was():
    arguments = {"sizes": [8]}
    check(plain, arguments)["sizes"] = None
    assert arguments == {"sizes": [8]}


def test_what_the_caller_gives_is_not_the_users():
    given = {"rate": "agent.rate"}
    with pytest.raises(RlpytError, match=r"kwargs\.rate: it is given plain already") as caught:
        checked_arguments(plain, {"rate": 2.0}, "agent.kwargs", positional=1, given=given)
    assert caught.value.hint == "set agent.rate instead"
    with pytest.raises(RlpytError, match="no argument 'rat'") as caught:
        checked_arguments(plain, {"rat": 2.0}, "agent.kwargs", positional=1, given=given)
    assert "rate" not in caught.value.hint


def needs(space: object, size: int, *, shape: int): ...


def test_an_argument_that_nobody_gives_is_named():
    with pytest.raises(RlpytError, match=r"agent\.kwargs: needs needs shape") as caught:
        check(needs, {"size": 1})
    assert caught.value.hint == "give agent.kwargs.shape"
    given = {"shape": "agent.shape"}
    found = checked_arguments(needs, {"size": 1}, "agent.kwargs", positional=1, given=given)
    assert found == {"size": 1}
