"""rewind and fork: a run goes back, or begins anew where another stood; nothing is removed."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest
from rlpyt.checkpoint.lock import RunLock
from rlpyt.cli.history import Moment
from rlpyt.logging.run_state import read_run_state

QUIET = ["--quiet", "--no-tensorboard", "--no-plot"]
SETTINGS = [
    *["sampler.batch_T=8", "algo.epochs=1", "agent.model_kwargs.hidden_sizes=[8]"],
    *["checkpoint_interval_steps=64", "log_interval_steps=64", "keep_checkpoints=9"],
]
TIMES = re.compile(r"Time|PerSecond|Busy|Sampler|Worker")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Six iterations of 64 steps, each saved."""
    from rlpyt.cli.main import main

    run_dir = tmp_path_factory.mktemp("made") / "run"
    words = ["train", "ppo", "CartPole-v1", "--steps", "384", "--out", str(run_dir)]
    assert main([*words, *SETTINGS, *QUIET]) == 0
    return run_dir


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "run")
    return Path("run")


def saved(run_dir: Path) -> list[int]:
    return sorted(Checkpointer(run_dir / "checkpoints").saved())


def rows(run_dir: Path, name: str = "progress.csv") -> list[dict[str, str]]:
    with (run_dir / name).open(newline="") as file:
        found = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not TIMES.search(k)} for row in found]


def events(run_dir: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((run_dir / "lineage.json").read_text())["events"]
    return found


def digest(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_rewind_lists_what_there_is(rlpyt, run, monkeypatch):
    (run / "checkpoints" / "itr_000000003" / "manifest.json").write_text("{")
    before = digest(run)
    monkeypatch.setenv("COLUMNS", "120")
    told = rlpyt("rewind", str(run))
    assert told.code == 0
    lines = [line.split() for line in told.out.splitlines()]
    listed = {line[1]: line for line in lines if line and line[0].isdigit()}
    assert list(listed) == ["6", "5", "4", "3", "2", "1", "0"]
    assert [line[0] for line in listed.values()] == [str(back) for back in range(7)]
    assert listed["5"][2] == "320"
    best = Checkpointer(run / "checkpoints").best().name
    assert [itr for itr, line in listed.items() if line[-1] == "best"] == [str(int(best[4:]))]
    score = read_manifest(run / "checkpoints" / "itr_000000006").score
    assert float(listed["6"][3]) == pytest.approx(score, abs=0.01)
    assert "ago" in listed["6"]
    assert "damaged" in " ".join(listed["3"])
    assert digest(run) == before


def test_a_checkpoint_of_the_future_has_no_age(run, tmp_path):
    """Of a clock that was set back since."""
    from rlpyt.cli.rewind import _ago

    path = tmp_path / run / "checkpoints" / "itr_000000006"
    manifest = read_manifest(path)
    later = manifest.created.replace("20", "21", 1)
    moment = Moment(6, path, type(manifest)(**{**vars(manifest), "created": later}))
    assert moment.age < 0
    assert _ago(moment) == "-"


def test_rewind_goes_back_and_sets_aside_what_is_ahead(rlpyt, run, made):
    whole = rows(made)
    told = rlpyt("rewind", str(run), "3")
    assert told.code == 0
    assert saved(run) == [0, 1, 2, 3]
    assert rows(run) == whole[:3]
    aside = [f"aside-itr_{itr:09d}" for itr in (4, 5, 6)]
    assert sorted(p.name for p in (run / "checkpoints").glob("aside-*")) == aside
    for name in aside:  # whole, under another name
        was = digest(made / "checkpoints" / name.removeprefix("aside-"))
        assert digest(run / "checkpoints" / name) == was
    kept = "aside-itr_000000006-progress.csv"
    assert (run / kept).read_bytes() == (made / "progress.csv").read_bytes()
    assert all(name in told.out for name in [*aside, kept])
    assert Checkpointer(run / "checkpoints").best().name <= "itr_000000003"
    assert read_run_state(run) == "paused"
    [event] = events(run)
    assert (event["event"], event["to_itr"], event["from_itr"]) == ("rewind", 3, 6)
    assert rlpyt("resume", str(run), *QUIET).code == 0
    assert rows(run) == whole  # the same once more
    assert read_run_state(run) == "done"
    assert rlpyt("rewind", str(run), "1").code == 0  # what was set aside before stays
    assert "aside-itr_000000006.1" in {p.name for p in (run / "checkpoints").iterdir()}
    assert (run / "aside-itr_000000006.1-progress.csv").exists()


def test_rewind_to_a_named_one(rlpyt, run):
    assert rlpyt("rewind", str(run), "--itr", "2").code == 0
    assert saved(run) == [0, 1, 2]
    told = rlpyt("rewind", str(run), "0")
    assert "stands at iteration 2 already" in told.out
    assert len(events(run)) == 1


def test_the_best_one_is_gone_back_to_and_forked_from(rlpyt, run):
    checkpoints = Checkpointer(run / "checkpoints")
    paths = checkpoints.saved()
    for itr, path in paths.items():  # of six iterations, the third was the best
        content = replace(read_manifest(path), score=9.0 if itr == 3 else float(itr) / 10)
        (path / "manifest.json").write_bytes(content.to_bytes())
    assert rlpyt("fork", str(run), "--best", "--out", "new", "--no-train", *QUIET).code == 0
    assert saved(Path("new")) == [3]
    assert rlpyt("rewind", str(run), "--best").code == 0
    assert saved(run) == [0, 1, 2, 3]
    best = json.loads((run / "checkpoints" / "best.json").read_text())
    assert best == {"checkpoint": "itr_000000003"}
    for path in Checkpointer(run / "checkpoints").saved().values():
        content = replace(read_manifest(path), score=None)
        (path / "manifest.json").write_bytes(content.to_bytes())
    assert "there is no best checkpoint" in rlpyt("rewind", str(run), "--best").error


def test_going_back_behind_the_best_points_to_the_best_of_the_rest(rlpyt, run):
    for itr, path in Checkpointer(run / "checkpoints").saved().items():
        content = replace(read_manifest(path), score=float(itr))
        (path / "manifest.json").write_bytes(content.to_bytes())
    assert rlpyt("rewind", str(run), "2").code == 0
    best = json.loads((run / "checkpoints" / "best.json").read_text())
    assert best == {"checkpoint": "itr_000000004"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["7"], "7 back from 7 checkpoints - .*keep_checkpoints=N"),
        (["--itr", "9"], "there is no checkpoint of iteration 9, but of 6, 5, 4, 3, 2, 1, 0"),
        (["1", "--itr", "2"], "N and --itr or --best"),
        (["-1"], "unknown argument|whole number"),
    ],
)
def test_rewind_that_cannot_be(rlpyt, run, words, told):
    before = digest(run)
    result = rlpyt("rewind", str(run), *words)
    assert result.code == 2
    assert re.search(told, result.error)
    assert digest(run) == before


