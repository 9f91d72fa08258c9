"""``rlpyt train --sink NAME``, and resume and rerun."""

import json
from pathlib import Path

import pytest
from sink_fakes import install

from rlpyt.cli.main import main

QUICK = ["--quiet", "--no-tensorboard", "--no-plot"]
SMALL = ["--steps", "256", "sampler.batch_T=16", "algo.epochs=1", *QUICK]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_train_and_resume_write_one_run(monkeypatch: pytest.MonkeyPatch):
    told, other = install("wandb", monkeypatch), install("trackio", monkeypatch)
    train = ["train", "ppo", "CartPole-v1", "--out", "run", *SMALL]
    assert main([*train, "--sink", "wandb", "--sink", "trackio"]) == 0
    assert told.steps == other.steps == [128, 256]
    assert told.settings["algo.epochs"] == 1
    params = json.loads(Path("run/params.json").read_text())
    Path("run/params.json").write_text(json.dumps({**params, "n_steps": 384}))
    Path("run/state.json").write_text('{"state": "interrupted"}')
    assert main(["resume", "run", "--sink", "wandb", *QUICK]) == 0
    assert told.steps == [128, 256, 384]
    assert other.steps == [128, 256]
    assert len({begun["id"] for begun in told.begun}) == 1
    assert told.begun[0]["settings"]["silent"]


def test_a_rerun_is_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch):
    told = install("wandb", monkeypatch)
    assert main(["train", "ppo", "CartPole-v1", "--out", "run", "--sink", "wandb", *SMALL]) == 0
    assert main(["rerun", "run", "--check", "--sink", "wandb", *QUICK]) == 0
    assert len({begun["id"] for begun in told.begun}) == 2


def test_an_unknown_sink_leaves_nothing_behind(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["train", "ppo", "CartPole-v1", "--out", "a/run", "--sink", "mlflo", *SMALL]) == 2
    assert "unknown sink 'mlflo' - did you mean 'mlflow'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
