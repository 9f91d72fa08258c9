"""``rlpyt train``: what it writes and prints, and how it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cli_envs import Sound

import rlpyt.cli.main
from rlpyt.checkpoint.lock import RunLock
from rlpyt.logging.run_state import read_run_state

ROOT = Path(rlpyt.cli.main.__file__).parents[2]
QUICK = ["--quiet", "--no-tensorboard", "--no-plot"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_one_command_to_a_learning_curve(rlpyt, tmp_path: Path):
    words = "train ppo CartPole-v1 --steps 2000 --seed 3 --out data/deep/run"
    result = rlpyt(*words.split(), "algo.epochs=1")
    assert result.code == 0
    assert result.err == ""
    run_dir = Path("data/deep/run")
    lines = result.out.splitlines()
    assert lines[0] == "PPO on CartPole-v1: 2,000 steps, seed 3, cpu, into data/deep/run"
    progress = r"[\d,]+/2,048 steps \(\d+%\), [\d,]+ steps/s, return [\d.]+, \d:\d\d:\d\d left"
    assert len(lines) == 1 + 8 + 2  # a row each iteration, since a fiftieth is less
    assert all(re.fullmatch(progress, line) for line in lines[1:9])
    assert lines[-2:] == [
        "learning curve: data/deep/run/curve.png",
        "evaluate it with `rlpyt eval data/deep/run`",
    ]
    names = {path.name.split(".")[0] for path in run_dir.iterdir() if path.suffix != ".diff"}
    assert names == {
        *("checkpoints", "curve", "debug", "events", "params", "progress", "provenance", "state"),
        "variant",
    }
    assert read_run_state(run_dir) == "done"


def test_settings_reach_the_run(small):
    params = json.loads(
        (
            small(
                "run",
                "--seed",
                "1e3",
                "--n-envs",
                "4",
                "--recurrent",
                "gru",
                "--eval-episodes",
                "2",
                "algo.learning_rate=1e-3",
                "agent.model_kwargs.hidden_sizes=[8]",
                "algo.optim_kwargs.betas=[0.5, 0.9]",
            )
            / "params.json"
        ).read_text()
    )
    assert params["seed"] == 1000
    assert params["n_steps"] == 256
    assert params["sampler"]["batch_B"] == 4
    assert params["sampler"]["env"]["id"] == "cli_envs:Sound"
    assert params["agent"]["model_kwargs"] == {"recurrent": "gru", "hidden_sizes": [8]}
    assert params["evaluator"]["episodes"] == 2
    assert params["algo"]["learning_rate"] == 1e-3
    assert params["algo"]["optim_kwargs"]["betas"] == [0.5, 0.9]


def test_without_out_the_directory_has_a_date(rlpyt):
    small = ["--steps", "64", "sampler.batch_T=8", *QUICK]
    assert rlpyt("train", "a2c", "cli_envs:Sound", *small).code == 0
    [path] = Path("data/local").glob("*/*/*/*/params.json")
    assert path.parts[4:] == ("a2c_cli_envs-Sound", "run_0", "params.json")


def test_quiet_prints_nothing(small):
    small("run")  # which checks that it does not


def test_a_run_too_short_for_a_curve_is_no_failure(rlpyt):
    words = ["train", "a2c", "CartPole-v1", "--steps", "8", "--no-tensorboard", "--out", "run"]
    result = rlpyt(*words, "sampler.batch_T=1")
    assert result.code == 0
    assert "no learning curve: no run has a finite" in result.out


def test_the_environments_kind_chooses_the_defaults(rlpyt):
    words = ["train", "ppo", "cli_envs:continuous", "--out", "run", "--steps", "64", *QUICK]
    small = ["sampler.batch_T=8", "algo.minibatches=1", "algo.epochs=1"]
    assert rlpyt(*words, *small, "sampler.env.kwargs.n=2").code == 0
    params = json.loads(Path("run/params.json").read_text())
    assert params["agent"]["model_kwargs"] == {"normalize_observation": True}
    assert params["algo"]["normalize_reward"] is True


def test_a_factory_that_must_be_given_something(rlpyt):
    words = ["train", "ppo", "cli_envs:make_sound", "--out", "run", "--steps", "64", *QUICK]
    assert "make_sound() missing 1 required" in rlpyt(*words, "sampler.batch_T=8").error
    assert rlpyt(*words, "sampler.batch_T=8", "sampler.env.kwargs.size=3").code == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["ppoo", "CartPole-v1"], "ERROR config: unknown algorithm 'ppoo' - did you mean 'ppo'?"),
        (
            ["ppo", "CartPol-v1"],
            "ERROR env: no environment is registered as 'CartPol-v1' - did you mean 'CartPole-v1'?",
        ),
        (["ppo", "nowhere:make"], "ERROR env: cannot import 'nowhere'"),
        (["ppo", "cli_envs:Sond"], "did you mean 'Sound'?"),
        (["ppo", "cli_envs:Outer.Iner"], "did you mean 'Inner'?"),
        (
            ["ppo", "cli_envs:Sound", "algo.learning_rat=1"],
            "ERROR config: algo.learning_rat: PPO has no field 'learning_rat' "
            "(rlpyt.algos.pg.ppo.PPO) - did you mean 'learning_rate'?",
        ),
        (
            ["ppo", "cli_envs:Sound", "sampler.env.frame_stak=4"],
            "did you mean 'frame_stack'?",
        ),
        (
            ["ppo", "cli_envs:Sound", "agent.model_kwargs.hidden_size=[8]"],
            "ERROR config: agent.model_kwargs.hidden_size: PgModel.from_spaces has no argument "
            "'hidden_size' - did you mean 'hidden_sizes'?",
        ),
        (
            ["ppo", "cli_envs:Sound", "agent.model_kwargs.hidden_sizes=8"],
            "ERROR config: agent.model_kwargs.hidden_sizes takes Sequence[int] | None, not 8 (int)",
        ),
        (
            ["ppo", "cli_envs:Sound", "algo.optim_kwargs.epsilon=1"],
            "ERROR config: algo.optim_kwargs.epsilon: Adam has no argument 'epsilon' - "
            "did you mean 'eps'?",
        ),
        (
            ["ppo", "cli_envs:Sound", "algo.learning_rate=fast"],
            "ERROR config: algo.learning_rate takes float, not 'fast' (str)",
        ),
        (["ppo", "cli_envs:Sound", "algo.epochs=1.5"], "algo.epochs takes int, not 1.5 (float)"),
        (["ppo", "cli_envs:Sound", "algo..epochs=1"], "malformed override 'algo..epochs=1'"),
        (["ppo", "cli_envs:Sound", "algo.betas=[1"], "is not JSON"),
        (
            ["ppo", "cli_envs:Sound", "algo.epochs"],
            "ERROR usage: unknown argument 'algo.epochs' - settings are written key=value, "
            "such as algo.learning_rate=1e-3",
        ),
        (
            ["ppo", "cli_envs:Sound", "--algo.epochs=1"],
            "settings are written without dashes: algo.epochs=...",
        ),
        (
            ["ppo", "cli_envs:Sound", "--step", "5"],
            "ERROR usage: unknown argument '--step' - did you mean '--steps'?",
        ),
        (["ppo"], "ERROR usage: the following arguments are required: ENV"),
        (["ppo", "cli_envs:Sound", "--steps", "0"], "'0' is not a whole number above 0"),
        (["ppo", "cli_envs:Sound", "--steps", "many"], "--steps: 'many' is not a whole number"),
        (["ppo", "cli_envs:Sound", "--seed", "-1"], "'-1' is not a whole number, 0 or above"),
        (["ppo", "cli_envs:Sound", "--seed", "inf"], "'inf' is not a whole number"),
        (["ppo", "cli_envs:Sound", "--recurrent", "rnn"], "invalid choice: 'rnn' (choose from"),
        (["ppo", "cli_envs:Sound", "--device", "gpu"], "ERROR device: unknown device 'gpu'"),
        (["ppo", "cli_envs:Sound", "algo.minibatches=999"], "algo.minibatches=999 is more than"),
        (["ppo", "cli_envs:Sound", "n_steps=0"], "ERROR config: n_steps=0 - use 1 or more"),
        (["ppo", "cli_envs:Sound", "sampler.batch_T=0"], "sampler.batch_T=0 - use 1 or more"),
        (["ppo", "cli_envs:Sound", "evaluator.episode=3"], "Evaluator has no field 'episode'"),
        (["ppo", "CartPole-v1", "sampler.env.kwargs.gravity=9"], "unexpected keyword argument"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(rlpyt, tmp_path: Path, words, error):
    result = rlpyt("train", *words, "--out", "deep/run", *QUICK)
    assert error in result.error
    assert result.code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "code", "error"),
    [
        (
            "raise in constructor",
            2,
            "env 0 raised OSError in its constructor: no licence for the simulator (",
        ),
        ("raise in reset", 1, "env 0 raised KeyError in reset: 'no such\\ncheese' ("),
        ("raise in step", 1, "env 0 raised KeyError in step: 'no such\\ncheese' ("),
        ("raise in close", 2, "env 0 raised RuntimeError in close: cannot close ("),
        ("nan in reset", 1, "env 0 returned observation[1] = nan, expected a finite number"),
        ("nan in step", 1, "env 0 returned observation[1] = nan, expected a finite number"),
        ("reward", 1, "env 0 returned reward = inf, expected a finite number (episode 0, step 3"),
        ("shape in reset", 1, "env 0 returned observation of shape (4,), its space says (3,)"),
        ("shape in step", 1, "env 0 returned observation of shape (4,), its space says (3,)"),
        (
            "dtype in reset",
            1,
            "env 0 returned observation of dtype float64, its space says float32",
        ),
        ("dtype in step", 1, "env 0 returned observation of dtype float64, its space says float32"),
        ("exit in step", 1, "ERROR exit: the run was ended by sys.exit(0)"),
    ],
)
def test_a_broken_environment_is_one_line(rlpyt, tmp_path: Path, fault, code, error):
    kwargs = f"sampler.env.kwargs.fault={fault}"
    result = rlpyt("train", "ppo", "cli_envs:Sound", kwargs, "--out", "deep/run", *QUICK)
    assert error in result.error
    assert result.code == code
    if "raise" in fault:
        assert re.search(r"cli_envs\.py:\d+", result.error)
    left = list(tmp_path.iterdir())
    if "replay-capsule" in result.error:  # which the message names
        assert list((tmp_path / "deep" / "run" / "capsules").glob("*.json"))
    else:
        assert left == []


def test_what_a_run_had_reached_when_its_environment_broke_stays(rlpyt):
    words = "train ppo cli_envs:Sound --out run --steps 1000 sampler.batch_T=8 algo.epochs=1"
    broken = ["sampler.env.kwargs.fault=nan in step", "sampler.env.kwargs.at=10"]
    result = rlpyt(*words.split(), *broken, *QUICK)
    assert "(episode 0, step 10" in result.error
    assert result.code == 1
    assert read_run_state(Path("run")) == "failed(env)"
    assert result.error in Path("run/debug.log").read_text()
    assert len(Path("run/progress.csv").read_text().splitlines()) == 2


def test_names_in_an_empty_directory_stay_the_callers(rlpyt, tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert rlpyt("train", "ppo", "cli_envs:Sound", "--out", "run", "n_steps=0").code == 2
    assert contents(tmp_path) == {"run/notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("out", "errno"), [("file/below", "ENOTDIR"), ("file", "EEXIST"), ("/proc/nowhere/x", "ENOENT")]
)
def test_an_unwritable_directory_is_named_before_an_environment_is_made(
    rlpyt, monkeypatch, tmp_path: Path, out, errno
):
    monkeypatch.setenv("CLI_ENVS_MADE", str(tmp_path / "made"))
    (tmp_path / "file").write_text("")
    result = rlpyt("train", "ppo", "cli_envs:Counted", "--out", out, *QUICK)
    assert f"cannot write {out}" in result.error
    assert re.search(rf"\({errno}, errno \d+\)", result.error)
    assert result.code == 1
    assert contents(tmp_path) == {"file": b""}
    rlpyt("train", "ppo", "cli_envs:Counted", "--out", "sound", "n_steps=0")
    assert (tmp_path / "made").exists()  # as it is where the directory is fine


def test_a_directory_that_holds_a_run_is_left_alone(rlpyt, small):
    run_dir = small("run")
    before = contents(run_dir)
    result = rlpyt("train", "ppo", "cli_envs:Sound", "--out", "run", *QUICK)
    assert result.error == (
        "ERROR directory: run already holds a run - continue it with `rlpyt resume run`, "
        "or choose another --out"
    )
    assert contents(run_dir) == before


def test_a_directory_in_use_names_its_holder(rlpyt, tmp_path: Path):
    with RunLock(tmp_path / "run"):
        before = contents(tmp_path)
        result = rlpyt("train", "ppo", "cli_envs:Sound", "--out", "run", *QUICK)
        assert f"run is in use by process {os.getpid()} on host" in result.error
        assert contents(tmp_path) == before


def test_the_loser_of_a_race_for_a_directory_takes_nothing_away(rlpyt, tmp_path, monkeypatch):
    """Both found it empty; the other got the lock first."""
    other = RunLock(tmp_path / "run")
    monkeypatch.setattr("cli_envs.Sound.close", lambda self: other.__enter__())
    try:
        result = rlpyt("train", "ppo", "cli_envs:Sound", "--out", "run", *QUICK)
        assert "in use by process" in result.error
        assert (tmp_path / "run" / ".lock").exists()
    finally:
        other.__exit__(None, None, None)


def test_an_interrupt_before_the_first_iteration_ends_can_be_resumed(rlpyt, monkeypatch):
    step = Sound.step

    def stop(self, action):
        monkeypatch.setattr(Sound, "step", step)
        signal.raise_signal(signal.SIGINT)
        return step(self, action)

    monkeypatch.setattr(Sound, "step", stop)
    words = ["train", "ppo", "cli_envs:Sound", "--out", "run", "--steps", "1000", *QUICK]
    result = rlpyt(*words, "algo.epochs=1")
    assert result.code == 130
    assert result.err.strip().startswith("SIGINT: ending this iteration")
    assert read_run_state(Path("run")) == "interrupted"
    assert rlpyt("resume", "run", *QUICK).code == 0
    assert read_run_state(Path("run")) == "done"


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line_each(rlpyt):
    result = rlpyt("train", "a2c", "CartPole-v0", "--out", "run", "--steps", "64", *QUICK)
    assert result.code == 0
    assert result.err.splitlines() == [
        "WARNING: The environment CartPole-v0 is out of date. "
        "You should consider upgrading to version `v1`."
    ]


def test_the_installed_command_finds_modules_of_the_current_directory(tmp_path: Path):
    """As a user has it: no PYTHONPATH but for rlpyt itself, the environment beside them."""
    (tmp_path / "my_envs.py").write_text(
        textwrap.dedent("""
        import gymnasium
        def make():
            raise ValueError("not today")
        """)
    )
    program = "import sys; from rlpyt.cli.main import main; sys.path.remove(''); sys.exit(main())"
    words = ["train", "ppo", "my_envs:make", "--out", "run"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        "ERROR env: env 0 raised ValueError in its constructor: not today"
    )
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) in (
        ["my_envs.py"],
        ["__pycache__", "my_envs.py"],
    )
