"""An interrupted and resumed run is the uninterrupted run, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from runner_fakes import (
    Drift,
    assert_same_run,
    final_state,
    parameters,
    quiet_logger,
    read_rows,
    small_runner,
    timeless,
    train,
)
from warm_python import start

import rlpyt.runners.minibatch_rl
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.cli.main import main
from rlpyt.logging.run_state import read_run_state
from rlpyt.rewards import E3B
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.errors import RlpytError

ROOT = Path(rlpyt.runners.minibatch_rl.__file__).parents[2]

SMALL_REWARD = {"hidden_sizes": [8], "feature_size": 4}
NOVELTY = IntrinsicRewards(reward_kwargs=SMALL_REWARD)  # RND
SECOND_VALUE = IntrinsicRewards(reward_kwargs=SMALL_REWARD, discount=0.9)
IN_EPISODE = IntrinsicRewards(RewardCls=E3B, reward_kwargs=SMALL_REWARD)
VARIANTS: dict[str, dict[str, Any]] = {
    "ppo-rnd": {"intrinsic": NOVELTY},
    "ppo-lstm-rnd-second-value": {"intrinsic": SECOND_VALUE, "recurrent": "lstm"},
    "a2c-rnd-second-value": {"algo": "a2c", "intrinsic": SECOND_VALUE},
    "impala-e3b": {"algo": "impala", "intrinsic": IN_EPISODE},
    "pqn-rnd": {"algo": "pqn", "intrinsic": NOVELTY},
    "sac-rnd-at-sampling": {
        "algo": "sac",
        "continuous": True,
        "n_step": 1,
        "intrinsic": NOVELTY,
    },
    "sac-lstm-e3b": {
        "algo": "sac",
        "continuous": True,
        "recurrent": "lstm",
        "intrinsic": IN_EPISODE,
    },
    "ppo": {},
    "ppo-evaluator": {"evaluator": Evaluator(episodes=4, n_envs=2, greedy=False)},
    "ppo-lstm": {"recurrent": "lstm"},
    "ppo-lstm-wait-evaluator": {
        "recurrent": "lstm",
        "mid_batch_reset": False,
        "evaluator": Evaluator(episodes=3),
    },
    "ppo-continuous-wait": {"continuous": True, "mid_batch_reset": False},
    "pqn": {"algo": "pqn", "evaluator": Evaluator(episodes=3, greedy=False)},
    "pqn-gru-wait": {"algo": "pqn", "recurrent": "gru", "mid_batch_reset": False},
    "sac": {"algo": "sac", "continuous": True, "evaluator": Evaluator(episodes=3, greedy=False)},
    "sac-lstm": {"algo": "sac", "continuous": True, "recurrent": "lstm"},
    "sac-discrete": {"algo": "sac-discrete"},
    "redq": {"algo": "redq", "continuous": True},
    "crossq": {"algo": "crossq", "continuous": True},
    "tqc": {"algo": "tqc", "continuous": True},
    "ddpg-gru-wait": {
        "algo": "ddpg",
        "continuous": True,
        "recurrent": "gru",
        "mid_batch_reset": False,
    },
    "td3-wait": {"algo": "td3", "continuous": True, "mid_batch_reset": False},
    "a2c": {"algo": "a2c"},
    "a2c-wait": {"algo": "a2c", "mid_batch_reset": False},
    "a2c-lstm": {"algo": "a2c", "recurrent": "lstm"},
    "appo": {"algo": "appo", "evaluator": Evaluator(episodes=3, n_envs=2)},
    "appo-gru-continuous": {"algo": "appo", "recurrent": "gru", "continuous": True},
    "impala": {"algo": "impala"},
    "daac": {"algo": "daac"},
    "drdaac-continuous-wait": {"algo": "drdaac", "continuous": True, "mid_batch_reset": False},
    "drac-gru": {"algo": "drac", "recurrent": "gru"},
    "ppg": {"algo": "ppg"},  # interrupted in the middle of a phase of four
    "ppg-continuous-wait": {"algo": "ppg", "continuous": True, "mid_batch_reset": False},
    "impala-lstm": {"algo": "impala", "recurrent": "lstm"},
    "impala-continuous-wait": {"algo": "impala", "continuous": True, "mid_batch_reset": False},
    "a2c-gru-continuous-evaluator": {
        "algo": "a2c",
        "recurrent": "gru",
        "continuous": True,
        "evaluator": Evaluator(episodes=3, n_envs=2),
    },
}


@pytest.fixture(autouse=True)
def no_signal():
    Drift.AT, Drift.SIGNAL = None, signal.SIGINT
    yield
    Drift.AT = None


def interrupt(log_dir: Path, step: int, *, resume: bool = False, **settings: Any) -> Path:
    """Train until a signal at ``step``, counted over all environments, evaluation's too."""
    Drift.AT = step
    with pytest.raises(SystemExit):
        train(small_runner(**settings), log_dir, resume=resume)
    Drift.AT = None
    return log_dir / "run_0"


