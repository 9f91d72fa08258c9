"""``rlpyt launch`` and the commands for its queue, as a user meets them."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from rlpyt.cli.forecast import forecast_time
from rlpyt.cli.grid_words import grid_of, seeds_of
from rlpyt.cli.main import main
from rlpyt.cli.preflight import check_room, size_of
from rlpyt.cli.presets.registry import default_runner
from rlpyt.cli.target import Target, option_words, run_options
from rlpyt.envs.build import EnvConfig
from rlpyt.launch import Queue
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides

ONE = "1cpu_0gpu_1cpr_0hto_0saf"
QUIET = ["--quiet", "--no-tensorboard", "--no-plot"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dry(capsys, *words: str) -> list[list[str]]:
    """The command of each run."""
    assert main(["launch", *words, "--affinity", ONE, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [shlex.split(line) for line in lines if line.startswith(sys.executable)]


def refused(capsys, *words: str) -> str:
    assert main(["launch", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not list(Path.cwd().rglob("*"))
    return said


def test_a_grid_over_algorithms_environments_and_seeds(capsys):
    words = "ppo,a2c --grid env=CartPole-v1,Acrobot-v1 --seeds 3 --steps 1e5 algo.discount=0.9"
    found = dry(capsys, *words.split(), "--out", "data")
    assert len(found) == 12
    log_dirs = [str(Path(command[4]).relative_to(Path.cwd() / "data")) for command in found[:4]]
    assert log_dirs == [
        "algorithm=ppo/env=CartPole-v1",
        "algorithm=ppo/env=Acrobot-v1",
        "algorithm=a2c/env=CartPole-v1",
        "algorithm=a2c/env=Acrobot-v1",
    ]
    assert [command[5] for command in found] == [*"0000", *"1111", *"2222"]
    assert found[0][1:4] == ["-m", "rlpyt.cli.launched", f"0slt_{ONE}"]
    assert found[0][6:] == ["ppo,a2c", "--steps", "100000", "algo.discount=0.9"]
    assert not Path("data").exists()


def test_one_algorithm_takes_its_environment_as_rlpyt_train_does(capsys):
    [first, _] = dry(capsys, "ppo", "CartPole-v1", "--seeds", "3,7", "--sampler", "cpu")
    assert first[5:] == ["3", "ppo", "--sampler", "cpu", "env=CartPole-v1"]
    [only] = dry(capsys, "ppo", "env=CartPole-v1")
    assert only[6:] == ["ppo", "env=CartPole-v1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pp CartPole-v1", "did you mean 'ppo'"),
        ("ppo", "no environment is given"),
        ("ppo CartPol-v1", "did you mean 'CartPole-v1'"),
        ("ppo CartPole-v1 algo.discont=0.9", "did you mean 'discount'"),
        ("ppo CartPole-v1 --grid algo.discont=0.9,0.8", "variant discont=0.9"),
        ("ppo CartPole-v1 --grid algo.epochs=1,two", "algo.epochs takes int, not 'two'"),
        ("ppo CartPole-v1 --grid algo.epochs=1,0", "variant epochs=0"),
        ("dqn Pendulum-v1", "wrap the environment"),
        ("ppo CartPole-v1 --grid algo.epochs=1,1", "are the same"),
        ("ppo CartPole-v1 --grid algo.epochs", "is no KEY=V1,V2"),
        ("ppo CartPole-v1 --grid algo.epochs=1 algo.epochs=2", "given twice"),
        (
            "ppo CartPole-v1 --grid algo.learning_rate=NaN,1",
            "nan, which JSON does not have",
        ),
        ("ppo --grid env=CartPole-v1,Pong", "variant env=Pong"),
        ("ppo CartPole-v1 --grid env=CartPole-v1,Acrobot-v1", "env=CartPole-v1 is to be the same"),
        ("ppo CartPole-v1 --grid algo.epochs=1,2 --seeds 2 algo.epochs=3", "varied by --grid"),
        ("ppo --grid algo.epochs=1,2 CartPole-v1", "the grid goes up to the next option"),
        ("ppo CartPole-v1 --seed 3", "write --seeds 3,"),
        ("ppo CartPole-v1 --seeds 1,1", "has one twice"),
        ("ppo CartPole-v1 --seeds many", "is none of 5"),
        ("ppo CartPole-v1 --affinity 4096cpu_1cpr_0hto", "affinity"),
        ("ppo CartPole-v1 --sink wandbb", "did you mean 'wandb'"),
        ("nothing.py", "there is no script nothing.py"),
        ("data/nothing", "there is nothing to launch"),
        ("no_module:function", "cannot import no_module"),
        ("rlpyt.data:Samples_", "has no function"),
        ("rlpyt.envs.classic:masked_velocity_cartpole", "returns"),
        ("ppo,,a2c CartPole-v1", "there is nothing to launch at ''"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_there(capsys, words, said):
    assert said in refused(capsys, *words.split())


def test_the_settings_of_the_environment_choose_the_defaults_in_a_grid_too(capsys):
    args, _ = run_options([])
    for variant in ({"sampler": {"env": {"kwargs": {"n": 2}}}}, {"env": {"kwargs": {"n": 2}}}):
        runner = Target.parse("ppo").build(variant, args, ["env=cli_envs:continuous"])
        assert runner.algo.normalize_reward  # as for real numbers, which n=1 has not
        assert runner.sampler.env.kwargs == {"n": 2}
    found = dry(
        capsys, "ppo", "cli_envs:make_sound", "--grid", "env.kwargs.size=3,4", "--seeds", "1"
    )
    assert len(found) == 2  # one that cannot be made without


def test_more_memory_or_disk_than_there_is_is_refused(capsys):
    assert main(["launch", "dqn", "CartPole-v1", "algo.replay.size=20000000000"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ERROR memory: 1 run takes")
    assert "GB are free" in said
    assert not list(Path.cwd().rglob("*"))


def test_a_forecast_counts_the_replay_and_what_checkpoints_keep():
    runner = default_runner("dqn", EnvConfig(id="CartPole-v1"))
    small = size_of(apply_overrides(runner, ["algo.replay.size=100000"]))
    large = size_of(apply_overrides(runner, ["algo.replay.size=1100000"]))
    row = (large.memory - small.memory) / 1e6  # bytes: 4 floats, action, reward, flags
    assert 20 < row < 60
    kept = runner.keep_checkpoints + 2
    assert (large.disk - small.disk) / (large.memory - small.memory) == pytest.approx(kept)
    said = check_room([runner] * 2, 3, 2, Path("data"))
    assert "of memory" in said
    assert "on disk" in said
    assert not Path("data").exists()


def test_a_short_grid_starts_without_a_look_at_its_speed():
    runner = default_runner("ppo", EnvConfig(id="CartPole-v1"))
    short = apply_overrides(runner, ["n_steps=1000"])
    assert forecast_time([short], 3, 2, lambda text: pytest.fail("measured")) is None


def test_runs_are_queued_once_launched_compared_and_told(capsys):
    words = ["a2c", "CartPole-v1", "--seeds", "2", "--steps", "2000", *QUIET, "--out", "data"]
    assert main(["launch", *words, "--no-start"]) == 0
    assert main(["launch", *words, "--no-start"]) == 0
    assert "2 of them are known already" in capsys.readouterr().out
    assert main(["status", "data"]) == 0
    assert "nobody runs them: start with `rlpyt launch data`" in capsys.readouterr().out
    assert main(["launch", "data", "--affinity", ONE, "--dry-run"]) == 0
    assert main(["launch", "data", "--affinity", ONE]) == 0
    assert "2 done; report: data/report/report.html" in capsys.readouterr().out
    assert Path("data/report/report.html").exists()
    assert main(["status", "data", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"done": 2}
    assert [run["attempts"] for run in told["runs"]] == [1, 1]
    params = [json.loads(Path(run["run_dir"], "params.json").read_text()) for run in told["runs"]]
    assert [one["seed"] for one in params] == [0, 1]
    assert [one["torch_threads"] for one in params] == [1, 1]  # of the slot


def test_a_launch_that_is_gone_on_with_takes_no_settings(capsys):
    words = ["a2c", "CartPole-v1", "--steps", "2000", "--out", "data", "--no-start"]
    assert main(["launch", *words]) == 0
    for more in (["algo.discount=0.9"], ["--steps", "5"], ["--seeds", "3"], ["--grid", "a=1"]):
        assert main(["launch", "data", *more]) == 2
        assert "has its runs already" in capsys.readouterr().err


SCRIPT = """
from rlpyt.agents import PgAgent
from rlpyt.algos import A2C
from rlpyt.launch import LaunchedRun
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


