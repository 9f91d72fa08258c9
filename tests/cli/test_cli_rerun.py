"""rerun: what differs from then, and whether the result does."""

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.cli import then_and_now
from rlpyt.cli.then_and_now import difference_table, differences, ways_back
from rlpyt.logging.context import logger_context
from rlpyt.logging.provenance import read_sessions
from rlpyt.logging.run_state import write_run_state
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

QUIET = ["--no-tensorboard", "--no-plot"]
SETTINGS = ["sampler.batch_T=4", "algo.epochs=1", "--quiet", *QUIET]


@pytest.fixture
def run(rlpyt) -> Path:
    assert (
        rlpyt("train", "ppo", "CartPole-v1", "--out", "runs/a", "--steps", "256", *SETTINGS).code
        == 0
    )
    return Path("runs/a")


def change_cell(run_dir: Path, row: int, column: str, value: str) -> None:
    path = run_dir / "progress.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    rows[row][column] = value
    with path.open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def edit_session(run_dir: Path, **changes: Any) -> None:
    path = run_dir / "provenance.json"
    content = json.loads(path.read_text())
    content["sessions"][-1].update(changes)
    path.write_text(json.dumps(content))


def test_a_rerun_is_the_run(rlpyt, run):
    result = rlpyt("rerun", "runs/a", "--check", *QUIET)
    assert result.code == 0
    assert result.out.splitlines()[-1] == "identical: 8 rows"
    assert "what differs" not in result.out  # nothing does
    again = Path("runs/a_rerun")
    before, after = (json.loads((path / "params.json").read_text()) for path in (run, again))
    assert before == after
    assert "identical: 8 rows" in (again / "debug.log").read_text()


def test_what_is_there_is_not_touched(rlpyt, run):
    assert rlpyt("rerun", "runs/a", "--out", "runs/a", *QUIET).code == 2
    Path("runs/a_rerun").mkdir()
    result = rlpyt("rerun", "runs/a", *QUIET)
    assert result.code == 2
    assert "runs/a_rerun is there already" in result.error
    assert list(Path("runs/a_rerun").iterdir()) == []


def test_the_first_difference_is_told(rlpyt, run):
    change_cell(run, 5, "lossAverage", "0.25")
    change_cell(run, 3, "Diagnostics/StepsPerSecond", "1.0")  # of the clock
    change_cell(run, 4, "entropyMax", "1e9")
    result = rlpyt("rerun", "runs/a", "--check", *QUIET)
    assert result.code == 1
    line = result.out.splitlines()[-1]
    assert line.startswith("differs first in row 5 (160 steps), entropyMax: 1e9 then, ")
    shutil.rmtree("runs/a_rerun")
    assert rlpyt("rerun", "runs/a", *QUIET).code == 0  # it was trained: nothing was to be checked


def test_a_run_that_ended_early_is_compared_as_far_as_it_goes(rlpyt, run):
    lines = (run / "progress.csv").read_text().splitlines(keepends=True)
    (run / "progress.csv").write_text("".join(lines[:4]))
    write_run_state(run, "interrupted")
    result = rlpyt("rerun", "runs/a", "--check", "--out", "b", *QUIET)
    assert result.code == 0
    assert result.out.splitlines()[-1] == "identical: 3 rows; runs/a has no more, the rerun has 8"
    (run / "progress.csv").write_text("".join([*lines, lines[-1]]))
    result = rlpyt("rerun", "runs/a", "--check", "--out", "c", *QUIET)
    assert result.code == 1
    assert result.out.splitlines()[-1] == "differs: runs/a has 9 rows, c 8"


def test_what_has_changed_since_is_shown(rlpyt, run):
    [then] = read_sessions(run)
    packages = [each for each in then["packages"] if not each.startswith("torch==")]
    edit_session(
        run,
        packages=["torch==1.0", *packages, "zzz-gone==2"],
        hashes={**then["hashes"], "rlpyt": "ab" * 32},
        machine={**then["machine"], "cpu": "Z80", "device": "cpu:0"},
        environment={"OMP_NUM_THREADS": "64"},
    )
    result = rlpyt("rerun", "runs/a", "--check", *QUIET)
    assert result.code == 0  # the rows are the same all the same
    rows = [line.split() for line in result.out.splitlines()]
    assert rows[0] == ["what", "differs", "then", "now"]
    assert ["rlpyt", "source", "abababababab", then["hashes"]["rlpyt"][:12]] in rows
    assert ["package", "zzz-gone", "2", "-"] in rows
    assert ["cpu", "Z80"] in [row[:2] for row in rows]
    assert ["variable", "OMP_NUM_THREADS", "64", "-"] in rows
    assert any(row[:3] == ["package", "torch", "1.0"] for row in rows)
    assert not any(row[:1] == ["device"] for row in rows)  # its index does not matter
    assert "the package versions of then: runs/a/provenance.json" in result.out


