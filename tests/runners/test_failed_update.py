"""Numbers that are not finite end a run before they reach its parameters, and can be had again."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from runner_fakes import small_runner, train

from rlpyt.algos.failed_update import FailedUpdateError
from rlpyt.algos.optimizer import GradientStep
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.tree import flatten
from rlpyt.cli.main import main
from rlpyt.runners.failed_update import gradient_steps, load_update, save_update
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.finite import blame, named_tensors

pytestmark = pytest.mark.faults("F07")

RUNS: dict[str, dict[str, Any]] = {
    "ppo": {},
    "a2c-lstm": {"algo": "a2c", "recurrent": "lstm"},
    "ppg": {"algo": "ppg"},
    "pqn": {"algo": "pqn"},
    "sac": {"algo": "sac", "continuous": True},
    "sac-lstm": {"algo": "sac", "continuous": True, "recurrent": "lstm"},
}


def failing(name: str, monkeypatch: pytest.MonkeyPatch, number: int = 5) -> MinibatchRl:
    """A run in whose ``number``-th update the first number of the batch, or all, is infinite."""
    step, count = GradientStep.step, [0]

    def spoiled(self: GradientStep, rate: float, *args: Any, share: Any = None) -> Any:
        count[0] += 1
        if count[0] == number:
            for tensor in (args[0].return_,):
                tensor.reshape(-1)[0] = float("inf")
        return step(self, rate, *args, share=share)

    monkeypatch.setattr(GradientStep, "step", spoiled)
    return small_runner(**RUNS[name])


@pytest.mark.parametrize("name", RUNS)
def test_the_update_is_saved_and_fails_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = failing(name, monkeypatch)
    with pytest.raises(RlpytError) as caught:
        train(runner, tmp_path)
    monkeypatch.undo()
    error = caught.value
    assert error.code == "diverged"
    assert "\n" not in str(error)
    assert "return_[0" in error.what
    assert "] is inf" in error.what
    assert "iteration" in error.where
    [path] = (tmp_path / "run_0" / "failed_updates").iterdir()
    assert str(path) in error.hint
    told = (tmp_path / "run_0" / "debug.log").read_text(encoding="utf-8")
    assert f"rlpyt replay-update {path}" in told

    saved = load_update(path)
    before, kept = runner.agent.state_dict()["model"], saved.runner.agent.state_dict()["model"]
    assert all(
        torch.isfinite(value).all() for value in before.values() if value.is_floating_point()
    )
    assert all(torch.equal(kept[key], value) for key, value in before.items())
    failed = error.__cause__
    assert isinstance(failed, FailedUpdateError)
    assert gradient_steps(runner.algo)[saved.name] is failed.step
    assert saved.learning_rate == failed.learning_rate > 0
    assert (saved.share is None) == (failed.share is None)
    given, expected = dict(named_tensors(saved.args)), dict(named_tensors(failed.inputs))
    assert given.keys() == expected.keys()
    assert all(torch.equal(given[key], value) for key, value in expected.items())
    was = flatten(runner.algo.state_dict())[0]
    state = flatten(saved.runner.algo.state_dict())[0]
    assert len(state) > 2
    assert all(torch.equal(value, was[key]) for key, value in state.items())
    with pytest.raises(RlpytError) as again:
        saved.step.step(saved.learning_rate, *saved.args, share=saved.share)
    assert again.value.what == error.what

    capsys.readouterr()
    assert main(["replay-update", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"reproduced: {error.what}"
    [culprit] = [line for line in out.splitlines() if line.startswith("culprit    ")]
    if "norm is nan" in error.what:
        assert re.search(r"Function '\w+Backward0' returned nan values", culprit)
    else:  # infinite all the way down
        assert "no operation of the backward pass gave a nan: infinite numbers" in culprit


def test_one_that_fails_again_in_a_resumed_run_is_told_by_its_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hints = []
    for resume in (False, True):
        with pytest.raises(RlpytError) as caught:
            train(failing("ppo", monkeypatch), tmp_path, resume=resume)
        monkeypatch.undo()
        hints.append(caught.value.hint)
    first, second = sorted((tmp_path / "run_0" / "failed_updates").iterdir())
    assert f"`rlpyt replay-update {first}`" in hints[0]
    assert f"`rlpyt replay-update {second}`" in hints[1]


def test_a_mended_batch_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RlpytError):
        train(failing("ppo", monkeypatch), tmp_path)
    monkeypatch.undo()
    [path] = (tmp_path / "run_0" / "failed_updates").iterdir()
    step = GradientStep.step

    def mended(self: GradientStep, rate: float, *args: Any, share: Any = None) -> Any:
        args[0].return_.nan_to_num_(posinf=0.0)
        return step(self, rate, *args, share=share)

    monkeypatch.setattr(GradientStep, "step", mended)
    assert main(["replay-update", str(path)]) == 1
    assert "not reproduced: the gradient's norm is " in capsys.readouterr().out


def test_what_several_processes_shared_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = failing("ppo", monkeypatch)
    with pytest.raises(RlpytError) as caught:
        train(runner, tmp_path)
    monkeypatch.undo()
    failed = caught.value.__cause__
    assert isinstance(failed, FailedUpdateError)
    share = torch.tensor(0.25)
    of_two = FailedUpdateError(failed.step, failed.learning_rate, failed.inputs, share, 5)
    [name] = gradient_steps(runner.algo)
    path = tmp_path / "updates" / "of_two"
    save_update(path, "told", of_two, name, runner, 3)
    saved = load_update(path)
    assert torch.equal(saved.share, share)
    assert (saved.itr, saved.told) == (3, "told")


def test_parameters_are_as_they_were_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint from before goes on as if nothing had been."""
    runner = failing("ppo", monkeypatch)
    with pytest.raises(RlpytError):
        train(runner, tmp_path / "parts")
    monkeypatch.undo()
    run_dir = tmp_path / "parts" / "run_0"
    assert Checkpointer(run_dir / "checkpoints").load_latest()[1].itr == 0
    train(small_runner(), tmp_path / "parts", resume=True)
    assert Checkpointer(run_dir / "checkpoints").load_latest()[1].itr == 10


def test_what_is_no_failed_update(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = train(small_runner(n_itr=1), tmp_path)
    checkpoint = Checkpointer(run_dir / "checkpoints").latest()
    assert main(["replay-update", str(checkpoint)]) == 2
    assert "is no failed update" in capsys.readouterr().err
    assert main(["replay-update", str(tmp_path / "nothing")]) == 2


def test_blame_names_what_came_first() -> None:
    inf, nan, one = (
        torch.tensor([[1.0, 2.0], [3.0, torch.inf]]),
        torch.tensor(torch.nan),
        torch.ones(2),
    )
    told = blame({"w": one, "b": inf}, {"w": one, "b": nan}, ({"return_": one},), {"loss": nan})
    assert told == (
        "parameter b[1, 1] was inf before it; loss term loss is nan; the gradient of b is nan"
    )
    assert blame({"w": one}, {"w": one}, (), ()).startswith("all its numbers are finite")
