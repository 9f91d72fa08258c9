"""The loop: how long, what it logs when, how it ends, and what must not change it."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from runner_fakes import (
    OFFLINE,
    ONLINE,
    STATISTICS,
    TRAJ,
    Drift,
    parameters,
    quiet_logger,
    read_rows,
    small_runner,
    train,
)

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.evaluator import Evaluator
from rlpyt.utils.errors import RlpytError


@pytest.fixture(autouse=True)
def no_signal():
    Drift.AT, Drift.SIGNAL = None, signal.SIGINT
    yield
    Drift.AT = None


@pytest.mark.parametrize(
    ("n_steps", "log", "steps"),
    [
        (64, None, [64]),
        (65, 128, [128]),
        (300, 128, [128, 256, 320]),  # rounded up to 5 iterations; the last is always logged
        (256, 100, [64, 128, 192, 256]),  # the interval rounded down, at least one iteration
        (256, 10_000, [256]),
    ],
)
def test_how_long_it_runs_and_when_it_logs(tmp_path: Path, n_steps, log, steps):
    runner = small_runner(n_steps=n_steps, log_interval_steps=log)
    rows = read_rows(train(runner, tmp_path))
    assert [float(row["Diagnostics/CumSteps"]) for row in rows] == steps
    assert [float(row["Diagnostics/Iteration"]) for row in rows] == [n / 64 for n in steps]
    assert runner.n_itr * 64 == runner.cum_steps == steps[-1]


def test_by_default_there_are_fifty_rows(tmp_path: Path):
    runner = small_runner(algo="a2c", n_itr=100, log_interval_steps=None)
    assert len(read_rows(train(runner, tmp_path))) == 50


@pytest.mark.parametrize("offline", [False, True])
def test_columns_of_progress_csv(tmp_path: Path, offline: bool):
    runner = small_runner(evaluator=Evaluator(episodes=3) if offline else None, n_itr=2)
    [*_, row] = read_rows(train(runner, tmp_path))
    losses = [
        "loss",
        "piLoss",
        "valueLoss",
        "entropy",
        "perplexity",
        "approxKl",
        "clipFraction",
        "gradNorm",
    ]
    assert list(row) == [f"Diagnostics/{name}" for name in (OFFLINE if offline else ONLINE)] + [
        f"{name}{statistic}" for name in [*TRAJ, *losses] for statistic in STATISTICS
    ]


def test_counters(tmp_path: Path):
    rows = read_rows(train(small_runner(n_itr=4), tmp_path))
    assert [float(row["Diagnostics/CumUpdates"]) for row in rows] == [8, 16]
    assert [float(row["Diagnostics/ReplayRatio"]) for row in rows] == [2, 2]  # two epochs
    assert [float(row["Diagnostics/CumReplayRatio"]) for row in rows] == [2, 2]
    ended = [float(row["Diagnostics/NewCompletedTrajs"]) for row in rows]
    assert ended[0] > 0
    assert float(rows[-1]["Diagnostics/CumCompletedTrajs"]) == sum(ended)


def test_the_window_of_episodes(tmp_path: Path):
    rows = read_rows(train(small_runner(algo="a2c", n_itr=10, log_traj_window=3), tmp_path))
    for row in rows:
        mean = float(row["Diagnostics/StepsInTrajWindow"]) / 3
        assert float(row["LengthAverage"]) == pytest.approx(mean)


def test_offline_rows_start_before_training(tmp_path: Path):
    runner = small_runner(evaluator=Evaluator(episodes=5, n_envs=2), n_itr=4)
    rows = read_rows(train(runner, tmp_path))
    assert [float(row["Diagnostics/CumSteps"]) for row in rows] == [0, 128, 256]
    assert [float(row["Diagnostics/TrajsInEval"]) for row in rows] == [5, 5, 5]
    assert rows[0]["lossAverage"] == "nan"
    assert float(rows[1]["Diagnostics/CumEvalTime"]) > float(rows[0]["Diagnostics/CumEvalTime"]) > 0


@pytest.mark.parametrize("algo", ["ppo", "a2c"])
def test_same_seed_twice_is_the_same_run(algo: str):
    runs = [small_runner(algo=algo, seed=seed) for seed in (3, 3, 4)]
    for runner in runs:
        runner.train()
    first, second, other = map(parameters, runs)
    assert first == second
    assert first != other


def test_neither_logs_nor_evaluations_nor_checkpoints_change_the_run(tmp_path: Path):
    bare = small_runner()
    bare.train()
    saving = small_runner(checkpoint_interval_steps=64)
    train(saving, tmp_path / "saving")
    evaluating = small_runner(evaluator=Evaluator(episodes=4, greedy=False))
    train(evaluating, tmp_path / "evaluating")
    assert parameters(bare) == parameters(saving) == parameters(evaluating)


def test_a_runner_can_train_again_from_the_start():
    runner = small_runner(n_itr=3)
    runner.train()
    first = parameters(runner)
    runner.train()
    assert parameters(runner) == first


def test_everything_is_closed_however_it_ends(monkeypatch: pytest.MonkeyPatch):
    closed = []
    monkeypatch.setattr(Drift, "close", lambda self: closed.append(self))
    runner = small_runner(n_itr=1, evaluator=Evaluator(episodes=2))
    runner.train()
    assert len(closed) == 1 + 4 + 2  # the one whose spaces were looked at, training, evaluation
    monkeypatch.setattr(Drift, "step", lambda self, action: 1 / 0)
    closed.clear()
    with (
        pytest.warns(RuntimeWarning, match="the evaluation is left out"),
        pytest.raises(RlpytError, match="ZeroDivisionError"),
    ):
        runner.train()
    tries = runner.evaluator.max_tries
    assert len(closed) == 1 + 4 + 2 * tries


@pytest.mark.parametrize(
    "settings",
    [
        {"n_steps": 0},
        {"log_interval_steps": 0},
        {"log_traj_window": 0},
        {"checkpoint_interval_steps": -1},
        {"keep_checkpoints": 0},
        {"torch_threads": 0},
        {"seed": -1},
        {"evaluator": Evaluator(episodes=0)},
        {"evaluator": Evaluator(n_envs=0)},
        {"evaluator": Evaluator(max_steps=0)},
    ],
)
def test_impossible_numbers_are_named(settings):
    name = next(iter(settings))
    with pytest.raises(RlpytError, match=name) as caught:
        small_runner(**settings).train()
    assert caught.value.code == "config"


@pytest.mark.parametrize("name", ["batch_T", "batch_B"])
def test_an_empty_batch_is_named(tmp_path: Path, name: str):
    runner = small_runner()
    runner.sampler = replace(runner.sampler, **{name: 0})
    with pytest.raises(RlpytError, match=rf"sampler\.{name}=0"):
        train(runner, tmp_path)
    assert not (tmp_path / "run_0" / "state.json").exists()


def test_resume_wants_a_logger():
    with pytest.raises(RlpytError, match="logger"):
        small_runner().train(resume=True)


def test_rows_of_a_run_are_not_written_on_by_another(tmp_path: Path):
    with quiet_logger(tmp_path) as logger:
        small_runner(n_itr=3).train(logger)
    before = (tmp_path / "run_0" / "progress.csv").read_bytes()
    with (
        quiet_logger(tmp_path, resume=True) as logger,
        pytest.raises(RlpytError, match=r"has the rows .* train\(logger, resume=True\)"),
    ):
        small_runner(n_itr=3).train(logger)
    assert (tmp_path / "run_0" / "progress.csv").read_bytes() == before


def test_two_runs_in_one_directory_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused = []

    def meanwhile(self) -> None:
        with quiet_logger(tmp_path, resume=True) as logger:
            try:
                small_runner().train(logger)
            except RlpytError as error:
                refused.append(str(error))

    step = Drift.step
    monkeypatch.setattr(Drift, "step", lambda self, a: (meanwhile(self), step(self, a))[1])
    runner = small_runner(n_itr=1)
    runner.sampler = replace(runner.sampler, batch_T=1, batch_B=1)
    runner.n_steps = 1
    runner.algo = replace(runner.algo, minibatches=1, normalize_advantage="none")
    run_dir = train(runner, tmp_path)
    assert "is in use by process" in refused[0]
    assert read_run_state(run_dir) == "done"


def test_state_json_says_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    step = Drift.step

    def look(self, action):
        seen.append(read_run_state(tmp_path / "run_0"))
        return step(self, action)

    monkeypatch.setattr(Drift, "step", look)
    run_dir = train(small_runner(n_itr=1), tmp_path)
    assert set(seen) == {"running"}
    assert read_run_state(run_dir) == "done"


@pytest.mark.parametrize(
    ("raised", "state", "expected"),
    [
        (ValueError("boom"), "failed(env)", "env 0 raised ValueError in step: boom"),
        (SystemExit(0), "failed(exit)", r"ended by sys\.exit\(0\)"),
        (KeyboardInterrupt(), "interrupted", None),
        (MemoryError(), "failed(env)", "MemoryError"),
    ],
)
def test_state_json_after_an_error(tmp_path, monkeypatch, raised, state, expected):
    def fail(self, action):
        raise raised

    monkeypatch.setattr(Drift, "step", fail)
    kind = KeyboardInterrupt if expected is None else RlpytError
    with pytest.raises(kind, match=expected):
        train(small_runner(), tmp_path)
    assert read_run_state(tmp_path / "run_0") == state
    assert not (tmp_path / "run_0" / ".lock").exists()
    if expected is not None:
        assert "ERROR e" in (tmp_path / "run_0" / "debug.log").read_text()


def test_a_bug_in_the_algorithm_is_a_failure_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    runner = small_runner()
    monkeypatch.setattr(type(runner.algo), "optimize_agent", lambda self, itr, samples: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(runner, tmp_path)
    assert read_run_state(tmp_path / "run_0") == "failed(ZeroDivisionError)"


@pytest.mark.parametrize(
    ("signum", "state", "code"),
    [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "preempted", 143)],
)
def test_a_signal_ends_the_iteration_saves_and_exits(tmp_path, capfd, signum, state, code):
    Drift.AT, Drift.SIGNAL = 100, signum  # in the middle of the second iteration
    before = signal.getsignal(signum)
    with pytest.raises(SystemExit) as caught:
        train(small_runner(checkpoint_interval_steps=10_000), tmp_path)
    run_dir = tmp_path / "run_0"
    assert caught.value.code == code
    assert read_run_state(run_dir) == state
    _state, manifest = Checkpointer(run_dir / "checkpoints").load_latest()
    assert manifest.cum_steps == 128
    assert signal.getsignal(signum) is before
    assert not (run_dir / ".lock").exists()
    name = signal.Signals(signum).name
    assert f"{name}: ending this iteration and saving" in capfd.readouterr().err
    log = (run_dir / "debug.log").read_text()
    assert f"{name}: stopped after 128 of 640 steps" in log
    assert f"rlpyt resume {run_dir}" in log


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_at_once(tmp_path, monkeypatch, signum, code):
    steps = []

    def twice(self, action):
        steps.append(action)
        signal.raise_signal(signum)
        signal.raise_signal(signum)
        raise AssertionError("not reached")

    monkeypatch.setattr(Drift, "step", twice)
    with pytest.raises(SystemExit) as caught:
        train(small_runner(), tmp_path)
    assert caught.value.code == code
    assert len(steps) == 1
    assert read_run_state(tmp_path / "run_0") == ("interrupted" if code == 130 else "preempted")
    assert not (tmp_path / "run_0" / ".lock").exists()


def test_a_signal_in_the_last_iteration_comes_too_late(tmp_path: Path):
    Drift.AT = 100
    run_dir = train(small_runner(n_itr=2), tmp_path)
    assert read_run_state(run_dir) == "done"


def test_params_json_is_the_whole_configuration(tmp_path: Path):
    run_dir = train(small_runner(n_itr=1, seed=5), tmp_path)
    params = json.loads((run_dir / "params.json").read_text())
    assert params["class"] == "rlpyt.runners.minibatch_rl.MinibatchRl"
    assert params["seed"] == 5
    assert params["algo"]["discount"] == 0.99
    assert params["sampler"]["env"]["id"] == "runner_fakes:Drift"