def test_rewind_to_a_damaged_one_does_nothing(rlpyt, run):
    (run / "checkpoints" / "itr_000000004" / "state.json").write_text("{}")
    before = digest(run)
    result = rlpyt("rewind", str(run), "2")
    assert result.code == 1
    assert "state.json is damaged" in result.error
    assert digest(run) == before


def test_rewind_of_a_run_that_is_running(rlpyt, run, tmp_path):
    with RunLock(tmp_path / run):
        result = rlpyt("rewind", str(run), "2")
        assert result.code == 1
        assert "is in use by process" in result.error
    assert len(saved(run)) == 7


def test_a_fork_with_the_same_settings_is_the_run(rlpyt, run, made):
    before = digest(run)
    assert rlpyt("fork", str(run), "--itr", "3", "--out", "new", *QUIET).code == 0
    assert rows(Path("new")) == rows(made)
    hashes = [rlpyt("hash", each).out for each in (str(run), "new")]
    assert hashes[0] == hashes[1]
    assert digest(run) == before


def test_a_fork_has_other_settings_and_says_where_it_is_from(rlpyt, run, made):
    result = rlpyt(
        *["fork", str(run), "--itr", "3", "--out", "new", *QUIET[1:]],
        *["algo.learning_rate=0.5", "n_steps=448"],
    )
    assert result.code == 0
    assert re.search(r"algo\.learning_rate +0\.\d+ +0\.5 +changed", result.out)
    assert re.search(r"n_steps +384 +448 +allowed", result.out)
    new = Path("new")
    assert rows(new)[:3] == rows(made)[:3]
    assert len(rows(new)) == 7
    assert rows(new)[4] != rows(made)[4]
    [event] = events(new)
    assert (event["event"], event["itr"], event["cum_steps"]) == ("fork", 3, 192)
    assert event["origin"] == str(run.resolve())
    assert event["changed"]["algo.learning_rate"]["now"] == 0.5
    rlpyt("rewind", str(run), "--itr", "3")
    assert event["sha256"] == rlpyt("hash", str(run)).out.strip()
    assert json.loads((new / "params.json").read_text())["algo"]["learning_rate"] == 0.5
    # A fork of a fork knows both.
    assert rlpyt("fork", "new", "--out", "newer", "--no-train", "seed=3", *QUIET).code == 0
    assert [each["origin"] for each in events(Path("newer"))] == [
        str(run.resolve()),
        str(new.resolve()),
    ]
    assert read_run_state(Path("newer")) == "paused"
    assert saved(Path("newer")) == [7]


def test_a_fork_that_is_not_trained_holds_what_was_until_then(rlpyt, run, made):
    assert rlpyt("fork", str(run), "--itr", "4", "--out", "new", "--no-train", *QUIET).code == 0
    new = Path("new")
    assert saved(new) == [4]
    assert rows(new) == rows(made)[:4]
    assert read_run_state(new) == "paused"
    assert (new / "provenance.json").read_bytes() == (made / "provenance.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "iteration 6 is the end of a run of n_steps=384 - give n_steps="),
        (["--itr", "2", "sampler.batch_B=4"], "sampler.batch_B=4 differs .*: impossible, "),
        (["--itr", "2", "agent.model_kwargs.hidden_sizes=[9]"], r"\(8, 4\), now \(9, 4\)"),
        (["--itr", "2", "algo.discuont=0.5"], "did you mean"),
    ],
)
def test_a_fork_that_cannot_be_leaves_nothing(rlpyt, run, words, told):
    result = rlpyt("fork", str(run), "--out", "new", *words, *QUIET)
    assert result.code == 2
    assert re.search(told, result.err.splitlines()[-1])
    assert not Path("new").exists()


def test_a_fork_into_another_run_is_refused(rlpyt, run):
    before = digest(run)
    result = rlpyt("fork", str(run), "--itr", "3", "--out", str(run), *QUIET)
    assert result.code == 1
    assert "already holds a run" in result.error
    assert digest(run) == before


def test_a_rerun_says_that_the_settings_are_not_all(rlpyt, run):
    assert rlpyt("resume", str(run), "algo.learning_rate=0.5", "n_steps=448", *QUIET).code == 2
    words = ["algo.learning_rate=0.5", "n_steps=448", "--override"]
    assert rlpyt("resume", str(run), *words, *QUIET).code == 0
    told = rlpyt("rerun", str(run), "--no-tensorboard", "--no-plot")
    assert told.code == 0
    assert "was continued with other settings after iteration 6" in told.out