def cartpole():
    sampler = SerialSampler(env="CartPole-v1", batch_T=5, batch_B=4)
    return MinibatchRl(algo=A2C(), agent=PgAgent(), sampler=sampler, n_steps=400)


if __name__ == "__main__":
    run = LaunchedRun.from_arguments()
    run.train(run.configured(cartpole()), name="a2c_cartpole")
"""


def test_a_script_and_a_function_of_it_give_the_same_run(capsys):
    Path("script.py").write_text(SCRIPT)
    grid = ["--grid", "algo.learning_rate=0.01", "--affinity", ONE, "--no-report"]
    assert main(["launch", "script.py", *grid, "--out", "a"]) == 0
    words = ["script.py:cartpole", *grid, *QUIET, "--out", "b"]
    assert main(["launch", *words]) == 0
    paths = [Path(name, "learning_rate=0.01/run_0/params.json") for name in "ab"]
    script, function = (json.loads(path.read_text()) for path in paths)
    assert script["algo"]["learning_rate"] == 0.01
    assert (script["name"], function["name"]) == ("a2c_cartpole", "cartpole")
    for params in (script, function):
        del params["name"], params["extra"]
    assert script == function
    assert main(["launch", "script.py", "--steps", "5"]) == 2
    assert "a script has no --steps 5" in capsys.readouterr().err


def test_stop_retry_and_requeue_from_the_command_line(capsys):
    words = ["a2c", "CartPole-v1", "--steps", "2000", "--seeds", "3"]
    words += ["--out", "data", "--no-start"]
    assert main(["launch", *words]) == 0
    assert main(["stop", "data", "run_0", "3"]) == 0
    with Queue("data") as queue:
        assert [run.state for run in queue.runs()] == ["stopped", "queued", "stopped"]
        assert main(["retry", "data", "--all"]) == 0
        assert queue.counts() == {"queued": 3}
        Path("data/run_1").mkdir()
        Path("data/run_1/progress.csv").write_text("a\n1\n")
        assert main(["requeue", "data", "run_1", "--from-scratch"]) == 0
        assert Path("data/run_1.1/progress.csv").exists()
        with queue.attend("auto") as launcher:
            assert [launcher.take(0).id for _ in range(3)] == [1, 3, 2]
    capsys.readouterr()
    for words, said in {
        "stop data": "which runs?",
        "stop data run_7": "did you mean",
        "retry data run_1": "run_1 is running: only failed and stopped runs can be",
        "requeue data run_1 --from-scratch": "is running - stop it first",
        "status .": "has no queue.sqlite",
    }.items():
        assert main(words.split()) == 2
        assert said in capsys.readouterr().err


def test_values_of_a_grid_are_json_or_text():
    words = ["a.b=1,2.5,true,null,x/y", "sizes=[64,64],[8]", 'c="1,2",{"k":[1,2]}']
    [first, second, third] = grid_of(words, 1, {}).levels
    assert [value for (value,) in first.values] == [1, 2.5, True, None, "x/y"]
    assert [value for (value,) in second.values] == [[64, 64], [8]]
    assert [value for (value,) in third.values] == ["1,2", {"k": [1, 2]}]


def test_seeds_are_a_number_or_which():
    assert seeds_of("5") == 5
    assert seeds_of("3,7") == [3, 7]
    assert seeds_of("3,") == [3]
    assert seeds_of("10-12,4") == [10, 11, 12, 4]


def test_options_become_words_and_options_again():
    words = [
        "--steps",
        "500",
        "--sampler",
        "cpu",
        "--workers",
        "2",
        "--async",
        "--recurrent",
        "lstm",
        "--no-plot",
    ]
    args, overrides = run_options([*words, "algo.discount=0.9"])
    assert overrides == ["algo.discount=0.9"]
    assert run_options(option_words(args))[0] == args
    assert option_words(run_options([])[0]) == []


def test_a_target_is_what_it_says():
    assert Target.parse("ppo,a2c") == Target("algorithm", "", ("ppo", "a2c"))
    assert Target.parse("package.module:f") == Target("experiment", "package.module", ("f",))
    Path("x.py").touch()
    here = str(Path.cwd() / "x.py")
    assert Target.parse("x.py") == Target("script", here, ())
    assert Target.parse("x.py:f,g") == Target("experiment", here, ("f", "g"))
    assert Target.parse(str(Target.parse("x.py:f,g"))) == Target.parse("x.py:f,g")
    with pytest.raises(RlpytError, match="unknown algorithm"):
        Target.parse("package.module")


def test_several_functions_of_a_file_are_a_setting_of_the_grid(capsys):
    path = Path(__file__).parents[2] / "experiments" / "ppo_classic.py"
    found = dry(capsys, f"{path}:cartpole,acrobot", "--seeds", "2")
    assert [Path(command[4]).name for command in found[:2]] == [
        "experiment=cartpole",
        "experiment=acrobot",
    ]
    assert found[0][6] == f"{path}:cartpole,acrobot"
