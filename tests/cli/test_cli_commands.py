"""resume, eval, hash, plot, env-check and the help pages."""

import json
import os
import re
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from cli_envs import Sound, make_sound

from rlpyt import __version__
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.lock import RunLock
from rlpyt.cli.commands import COMMANDS
from rlpyt.envs.build import EnvConfig
from rlpyt.evaluation.runs import read_progress
from rlpyt.logging.context import logger_context
from rlpyt.logging.run_state import read_run_state, write_run_state
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

QUICK = ["--quiet", "--no-tensorboard", "--no-plot"]


def script(env, log_dir: str = "script", n_steps: int = 64, **settings) -> Path:
    """What a user's own script does."""
    runner = MinibatchRl(
        algo=PPO(epochs=1, minibatches=1),
        agent=PgAgent(),
        sampler=SerialSampler(env=env, batch_T=16, batch_B=2),
        n_steps=n_steps,
        **settings,
    )
    with logger_context(log_dir, 0, "mine", tensorboard=False, console=False) as logger:
        runner.train(logger)
    return Path(log_dir)


def go_back(run_dir: Path) -> None:
    """Make a complete run one that was killed after its first checkpoint."""
    checkpoints = Checkpointer(run_dir / "checkpoints")
    shutil.rmtree(checkpoints.latest())
    write_run_state(run_dir, "running")


# --- help ---


def test_help_names_every_command(rlpyt):
    result = rlpyt("--help")
    assert result.code == 0
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.summary)}$", result.out, re.MULTILINE)
    assert all(len(line) <= 80 for line in result.out.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_explains_and_shows_an_example(rlpyt, name: str):
    result = rlpyt(name, "--help")
    assert result.code == 0
    assert COMMANDS[name].description in result.out
    assert re.search(rf"examples?:\n(?:.*\n)* +rlpyt {name} ", result.out)
    options = re.findall(r"^  (-\S+)(.*(?:\n {20,}.*)?)", result.out, re.MULTILINE)
    assert len(options) >= 1
    for option, text in options:
        assert re.search(r"[a-z]{3}", text), f"{option} is not explained"
    if COMMANDS[name].takes_overrides:
        assert "[key=value ...]" in result.out


def test_version(rlpyt):
    assert rlpyt("--version").out == f"rlpyt {__version__}\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "ERROR usage: the following arguments are required: COMMAND - see `rlpyt --help`"),
        (["trian"], "ERROR usage: unknown command 'trian' - did you mean 'train'?"),
        (["--versio"], "ERROR usage: the following arguments are required: COMMAND"),
        (["resume"], "required: RUN_DIR - see `rlpyt resume --help`"),
        (["hash", "x", "y"], "ERROR usage: unknown argument 'y' - see `rlpyt hash --help`"),
        (
            ["eval", "x", "--episode", "3"],
            "unknown argument '--episode' - did you mean '--episodes'",
        ),
        (["eval", "x", "--episodes", "0"], "--episodes: '0' is not a whole number above 0"),
        (["eval", "x", "algo.epochs=1"], "unknown argument 'algo.epochs=1'"),
        (["plot", "x", "--smooth", "much"], "argument --smooth"),
    ],
)
def test_a_mistake_is_one_line(rlpyt, words, error):
    result = rlpyt(*words)
    assert error in result.error
    assert result.code == 2


@pytest.mark.parametrize("command", ["resume", "eval", "hash"])
def test_what_is_no_run_is_said(rlpyt, tmp_path: Path, command: str):
    assert "there is no directory nowhere" in rlpyt(command, "nowhere").error
    (tmp_path / "file").write_text("")
    assert "file is not a directory" in rlpyt(command, "file").error
    (tmp_path / "empty").mkdir()
    result = rlpyt(command, "empty")
    assert "empty holds no run (no params.json)" in result.error
    assert result.code == 2
    assert list((tmp_path / "empty").iterdir()) == []
    for name in ("a", "b"):
        (tmp_path / "two" / name).mkdir(parents=True)
        (tmp_path / "two" / name / "params.json").write_text("{}")
    error = rlpyt(command, "two").error
    assert "two holds 2 runs - choose one, such as two/a" in error


def test_a_run_that_saved_nothing_is_resumed_from_the_beginning(rlpyt, small):
    whole, run_dir = small("whole"), small("run")
    for leftover in ("checkpoints", "curve.png"):
        path = run_dir / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    write_run_state(run_dir, "running")
    result = rlpyt("resume", run_dir)
    assert result.code == 0, result.error
    assert rlpyt("hash", run_dir).out == rlpyt("hash", whole).out
    assert read_run_state(run_dir) == "done"
    column = "Diagnostics/CumSteps"
    assert read_progress(run_dir)[column] == read_progress(whole)[column]