@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_is_uninterrupted(tmp_path: Path, variant: str):
    settings = VARIANTS[variant]
    whole = train(small_runner(**settings), tmp_path / "whole")
    before_training = 200 if "evaluator" in settings else 0
    run_dir = interrupt(tmp_path / "parts", before_training + 150, **settings)
    state, manifest = Checkpointer(run_dir / "checkpoints").load_latest()
    assert 0 < manifest.itr < 10
    lengths = [traj["Length"] for traj in state["sampler"]["trajs"]]
    assert max(lengths) > 0  # in the middle of an episode
    interrupt(tmp_path / "parts", 200 + 50, resume=True, **settings)
    later = Checkpointer(run_dir / "checkpoints").load_latest()[1]
    assert manifest.itr < later.itr < 10
    runner = small_runner(**settings)
    train(runner, tmp_path / "parts", resume=True)
    assert_same_run(whole, run_dir)
    assert read_run_state(run_dir) == "done"


@pytest.mark.parametrize(
    "variant", ["ppo-evaluator", pytest.param("a2c-lstm", marks=pytest.mark.slow)]
)
def test_resumed_after_every_iteration_is_uninterrupted(tmp_path: Path, variant: str):
    settings = {**VARIANTS[variant], "checkpoint_interval_steps": 64, "keep_checkpoints": 99}
    whole = train(small_runner(**settings), tmp_path / "whole")
    final = final_state(whole)
    for itr in range(10):
        run_dir = tmp_path / str(itr)
        (run_dir / "run_0").mkdir(parents=True)
        for path in [whole / "progress.csv", *whole.glob("checkpoints/itr_*/*")]:
            if path.name == "progress.csv" or int(path.parent.name[-9:]) <= itr:
                copy = run_dir / "run_0" / path.relative_to(whole)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
        train(small_runner(**settings), run_dir, resume=True)
        resumed = final_state(run_dir / "run_0")
        assert resumed["skeleton"] == final["skeleton"], itr
        assert_same_run(whole, run_dir / "run_0")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_leave_a_run_to_go_on_with(tmp_path: Path, signum: signal.Signals):
    Drift.SIGNAL = signum
    run_dir = interrupt(tmp_path / "parts", 130)
    assert read_run_state(run_dir) == ("interrupted" if signum == signal.SIGINT else "preempted")
    train(small_runner(), tmp_path / "parts", resume=True)
    assert_same_run(train(small_runner(), tmp_path / "whole"), run_dir)


def test_a_second_signal_loses_only_what_came_after_the_last_checkpoint(tmp_path, monkeypatch):
    whole = train(small_runner(), tmp_path / "whole")
    step = Drift.step

    def twice(self, action):
        result = step(self, action)
        if Drift.AT == 0:
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(Drift, "step", twice)
    run_dir = interrupt(tmp_path / "parts", 300, checkpoint_interval_steps=128)
    monkeypatch.undo()
    newest = Checkpointer(run_dir / "checkpoints").load_latest()[1].cum_steps
    assert newest in (128, 256)  # the second may have been on its way
    train(small_runner(), tmp_path / "parts", resume=True)
    assert_same_run(whole, run_dir)


def test_an_error_in_the_middle_can_be_mended_and_resumed(tmp_path: Path, monkeypatch):
    whole = train(small_runner(), tmp_path / "whole")
    step, count = Drift.step, [0]

    def fail(self, action):
        count[0] += 1
        if count[0] == 300:
            raise ConnectionError("simulator lost")
        return step(self, action)

    monkeypatch.setattr(Drift, "step", fail)
    with pytest.raises(RlpytError, match="simulator lost"):
        train(small_runner(checkpoint_interval_steps=64), tmp_path / "parts")
    monkeypatch.undo()
    run_dir = tmp_path / "parts" / "run_0"
    assert read_run_state(run_dir) == "failed(env)"
    train(small_runner(), tmp_path / "parts", resume=True)
    assert_same_run(whole, run_dir)


@pytest.mark.filterwarnings("default")
def test_a_damaged_newest_checkpoint_costs_only_time(tmp_path: Path, recwarn):
    whole = train(small_runner(), tmp_path / "whole")
    run_dir = interrupt(tmp_path / "parts", 300, checkpoint_interval_steps=64)
    newest = Checkpointer(run_dir / "checkpoints").latest()
    arrays = newest / "arrays.safetensors"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    train(small_runner(), tmp_path / "parts", resume=True)
    messages = [str(warning.message) for warning in recwarn]
    assert any("fell back to" in m and "arrays.safetensors is damaged" in m for m in messages)
    assert_same_run(whole, run_dir)


def test_resume_without_a_checkpoint(tmp_path: Path):
    with pytest.raises(RlpytError, match="there is no checkpoint"):
        train(small_runner(), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"seed": 99}, "seed=99 differs from the run's"),
        ({"algo": "a2c"}, "algo.class="),
        ({"continuous": True}, "sampler.env"),
    ],
    ids=str,
)
def test_resume_with_other_settings_is_refused_by_name(tmp_path: Path, settings, named: str):
    run_dir = interrupt(tmp_path, 300)
    params = (run_dir / "params.json").read_bytes()
    with pytest.raises(RlpytError, match=named) as caught:
        train(small_runner(**settings), tmp_path, resume=True)
    assert caught.value.code == "config"
    assert (run_dir / "params.json").read_bytes() == params


