"""``rlpyt search``, as a user meets it."""

import csv
import json
import shlex
from pathlib import Path

import pytest

from rlpyt.cli import forecast, search
from rlpyt.cli.main import main
from rlpyt.launch import Queue, load_variant
from rlpyt.logging.run_state import read_run_state
from rlpyt.utils.errors import RlpytError

TWO = "2cpu_0gpu_1cpr_0hto_0saf"
QUIET = ["--quiet", "--no-tensorboard", "--no-plot"]
RATE = "algo.learning_rate"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dry(capsys, *words: str) -> list[str]:
    own = ["--affinity", TWO, "--dry-run", "--no-preflight", "--out", "data"]
    assert main(["search", *words, *own]) == 0
    assert not Path("data").exists()
    return capsys.readouterr().out.splitlines()


def test_the_trials_are_shown(capsys):
    space = ["--space", f"{RATE}=log:1e-5:1e-2", "algo.epochs=int:1:4", "algo.minibatches=1,2"]
    words = ["ppo", "CartPole-v1", *space, "--steps", "9e4"]
    lines = dry(capsys, *words, "--trials", "9", "--halving", "--seeds", "10-12")
    told = "9 trials of 3 seeds, halving: 9 to 10,000, 3 to 30,000, 1 to 90,000 steps"
    assert lines[0] == f"{told}; 2 runs at a time, into data"
    assert [line.partition(":")[0] for line in lines[1:-1]] == [f"trial_{n:03d}" for n in range(9)]
    assert all(f"{RATE}=" in line and "algo.epochs=" in line for line in lines[1:-1])
    more = dry(capsys, *words, "--trials", "12")
    assert more[1:10] == lines[1:10]


def test_steps_are_those_of_the_runner_unless_given(capsys):
    [line, *_] = dry(capsys, "a2c", "CartPole-v1", "n_steps=4321", "--space", f"{RATE}=1,2")
    assert "4,321 steps, random" in line


def test_what_a_search_takes_is_told_before_it_starts(capsys, monkeypatch):
    def stop(*args: object, **settings: object) -> None:
        raise RlpytError("usage", "it starts")

    monkeypatch.setattr(forecast, "_speed", lambda runner: 100.0)
    monkeypatch.setattr(search, "run_search", stop)
    space = ["--space", f"{RATE}=log:1e-5:1e-2", "--trials", "9", "--seeds", "3", "--halving"]
    words = ["ppo", "CartPole-v1", "--steps", "9e4", *space, "--affinity", TWO, "--out", "data"]
    assert main(["search", *words]) == 2
    _plan, room, time = capsys.readouterr().out.splitlines()
    assert room.startswith("they take at most")
    # 9 trials to 10,000 steps, 3 to 30,000, 1 to 90,000, of 3 seeds, two runs at a time
    assert time == "and about 0:52:30 (PPO on CartPole-v1: 100 steps/s)"
    assert main(["search", *words, "--no-preflight"]) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_search_that_takes_more_than_there_is_is_refused(capsys):
    words = ["dqn", "CartPole-v1", "algo.replay.size=20000000000", "--space", f"{RATE}=1,2"]
    assert main(["search", *words, "--out", "data"]) == 1
    assert capsys.readouterr().err.startswith("ERROR memory: ")
    assert not Path("data").exists()


