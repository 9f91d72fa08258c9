"""``rlpyt compare``."""

import json
from pathlib import Path

import numpy as np
import pytest


def make_run(folder: Path, algo: str, seed: int, n_rows: int = 10) -> None:
    folder.mkdir(parents=True)
    returns = np.random.default_rng(seed).normal(10 if algo == "PPO" else 5, 1, n_rows)
    rows = "".join(f"{100 * (i + 1)},{value}\n" for i, value in enumerate(returns))
    (folder / "progress.csv").write_text("Diagnostics/CumSteps,ReturnAverage\n" + rows)
    params = {"algo": {"class": algo}, "sampler": {"env": "Cart[x]-v1"}, "seed": seed}
    (folder / "params.json").write_text(json.dumps(params))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for algo in ("PPO", "A2C"):
        for seed in range(5):
            make_run(Path("data", algo, f"run_{seed}"), algo, seed)
    return tmp_path


def test_table_report_and_files(rlpyt, runs):
    result = rlpyt("compare", "data", "--replications", "200")
    assert result.code == 0
    assert (
        "2 algorithms on Cart[x]-v1, 10 runs; mean ReturnAverage over the last 10 %" in result.out
    )
    assert "P(PPO > A2C) = 1.00 [1.00, 1.00]" in result.out
    assert result.out.rstrip().endswith("comparison/report.html")
    assert (runs / "comparison" / "report.html").stat().st_size > 10_000
    assert "note:" not in result.out


def test_json(rlpyt, runs):
    result = rlpyt(
        "compare", "data/PPO", "data/A2C", "--json", "--out", "o", "--replications", "99"
    )
    found = json.loads(result.out)
    assert found["algorithms"] == ["PPO", "A2C"]
    assert found["replications"] == 99
    value, low, high = found["aggregates"]["PPO"]["IQM"]
    assert low <= value <= high
    assert found["report"] == "o/report.html"
    assert len(found["runs"]) == 10


def test_options_reach_the_comparison(rlpyt, runs):
    Path("scores.json").write_text('{"Cart[x]-v1": [0, 10]}')
    options = ["--normalize", "scores.json", "--score", "auc", "--steps", "500", "--seed", "3"]
    result = rlpyt("compare", "data", "--json", "--replications", "50", *options)
    found = json.loads(result.out)
    assert found["normalization"] == "0 and 1 are the scores in scores.json"
    assert found["score"] == "mean ReturnAverage over all steps"
    assert (found["steps"], found["seed"]) == ([500.0], 3)
    assert 0.8 < found["aggregates"]["PPO"]["mean"][0] < 1.2
    assert "optimality gap" in found["aggregates"]["PPO"]


def test_few_seeds_and_lengths_are_said(rlpyt, runs):
    make_run(Path("few", "a"), "PPO", 0)
    make_run(Path("few", "b"), "A2C", 0, n_rows=5)
    result = rlpyt("compare", "few", "--replications", "50")
    assert "note: runs of Cart[x]-v1 end between 500 and 1,000 steps: all are cut at" in result.out
    assert "none at all: PPO (1 of Cart[x]-v1), A2C (1 of Cart[x]-v1); train" in result.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere"], 1, "ERROR directory: no such path: nowhere"),
        (["empty"], 1, "ERROR directory: no run found in empty"),
        (["data/PPO/run_0"], 1, "is the only run in data/PPO/run_0"),
        (["data", "--y", "ReturnAvrage"], 2, "did you mean 'ReturnAverage'?"),
        (["data", "--score", "lst"], 2, "score 'lst' is not known"),
        (["data", "--normalize", "human"], 2, "--normalize human is neither a method nor a file"),
        (["data", "--normalize", "reference"], 2, "no low and high score for Cart[x]-v1"),
        (["data", "--out", "file"], 2, "--out file is a file"),
        (["data", "--confidence", "95"], 2, "'95' is not between 0 and 1"),
        (["data", "--steps", "0"], 2, "'0' is not a whole number above 0"),
        (["data", "--steps", "9000"], 1, "ERROR scores: no run is left"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(rlpyt, runs, words, code, message):
    Path("empty").mkdir()
    Path("file").write_text("")
    result = rlpyt("compare", *words)
    assert result.code == code
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert not Path("comparison").exists()


def test_help_shows_examples(rlpyt):
    result = rlpyt("compare", "--help")
    assert result.code == 0
    assert "rlpyt compare data/ppo data/a2c --out comparison" in result.out
