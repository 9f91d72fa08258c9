"""Scores of different tasks on one scale."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpyt.evaluation.normalization import (
    ATARI_SCORES,
    Normalization,
    normalize,
    read_scores,
    reference_scores,
)
from rlpyt.utils.errors import RlpytError


def test_low_is_0_and_high_is_1() -> None:
    found = normalize([[-20.7, 1.7], [14.6, 30.5], [32.25, math.nan]], [-20.7, 1.7], [14.6, 30.5])
    np.testing.assert_allclose(found, [[0, 0], [1, 1], [1.5, math.nan]])
    with pytest.raises(RlpytError, match=r"task 1: low=2\.0 and high=2\.0 span no scale"):
        normalize([[1.0, 2.0]], [0, 2], [1, 2])


@pytest.mark.parametrize(
    "env", ["ALE/MsPacman-v5", "MsPacmanNoFrameskip-v4", "MsPacman", "envpool:MsPacman-v5"]
)
def test_games_are_known_by_all_their_names(env: str) -> None:
    assert reference_scores(env) == (307.3, 6951.6)


def test_references() -> None:
    assert len(ATARI_SCORES) == 57
    assert all(low < high for low, high in ATARI_SCORES.values())
    assert reference_scores("CartPole-v1") == (22.6, 475.0)
    assert reference_scores("CartPole-v0") is None  # another limit, another threshold
    assert reference_scores("HalfCheetah-v5") == reference_scores("HalfCheetah-v4")
    assert reference_scores("make_corridor") is None


def choose(method: str, *tasks: str) -> Normalization:
    scores = [np.array([[1.0] * len(tasks), [3.0] * len(tasks)]), np.array([[7.0] * len(tasks)])]
    return Normalization.choose(method, tasks, scores)


def test_auto_leaves_one_task_and_knows_references() -> None:
    assert choose("auto", "CartPole-v1").is_identity
    assert choose("none", "CartPole-v1", "Acrobot-v1").is_identity
    found = choose("auto", "CartPole-v1", "Acrobot-v1")
    assert (list(found.low), list(found.high)) == ([22.6, -500.0], [475.0, -100.0])
    found = choose("auto", "CartPole-v1", "mine")
    assert (list(found.low), list(found.high)) == ([1.0, 1.0], [7.0, 7.0])
    assert "lowest and the highest" in found.text
    np.testing.assert_allclose(found.apply(np.array([[1.0, 4.0]])), [[0.0, 0.5]])


def test_a_range_of_nothing_is_0() -> None:
    found = Normalization.choose("range", ["a"], [np.ones((3, 1)), np.ones((2, 1))])
    np.testing.assert_allclose(found.apply(np.ones((2, 1))), 0.0)


def test_scores_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text('{"a": [0, 10], "b": [-1.5, 2]}')
    found = choose(str(file), "b", "a")
    assert (list(found.low), list(found.high)) == ([-1.5, 0.0], [2.0, 10.0])
    assert "scores.json" in found.text
    with pytest.raises(RlpytError, match=r"no low and high score for c.*FILE"):
        choose(str(file), "a", "c")


@pytest.mark.parametrize(
    "content", [{"a": [1]}, {"a": [1, 1]}, {"a": [1, "2"]}, {"a": 3}, {"a": [True, 2]}, [1], "{"]
)
def test_files_that_are_wrong_are_named(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "scores.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RlpytError, match=r"scores\.json.*\[LOW, HIGH\]"):
        read_scores(file)


def test_methods_that_there_are_not() -> None:
    with pytest.raises(RlpytError, match=r"neither a method nor a file.*'reference'"):
        choose("refrence", "a")
    with pytest.raises(RlpytError, match=r"no low and high score for mine.*range"):
        choose("reference", "CartPole-v1", "mine")
    with pytest.raises(RlpytError, match="cannot read"):
        read_scores(Path("nowhere.json"))
