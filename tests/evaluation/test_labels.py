"""Short names for algorithms that differ in a few of many settings."""

from pathlib import Path
from typing import Any

from rlpyt.evaluation.labels import setting_labels
from rlpyt.evaluation.runs import RunGroup


def group(algorithm: str = "DQN", env: str = "a", details: str = "", **params: Any) -> RunGroup:
    dotted = {key.replace("__", "."): value for key, value in params.items()}
    return RunGroup(algorithm=algorithm, env=env, params=dotted, run_dirs=[Path()], details=details)


def labels(*groups: RunGroup) -> list[str]:
    found, notes = setting_labels(groups)
    assert notes == []
    return found


def test_one_setting_needs_no_details() -> None:
    found = labels(group(algo__x=1), group(env="b", algo__x=2), group("PPO", algo__x=3))
    assert found == ["DQN", "DQN", "PPO"]


def test_a_grid_shows_both_values() -> None:
    groups = [group(env=env, algo__learning_rate=rate) for env in "ab" for rate in (0.1, 0.2)]
    assert labels(*groups) == ["DQN · learning_rate=0.1", "DQN · learning_rate=0.2"] * 2


def test_what_most_have_is_not_shown() -> None:
    base: dict[str, Any] = {"algo__double": False, "agent__noisy": None, "algo__n": 1}
    variants: list[dict[str, Any]] = [{}, {"algo__double": True}, {"agent__noisy": True}]
    found = labels(*(group(**{**base, **variant}) for variant in variants))
    assert found == ["DQN", "DQN · double=True", "DQN · noisy=True"]


def test_of_settings_that_vary_together_the_telling_one_is_shown() -> None:
    one = group(name="a", sampler__batch_B=8, algo__sums=1, agent__ModelCls="rlpyt.models.A")
    two = group(name="b", sampler__batch_B=4, algo__sums=2, agent__ModelCls="rlpyt.models.B")
    assert labels(one, two) == ["DQN · sums=1", "DQN · sums=2"]


def test_names_and_intervals_are_the_last_resort() -> None:
    names = ("x", "x", "y", "y")
    groups = [group(name=n, algo__k=k, x=1) for n, k in zip(names, (1, 2, 1, 3), strict=True)]
    found = labels(*groups)
    assert len(set(found)) == 4
    groups = [group(name=n, algo__k=k) for n, k in zip("wxyz", (1, 2, 3, 4), strict=True)]
    assert labels(*groups) == [f"DQN · k={k}" for k in (1, 2, 3, 4)]


def test_presets_that_follow_the_environment_do_not_split() -> None:
    groups = [
        group(env=env, algo__clip=clip, algo__rate=rate)
        for env, rate in (("a", 0.1), ("b", 0.3))
        for clip in (1, 2)
    ]
    assert labels(*groups) == ["DQN · clip=1", "DQN · clip=2"] * 2


def test_classes_are_shown_by_their_name() -> None:
    one, two = (group(agent__ModelCls=f"rlpyt.models.{name}") for name in "AB")
    assert labels(one, two) == ["DQN · ModelCls=A", "DQN · ModelCls=B"]


def test_folders_tell_apart_what_no_setting_does() -> None:
    assert labels(group(details="x/a"), group(details="x/b")) == ["DQN · x/a", "DQN · x/b"]


def test_long_labels_become_numbers_and_are_explained() -> None:
    found, notes = setting_labels([group(algo__sizes=[n] * 30) for n in (64, 32)])
    assert found == ["DQN #1", "DQN #2"]
    assert notes[0].startswith("DQN #1 is DQN with sizes=[64, 64, ")
