"""verify: training against the scores that were seen."""

import json
from dataclasses import replace

import pytest

from rlpyt.cli import verify
from rlpyt.cli.presets.registry import ALGORITHMS
from rlpyt.cli.verify_tasks import FULL_TASKS, QUICK_TASKS


def test_every_algorithm_has_a_quick_task() -> None:
    assert set(QUICK_TASKS) == set(ALGORITHMS)


def test_every_task_has_a_band() -> None:
    bands = verify.read_bands()
    assert set(bands["full"]) == set(FULL_TASKS)
    assert set(bands["quick"]) == set(QUICK_TASKS)
    assert all(len(scores) >= 1 for kind in bands.values() for scores in kind.values())


@pytest.mark.parametrize("name", QUICK_TASKS)
def test_a_band_is_far_from_what_a_random_policy_scores(name: str) -> None:
    task, scores = QUICK_TASKS[name], verify.read_bands()["quick"][name]
    if name == "pearl":
        return
    at_random = 10.0 - 10.0 * task.slack  # as the tasks' comment has it
    assert min(scores) - task.slack > at_random + 3 * task.slack


def test_what_learns_passes(rlpyt) -> None:
    result = rlpyt("verify", "a2c", "--quick", "--json")
    told = json.loads(result.out)
    assert result.code == 0
    assert told["verdict"] == "pass"
    [found] = told["algorithms"]
    assert found["algorithm"] == "a2c"
    assert found["score"] >= found["band"][0] > 9.0


def test_what_does_not_learn_fails(rlpyt, monkeypatch: pytest.MonkeyPatch) -> None:
    task = QUICK_TASKS["a2c"]

    def still() -> object:
        runner = task.build()
        return replace(runner, n_steps=128, algo=replace(runner.algo, learning_rate=0.0))

    monkeypatch.setattr(verify, "QUICK_TASKS", {"a2c": replace(task, build=still)})
    result = rlpyt("verify", "--all", "--quick")
    assert result.code == 1
    assert result.out.splitlines()[0].startswith("a2c       fail")
    assert result.out.splitlines()[-1].startswith("fail: 0 of 1")


def test_a_run_that_ends_with_an_error_fails(rlpyt, monkeypatch: pytest.MonkeyPatch) -> None:
    task = QUICK_TASKS["a2c"]

    def broken() -> object:
        runner = task.build()
        return replace(runner, n_steps=0)

    monkeypatch.setattr(verify, "QUICK_TASKS", {"a2c": replace(task, build=broken)})
    result = rlpyt("verify", "a2c", "--quick")
    assert result.code == 1
    assert "n_steps=0" in result.out


def test_bands_are_made_by_the_same_code(rlpyt, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    task = QUICK_TASKS["a2c"]
    short = replace(task, build=lambda: replace(task.build(), n_steps=128))
    monkeypatch.setattr(verify, "QUICK_TASKS", {"a2c": short})
    path = tmp_path / "bands.json"
    assert rlpyt("verify", "--all", "--quick", "--make-bands", path, "--seeds", "2").code == 0
    [scores] = json.loads(path.read_text())["quick"].values()
    assert len(scores) == 2
    assert all(0.0 <= score <= 10.0 for score in scores)


def test_what_there_is_nothing_known_of(rlpyt) -> None:
    assert rlpyt("verify").code == 2
    assert rlpyt("verify", "ppo", "--all").code == 2
    assert "did you mean" in rlpyt("verify", "pppo").error
    result = rlpyt("verify", "redq")
    assert result.code == 2
    assert "rlpyt verify redq --quick" in result.error