def test_algorithms_are_a_choice_like_any(capsys):
    lines = dry(capsys, "ppo,a2c", "CartPole-v1", "--space", f"{RATE}=log:1e-4:1e-2")
    found = {line.partition("algorithm=")[2] for line in lines if line.startswith("trial_")}
    assert found == {"ppo", "a2c"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ppo CartPole-v1", "no --space is given"),
        (f"ppo --space {RATE}=1,2", "no environment is given"),
        (f"pp CartPole-v1 --space {RATE}=1,2", "did you mean"),
        ("ppo CartPole-v1 --space algo.learning_rat=1,2", "did you mean 'learning_rate'"),
        ("ppo CartPole-v1 --space algo.epochs=log:1:9", "algo.epochs"),
        ("ppo CartPole-v1 --space sampler.batch_B=int:0:9", "sampler.batch_B=0"),
        (f"ppo CartPole-v1 --space {RATE}=lg:1e-5:1", "did you mean 'log'"),
        (f"ppo CartPole-v1 --space {RATE}=1,2 --seed 3", "--seed is of one run"),
        (f"ppo CartPole-v1 --space {RATE}=1,2 --method bayes", "method 'bayes' is not known"),
        (f"ppo CartPole-v1 --space {RATE}=1,2 --score finl", "did you mean 'final'"),
        (f"ppo CartPole-v1 --space {RATE}=1,2 --rungs 2", "they are of halving"),
        (f"ppo CartPole-v1 --space {RATE}=1,2 algo.discont=1", "did you mean 'discount'"),
        (f"ppo CartPol-v1 --space {RATE}=1,2", "CartPol"),
        (f"nowhere.py --space {RATE}=1,2", "there is no script"),
        ("ppo CartPole-v1 --space env=A,B", "does not vary env"),
        (f"ppo CartPole-v1 {RATE}=1 --space {RATE}=1,2", "and varied by --space"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(capsys, words: str, told: str):
    assert main(["search", *words.split(), "--out", "data"]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not list(Path.cwd().rglob("*"))


def test_a_script_has_no_options(capsys):
    Path("script.py").write_text("")
    assert main(["search", "script.py", "--space", f"{RATE}=1", "--n-envs", "2"]) == 2
    assert "a script has no --n-envs 2" in capsys.readouterr().err
    assert not Path("data").exists()


def rows_of(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    steps = "Diagnostics/CumSteps"
    return [{k: v for k, v in r.items() if k == steps or "Diagnostics" not in k} for r in rows]


def test_halving_on_cartpole(capsys):
    words = ["ppo", "CartPole-v1", "--steps", "2048", "--n-envs", "4", *QUIET, "sampler.batch_T=32"]
    space = ["--space", f"{RATE}=1e-3,1e-5", "--trials", "2", "--seeds", "4,"]
    halving = ["--halving", "--factor", "2", "--affinity", TWO, "--out", "data"]
    assert main(["search", *words, *space, *halving]) == 0
    out = capsys.readouterr().out
    with Queue("data") as queue:
        runs = queue.runs()
    assert sorted(run.attempts for run in runs) == [1, 2]
    for run in runs:
        run_dir = Path("data") / run.name
        assert read_run_state(run_dir) == ("done" if run.attempts == 2 else "paused")
        steps = float(rows_of(run_dir)[-1]["Diagnostics/CumSteps"])
        assert steps == (2048 if run.attempts == 2 else 1024)
    with Path("data/search.csv").open() as file:
        [best, _] = csv.DictReader(file)
    assert (best["rung"], best["steps"]) == ("1", "2048")
    assert load_variant(Path("data") / best["trial"])["algo"]["learning_rate"] == float(best[RATE])
    assert json.loads(Path("data/search.json").read_text())["seeds"] == [4]
    assert Path("data/search.png").exists()
    assert "it was chosen by these seeds" in out
    [launch] = [line for line in out.splitlines() if line.strip().startswith("rlpyt launch")]
    [train] = [line for line in out.splitlines() if line.strip().startswith("rlpyt train")]
    assert main([*shlex.split(launch)[1:], "--affinity", TWO, "--dry-run"]) == 0
    assert "10 runs" in capsys.readouterr().out
    fresh = "--seed 5"  # the first that it was not chosen by
    assert fresh in train
    alone = shlex.split(train.replace(fresh, "--seed 4"))[1:]
    assert main([*alone, "--out", "alone"]) == 0
    assert rows_of(Path("alone")) == rows_of(Path("data") / best["trial"] / "run_4")