def test_resume_in_the_directory_of_another_log(tmp_path: Path):
    run_dir = interrupt(tmp_path, 300)
    (run_dir / "progress.csv").unlink()
    with pytest.raises(RlpytError, match="does not hold"):
        train(small_runner(), tmp_path, resume=True)


def test_a_complete_run_resumes_to_itself(tmp_path: Path):
    run_dir = train(small_runner(), tmp_path)
    rows, state = read_rows(run_dir), final_state(run_dir)["arrays"]
    runner = small_runner()
    train(runner, tmp_path, resume=True)
    assert read_rows(run_dir) == rows
    assert final_state(run_dir)["arrays"].keys() == state.keys()
    other = small_runner()
    other.train()
    assert parameters(runner) == parameters(other)


def test_time_and_rows_go_on(tmp_path: Path):
    run_dir = interrupt(tmp_path, 300)
    half = read_rows(run_dir)
    with quiet_logger(tmp_path, resume=True) as logger:
        small_runner().train(logger, resume=True)
    rows = read_rows(run_dir)
    assert timeless(rows)[: len(half)] == timeless(half)
    times = [float(row["Diagnostics/CumTime (s)"]) for row in rows]
    assert all(a < b for a, b in pairwise(times))


# One process that imports torch once and runs the command line in children that it kills.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from rlpyt.cli.main import main

root, trials = Path(sys.argv[1]), int(sys.argv[2])

def child(argv):
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = main(argv)
        finally:
            os._exit(code)
    return pid

def train(name):
    words = "train a2c CartPole-v1 --steps 10000 --recurrent lstm --eval-episodes 2 --seed 7"
    settings = "algo.normalize_reward=true agent.model_kwargs.normalize_observation=true"
    sizes = "agent.model_kwargs.hidden_sizes=[8] agent.model_kwargs.rnn_size=4"
    every = "checkpoint_interval_steps=1000 log_interval_steps=5000 sampler.batch_B=32"
    quiet = "--quiet --no-tensorboard --no-plot"
    words = " ".join([words, settings, sizes, every, quiet]).split()
    return child([*words, "--out", str(root / name)])

def wait_for(itr, checkpoints):
    # for a checkpoint of this iteration or a later one
    deadline = time.monotonic() + 60
    while all(int(path.name[-9:]) < itr for path in checkpoints.glob("itr_?????????")):
        assert time.monotonic() < deadline
        time.sleep(0.001)

assert os.waitpid(train("whole"), 0)[1] == 0
rng = random.Random(0)
for trial in range(trials):
    pid = train(str(trial))
    wait_for(rng.randrange(12), root / str(trial) / "checkpoints")  # of 16 iterations
    time.sleep(rng.uniform(0, 0.05))  # in the middle of sampling, learning or saving
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    print((root / str(trial) / "state.json").read_text(), flush=True)
    quiet = ["--quiet", "--no-tensorboard", "--no-plot"]
    status = os.waitpid(child(["resume", str(root / str(trial)), *quiet]), 0)[1]
    assert status == 0, status
"""


def run_python(*words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(words, env=environment, **pipes)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


def test_killed_at_random_moments(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = run_python("-c", KILLS, str(tmp_path), "2")
    assert [json.loads(line)["state"] for line in out.split("\n") if line] == ["running"] * 2
    evaluations = []
    for name in ("whole", "0", "1"):
        assert_same_run(tmp_path / "whole", tmp_path / name)
        assert main(["eval", str(tmp_path / name), "--episodes", "5", "--json"]) == 0
        evaluations.append(json.loads(capsys.readouterr().out))
    assert evaluations[0]["cum_steps"] == 10_240  # whole iterations of 20 steps in 32 environments
    assert all(found == evaluations[0] for found in evaluations)


def test_the_command_ends_on_a_signal_and_leaves_no_process(tmp_path: Path):
    run_dir = tmp_path / "run"
    words = "train ppo CartPole-v1 --steps 1e7 --no-tensorboard --no-plot --out"
    command = [sys.executable, "-m", "rlpyt", *words.split(), str(run_dir)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it trains
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err.strip() == "SIGTERM: ending this iteration and saving; once more ends at once"
    [last] = out.splitlines()[-1:]
    assert last.startswith("SIGTERM: stopped after ")
    assert last.endswith(f"checkpoint saved; continue with `rlpyt resume {run_dir}`")
    assert read_run_state(run_dir) == "preempted"
    assert not in_session(process.pid)


def in_session(leader: int) -> list[str]:
    """Processes of the session that ``leader`` began; field 6 of /proc/PID/stat is the session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == leader:
            found.append(path.parent.name)
    return found