@pytest.mark.parametrize("command", ["eval", "hash"])
def test_a_run_without_a_checkpoint(rlpyt, small, command: str):
    run_dir = small("run")
    write_run_state(run_dir, "running")
    shutil.rmtree(run_dir / "checkpoints")
    error = rlpyt(command, run_dir).error
    assert "run has no checkpoint: the run ended before it saved its first - train again" in error
    (run_dir / "checkpoints").mkdir()
    assert "there is no checkpoint" in rlpyt(command, run_dir).error


@pytest.mark.parametrize("command", ["resume", "eval"])
@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "params.json is not JSON"),
        ("[]", "params.json is not a JSON object"),
        ('{"class": "rlpyt.gone.Runner"}', "cannot find the class rlpyt.gone.Runner"),
        ('{"class": "__main__.Runner"}', "move the class from the script into a module"),
        ('{"class": "os.path.join"}', "os.path.join is not a component"),
        ('{"class": "rlpyt.algos.pg.ppo.PPO"}', "describes a PPO, not a runner"),
    ],
)
def test_params_json_that_describes_no_run(rlpyt, small, command, content, error):
    run_dir = small("run")
    (run_dir / "params.json").write_text(content)
    assert error in rlpyt(command, run_dir).error


def test_an_unknown_field_in_params_json(rlpyt, small):
    run_dir = small("run")
    params = json.loads((run_dir / "params.json").read_text())
    params["algo"]["ratio_clp"] = params["algo"].pop("ratio_clip")
    (run_dir / "params.json").write_text(json.dumps(params))
    error = rlpyt("eval", run_dir).error
    assert (
        "PPO has no field 'ratio_clp' (run/params.json: algo) - did you mean 'ratio_clip'?" in error
    )


# --- resume ---


def test_resume_of_a_complete_run_says_so(rlpyt, small):
    run_dir = small("run")
    result = rlpyt("resume", run_dir)
    assert result.code == 0
    assert result.out == "run is complete: nothing is left to do\n"


def test_resume_goes_on_to_the_same_end(rlpyt, small):
    run_dir = small("run")
    hash_of_whole = rlpyt("hash", run_dir).out
    rows = (run_dir / "progress.csv").read_text().splitlines()
    go_back(run_dir)
    result = rlpyt("resume", run_dir, "--no-tensorboard")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "PPO on cli_envs:Sound: 256 steps, seed 0, cpu, into run"
    assert lines[-1] == "learning curve: run/curve.png"
    assert (run_dir / "curve.png").exists()
    assert rlpyt("hash", run_dir).out == hash_of_whole
    assert len((run_dir / "progress.csv").read_text().splitlines()) == len(rows)
    assert read_run_state(run_dir) == "done"


def test_resume_of_a_run_in_use_names_its_holder(rlpyt, small):
    run_dir = small("run")
    go_back(run_dir)
    with RunLock(run_dir):
        error = rlpyt("resume", run_dir, *QUICK).error
    assert f"run is in use by process {os.getpid()} on host" in error
    assert read_run_state(run_dir) == "running"


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", ["resume", "eval", "hash"])
def test_a_damaged_newest_checkpoint_is_warned_of(rlpyt, small, command: str):
    run_dir = small("run", "checkpoint_interval_steps=128")
    newest = Checkpointer(run_dir / "checkpoints").latest()
    (newest / "arrays.safetensors").write_bytes(b"damaged")
    write_run_state(run_dir, "running")
    result = rlpyt(command, run_dir, *(QUICK if command == "resume" else []))
    assert result.code == 0
    [line] = result.err.splitlines()
    assert line.startswith("WARNING: fell back to itr_000000001")
    assert "arrays.safetensors is damaged" in line


@pytest.mark.parametrize("command", ["resume", "eval", "hash"])
def test_when_every_checkpoint_is_damaged(rlpyt, small, command: str):
    run_dir = small("run")
    write_run_state(run_dir, "running")
    for path in run_dir.glob("checkpoints/itr_*/manifest.json"):
        path.unlink()
    result = rlpyt(command, run_dir)
    assert "none of the checkpoints can be loaded" in result.error
    assert "manifest.json is missing" in result.error
    assert result.code == 1


def test_a_checkpoint_of_a_future_format(rlpyt, small, monkeypatch):
    run_dir = small("run")
    monkeypatch.setattr("rlpyt.checkpoint.manifest.FORMAT_VERSION", 0)  # we are the past
    result = rlpyt("eval", run_dir)
    assert re.search(r"ERROR version: .*version 1", result.error)
    assert result.code == 1


# --- eval ---


def test_eval_prints_a_table(rlpyt, small):
    run_dir = small("run")
    result = rlpyt("eval", run_dir, "--episodes", "5")
    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0] == "run: 5 episodes after 256 steps, evaluation seed 0"
    assert lines[1].split() == ["Average", "Std", "Median", "Min", "Max"]
    assert [line.split()[0] for line in lines[2:]] == [
        "Length",
        "Return",
        "NonzeroRewards",
        "DiscountedReturn",
    ]
    assert lines[2].split()[1:] == ["10", "0", "10", "10", "10"]