def test_a_run_without_provenance_can_be_repeated(rlpyt, run):
    (run / "provenance.json").unlink()
    result = rlpyt("rerun", "runs/a", "--check", *QUIET)
    assert result.code == 0
    first = result.out.splitlines()[0]
    assert first == "runs/a has no provenance.json: what has changed since is not known"


def test_a_resumed_run_keeps_the_sessions_before(rlpyt):
    half = ["--steps", "128", *SETTINGS]
    assert rlpyt("train", "ppo", "CartPole-v1", "--out", "a", *half).code == 0
    params = json.loads(Path("a/params.json").read_text())
    Path("a/params.json").write_text(json.dumps({**params, "n_steps": 256}))
    write_run_state(Path("a"), "interrupted")
    edit_session(Path("a"), environment={"OMP_NUM_THREADS": "7"})
    assert rlpyt("resume", "a", "--quiet", *QUIET).code == 0
    first, second = read_sessions(Path("a"))
    assert first["environment"] == {"OMP_NUM_THREADS": "7"}
    assert second["hashes"]["settings"] != first["hashes"]["settings"]
    assert second["command"][0] == sys.argv[0]
    result = rlpyt("rerun", "a", *QUIET)
    what = "session 2 of that run differed from the one before in: variable OMP_NUM_THREADS"
    assert what in result.out


SCRIPT_ENV = """
from gymnasium.envs.classic_control import CartPoleEnv

def make():
    return CartPoleEnv()
"""


def test_a_scripts_modules_are_found_beside_it(rlpyt, tmp_path: Path, monkeypatch):
    """The run of a script in another folder, whose environment is in a module of that folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "my_rerun_env.py").write_text(SCRIPT_ENV)
    (folder / "train.py").write_text("")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        script = str(folder / "train.py")
        patch.setattr(sys.modules["__main__"], "__file__", script, raising=False)
        runner = MinibatchRl(
            algo=PPO(epochs=1, minibatches=1),
            agent=PgAgent(),
            sampler=SerialSampler(env="my_rerun_env:make", batch_T=16, batch_B=2),
            n_steps=64,
        )
        with logger_context("script", 0, "mine", tensorboard=False, console=False) as logger:
            runner.train(logger)
        del sys.modules["my_rerun_env"]
    before = list(sys.path)
    result = rlpyt("rerun", "script", "--check", *QUIET)
    assert result.out.splitlines()[-1] == "identical: 2 rows"
    assert sys.path == before
    assert Path("script/run_0_rerun/progress.csv").is_file()


def repository(commit: str, diff: str | None = None, **more: Any) -> dict[str, Any]:
    found = None
    if diff is not None:
        found = {"file": "git.diff", "bytes": 1234, "sha256": diff * 64, "whole": True}
    return {"root": "/my code", "commit": commit * 40, "branch": "main", "diff": found, **more}


def test_the_way_back_to_the_code_of_then(tmp_path: Path):
    run_dir = tmp_path / "a run"
    then = {"git": {"user": repository("a", "b", untracked={"x.py": "c" * 64}, n_untracked=1)}}
    now = {"git": {"user": repository("d")}}
    found = differences(then, now)
    assert difference_table(found).splitlines() == [
        "what differs        then                        now",
        "git commit          aaaaaaaaaaaa (main)         dddddddddddd (main)",
        "git diff            bbbbbbbbbbbb (1,234 bytes)  -",
        "git untracked x.py  cccccccccccc                -",
    ]
    code, untracked = ways_back(run_dir, then, found)
    assert code == (
        f"the code of then: git -C '/my code' checkout {'a' * 40} && "
        f"git -C '/my code' apply '{run_dir}/git.diff'"
    )
    assert untracked.startswith("of files that git did not track")
    assert differences(then, then) == []
    then["git"]["user"]["diff"]["whole"] = False
    code, cut, _ = ways_back(run_dir, then, found)
    assert code.endswith("a" * 40)
    assert "only the beginning of 1,234 bytes" in cut


def test_long_lists_and_values_are_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(then_and_now, "_LISTED", 2)
    packages = [f"p{i}==1" for i in range(5)]
    found = differences({"packages": packages}, {"packages": []})
    assert [each.what for each in found] == ["package p0", "package p1", "package"]
    assert found[-1].then == "3 more"
    [_, line] = difference_table([then_and_now.Difference("cpu", "x" * 99, "y")]).splitlines()
    assert line == f"cpu           {'x' * 41}...  y"
