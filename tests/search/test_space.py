"""The space: what is drawn from it, and what cannot be one."""

import math

import numpy as np
import pytest

from rlpyt.cli.space_words import space_of
from rlpyt.search import Choice, IntUniform, LogUniform, Uniform
from rlpyt.search.space import as_space, draw_values, edges
from rlpyt.utils.errors import RlpytError

SPACE = as_space(
    {
        "algo.learning_rate": LogUniform(1e-5, 1e-2),
        "algo.discount": Uniform(0.9, 0.999),
        "algo.epochs": IntUniform(1, 10),
        "algo.minibatches": [1, 2, 4],
        "agent.model_kwargs.hidden_sizes": Choice([[64, 64], [256]]),
    }
)


def test_one_seed_gives_one_stream_whose_beginning_stays():
    many = draw_values(SPACE, 3, 50)
    assert draw_values(SPACE, 3, 20) == many[:20]
    assert draw_values(SPACE, 4, 20) != many[:20]
    shuffled = as_space(dict(reversed(SPACE.items())))
    assert draw_values(shuffled, 3, 50) == many


def test_values_are_spread_as_they_say():
    found = draw_values(SPACE, 0, 3000)
    rates = np.array([values["algo.learning_rate"] for values in found])
    assert 1e-5 <= rates.min() < 1.2e-5
    assert 8e-3 < rates.max() <= 1e-2
    assert abs(np.median(np.log10(rates)) + 3.5) < 0.1
    discounts = np.array([values["algo.discount"] for values in found])
    assert abs(discounts.mean() - 0.9495) < 0.002
    epochs = [values["algo.epochs"] for values in found]
    assert set(epochs) == set(range(1, 11))
    assert {type(epoch) for epoch in epochs} == {int}
    shares = [[values["algo.minibatches"] for values in found].count(n) / 3000 for n in (1, 2, 4)]
    assert all(abs(share - 1 / 3) < 0.04 for share in shares)
    assert {tuple(v["agent.model_kwargs.hidden_sizes"]) for v in found} == {(64, 64), (256,)}


def test_numbers_have_six_digits_and_stay_inside():
    for value in (v["x"] for v in draw_values(as_space({"x": Uniform(0.98, 0.9999999)}), 0, 500)):
        assert value == float(f"{value:.6g}") or value == 0.9999999
        assert 0.98 <= value <= 0.9999999


def test_every_edge_is_tried():
    found = edges(SPACE)
    for path, one in SPACE.items():
        assert [v for v in one.edges if v not in [point[path] for point in found]] == []
    assert len(found) == 1 + 1 + 1 + 1 + 2 + 1


def test_words():
    words = ["a=log:1e-5:1e-2", "b=uniform:0.9:1", "c=int:1:1e2", "d=1,2,4", "e=[64,64],[256]"]
    assert space_of([*words, "f=relu,my.module:tanh", "g=true,null"]) == {
        "a": LogUniform(1e-5, 1e-2),
        "b": Uniform(0.9, 1.0),
        "c": IntUniform(1, 100),
        "d": Choice([1, 2, 4]),
        "e": Choice([[64, 64], [256]]),
        "f": Choice(["relu", "my.module:tanh"]),
        "g": Choice([True, None]),
    }
    for word in words:
        [(path, one)] = space_of([word]).items()
        if isinstance(one.data, str):
            assert space_of([f"{path}={one.data}"]) == {path: one}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("algo.epochs", "is no KEY="),
        ("algo.epochs=", "is no KEY="),
        ("a=lag:1:2", "'lag' is no distribution.*did you mean 'log'"),
        ("a=log:0:1", "begins at 0"),
        ("a=log:1:x", "end that is no number"),
        ("a=uniform:2:1", "is empty"),
        ("a=int:1:2.5", "no whole number"),
        ("a=1,,2", "empty value"),
        ("a=1,1", "has 1 twice"),
    ],
)
def test_words_that_are_none(word: str, told: str):
    with pytest.raises(RlpytError, match=told) as caught:
        space_of([word])
    assert caught.value.code == "config"
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({}, "without settings"),
        ({"seed": [1, 2]}, "does not vary seed.*group of seeds"),
        ({"env": ["A", "B"]}, "does not vary env"),
        ({"pause_steps": [1]}, "does not vary"),
        ({"algo..x": [1]}, "malformed path"),
        ({"a": [1], "a.b": [2]}, "a and a.b are both"),
        ({"a": 3}, "a=3 is no dimension"),
        ({"a": "1,2"}, "is no dimension"),
        ({"a": []}, "has no list of values.*(a)"),
        ({"a": [math.nan]}, "JSON does not have"),
    ],
    ids=str,
)
def test_spaces_that_are_none(space, told: str):
    with pytest.raises(RlpytError, match=told):
        as_space(space)


@pytest.mark.parametrize("ends", [(1, 1), (math.inf, 2), ("0", 1), (True, 2)])
def test_intervals_that_are_none(ends):
    for kind in (Uniform, LogUniform, IntUniform):
        with pytest.raises(RlpytError, match=kind.__name__):
            kind(*ends)