def test_eval_json_is_one_object_whatever_the_environment_prints(rlpyt, small, monkeypatch):
    run_dir = small("run")
    step = Sound.step
    monkeypatch.setattr(Sound, "step", lambda self, a: (print("chatter"), step(self, a))[1])
    result = rlpyt("eval", run_dir, "--episodes", "3", "--json")
    found = json.loads(result.out)
    assert result.out.count("\n") == 1
    assert "chatter" in result.err
    assert found["episodes"] == 3
    assert found["seed"] == 0
    assert found["itr"] == 2
    assert found["cum_steps"] == 256
    assert found["LengthAverage"] == 10
    assert set(found) >= {f"Return{statistic}" for statistic in ("Average", "Std", "Min", "Max")}


def test_eval_seed_is_reproducible(rlpyt, small):
    run_dir = small("run")

    def evaluate(*words: str) -> str:
        result = rlpyt("eval", run_dir, "--episodes", "6", "--json", "--stochastic", *words)
        return {k: v for k, v in json.loads(result.out).items() if k != "seed"}

    assert evaluate("--seed", "5") == evaluate("--seed", "5")
    assert evaluate("--seed", "5") != evaluate("--seed", "6")
    assert evaluate() == evaluate("--seed", "0")  # the run's


def test_eval_is_greedy_unless_stochastic(rlpyt, small, monkeypatch):
    run_dir = small("run")
    greedy = json.loads(rlpyt("eval", run_dir, "--episodes", "20", "--json").out)
    sampled = json.loads(rlpyt("eval", run_dir, "--episodes", "20", "--json", "--stochastic").out)
    assert sampled["ReturnStd"] > 0
    assert sampled["ReturnAverage"] != greedy["ReturnAverage"]


def test_eval_best(rlpyt, small):
    run_dir = small("run", "checkpoint_interval_steps=128")
    best = Checkpointer(run_dir / "checkpoints").load(Checkpointer(run_dir / "checkpoints").best())[
        1
    ]
    assert json.loads(rlpyt("eval", run_dir, "--best", "--json").out)["itr"] == best.itr
    go_back(run_dir)
    for path in run_dir.glob("checkpoints/itr_*"):
        if path.name != "itr_000000000":
            shutil.rmtree(path)
    assert "has no best checkpoint" in rlpyt("eval", run_dir, "--best").error


def test_eval_uses_the_runs_own_evaluation_environment(rlpyt):
    evaluator = Evaluator(env=EnvConfig(id="cli_envs:Sound", time_limit=4), greedy=False)
    script("cli_envs:Sound", evaluator=evaluator)
    found = json.loads(rlpyt("eval", "script", "--episodes", "3", "--json").out)
    assert found["LengthMax"] == 4


def test_eval_leaves_the_run_as_it_is(rlpyt, small):
    run_dir = small("run")
    before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")}
    rlpyt("eval", run_dir)
    rlpyt("hash", run_dir)
    assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*")} == before


@pytest.mark.skipif(find_spec("moviepy") is None, reason='needs pip install "rlpyt[video]"')
@pytest.mark.filterwarnings("ignore")  # moviepy's own
def test_eval_video(rlpyt, small):
    run_dir = small("run")
    result = rlpyt("eval", run_dir, "--episodes", "1", "--json", "--video", "deep/out.mp4")
    assert result.code == 0, result.err
    assert json.loads(result.out)["video"] == "deep/out.mp4"
    assert Path("deep/out.mp4").read_bytes()[4:8] == b"ftyp"
    shown = rlpyt("eval", run_dir, "--episodes", "1", "--video", "out.mp4").out
    assert shown.splitlines()[-1] == "video: out.mp4"


def test_eval_video_needs_moviepy_and_says_so_first(rlpyt, small, monkeypatch):
    run_dir = small("run")
    assert (
        "cannot record out.gif - end it in .mp4"
        in rlpyt("eval", run_dir, "--video", "out.gif").error
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = rlpyt("eval", run_dir, "--video", "out.mp4")
    assert 'video needs moviepy - pip install "rlpyt[video]"' in result.error
    assert result.code == 2


def test_eval_of_another_device_that_is_not_here(rlpyt, small):
    result = rlpyt("eval", small("run"), "--device", "nonsense")
    assert "ERROR device: unknown device 'nonsense'" in result.error
    assert result.code == 2


# --- hash ---


def test_hash_is_equal_for_equal_seeds_and_no_others(rlpyt, small):
    hashes = [rlpyt("hash", small(f"run{n}", "--seed", seed)) for n, seed in enumerate("334")]
    assert [result.code for result in hashes] == [0, 0, 0]
    assert re.fullmatch(r"[0-9a-f]{64}\n", hashes[0].out)
    assert hashes[0].out == hashes[1].out
    assert hashes[0].out != hashes[2].out


# --- plot ---


def test_plot_draws_runs(rlpyt, small):
    small("runs/a")
    small("runs/b", "--seed", "1")
    result = rlpyt("plot", "runs", "--out", "deep/curves.svg", "--smooth", "2")
    assert result.code == 0
    assert result.out == "deep/curves.svg\n"
    assert "<svg" in Path("deep/curves.svg").read_text()
    assert rlpyt("plot", "runs/a", "runs/b").out == "curve.png\n"
    assert Path("curve.png").read_bytes()[:4] == b"\x89PNG"


def test_plot_errors(rlpyt, small):
    small("run")
    error = rlpyt("plot", "run", "--y", "ReturnAverag").error
    assert "no column 'ReturnAverag' (run/progress.csv) - did you mean 'ReturnAverage'?" in error
    error = rlpyt("plot", "run", "--y", "Length").error  # LengthStd has the nearer name
    assert "did you mean 'LengthAverage'?" in error
    assert "no such path: nowhere" in rlpyt("plot", "nowhere").error
    assert "cannot draw curve.bmp" in rlpyt("plot", "run", "--out", "curve.bmp").error
    assert not Path("curve.png").exists()


# --- env-check ---


def test_env_check_of_a_sound_environment(rlpyt):
    result = rlpyt("env-check", "CartPole-v1", "--steps", "200")
    assert result.code == 0
    assert result.err == ""
    assert "CartPole-v1" in result.out


@pytest.mark.parametrize("env", ["nowhere:make", "CartPole-v99", "cli_envs:make_sound"])
def test_env_check_of_one_that_cannot_be_made(rlpyt, env: str):
    result = rlpyt("env-check", env, "--steps", "50")
    assert result.code != 0
    assert "Traceback" not in result.out + result.err


# --- runs that a script started ---


def local_env():
    def make():
        return Sound()

    return make


@pytest.mark.parametrize(
    "env",
    [
        "cli_envs:Sound",
        Sound,
        EnvConfig(id=make_sound, kwargs={"size": 3}),
        EnvConfig(id="CartPole-v1", time_limit=20),
    ],
)
def test_a_run_of_a_script_is_evaluated_and_resumed(rlpyt, env):
    run_dir = script(env) / "run_0"
    whole = rlpyt("hash", "script").out
    result = rlpyt("eval", "script", "--episodes", "2", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["episodes"] == 2
    go_back(run_dir)
    assert rlpyt("resume", "script", *QUICK).code == 0
    assert rlpyt("hash", "script").out == whole
    params = json.loads((run_dir / "params.json").read_text())
    assert params["name"] == "mine"


@pytest.mark.parametrize("env", [lambda: Sound(), local_env()])
@pytest.mark.parametrize("command", ["eval", "resume"])
def test_an_environment_that_no_import_finds(rlpyt, command: str, env):
    run_dir = script(env) / "run_0"
    go_back(run_dir)
    error = rlpyt(command, "script").error
    assert "is a lambda or a function inside a function, which no import can find" in error
    assert "(script/run_0/params.json: sampler: env)" in error
    assert "use a module-level function: def it in a module" in error
    assert rlpyt("hash", "script").code == 0  # needs no environment


def test_an_environment_of_the_script_itself(rlpyt):
    run_dir = script("cli_envs:Sound") / "run_0"
    path = run_dir / "params.json"
    path.write_text(path.read_text().replace("cli_envs:Sound", "__main__:make_env"))
    error = rlpyt("eval", "script").error
    assert "'make_env' was defined in the script that was run, which is not imported again" in error


def test_a_script_resumes_its_run_itself(rlpyt, monkeypatch):
    step, count = Sound.step, [0]

    def stop(self, action):
        count[0] += 1
        if count[0] == 40:
            signal.raise_signal(signal.SIGTERM)
        return step(self, action)

    monkeypatch.setattr(Sound, "step", stop)
    with pytest.raises(SystemExit):
        script(lambda: Sound(), n_steps=256)
    assert read_run_state(Path("script/run_0")) == "preempted"
    runner = MinibatchRl(
        algo=PPO(epochs=1, minibatches=1),
        agent=PgAgent(),
        sampler=SerialSampler(env=lambda: Sound(), batch_T=16, batch_B=2),
        n_steps=256,
    )
    with logger_context(
        "script", 0, "mine", tensorboard=False, console=False, resume=True
    ) as logger:
        runner.train(logger, resume=True)
    script(lambda: Sound(), "other", n_steps=256)
    assert rlpyt("hash", "script").out == rlpyt("hash", "other").out
