"""Stopped under one sampler and resumed under another, a run is the uninterrupted one."""

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from gymnasium.vector import AutoresetMode
from runner_fakes import (
    assert_same_run,
    final_state,
    parameters,
    quiet_logger,
    read_rows,
    small_runner,
    train,
)

from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.ppo import PPO
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.cli.main import main
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers import AlternatingSampler, CpuSampler, GpuSampler, SerialSampler
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

LAYOUTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "serial": (SerialSampler, {}),
    "cpu1": (CpuSampler, {"n_workers": 1}),
    "cpu2": (CpuSampler, {"n_workers": 2}),
    "cpu4": (CpuSampler, {"n_workers": 4}),
    "gpu1": (GpuSampler, {"n_workers": 1}),
    "gpu2": (GpuSampler, {"n_workers": 2}),
    "alternating2": (AlternatingSampler, {"n_workers": 2}),
    "alternating4": (AlternatingSampler, {"n_workers": 4}),
}

VARIANTS: dict[str, dict[str, Any]] = {
    "ppo-lstm-evaluator": {"recurrent": "lstm", "evaluator": Evaluator(episodes=5, n_envs=3)},
    "a2c-lstm-wait": {"algo": "a2c", "recurrent": "lstm", "mid_batch_reset": False},
    "ppo-continuous-evaluator": {
        "continuous": True,
        "evaluator": Evaluator(episodes=4, n_envs=4, greedy=False),
    },
    "ppo-wait": {"mid_batch_reset": False},
    "a2c-gru": {"algo": "a2c", "recurrent": "gru"},
}
N_ITR = 10


def runner(layout: str, variant: str = "ppo-wait", **settings: Any) -> MinibatchRl:
    """A small run of eight environments in groups of two."""
    made = small_runner(**VARIANTS[variant])
    cls, own = LAYOUTS[layout]
    common = {
        "env": made.sampler.env,
        "mid_batch_reset": made.sampler.mid_batch_reset,
        "batch_T": 8,
        "batch_B": 8,
        "group_size": 2,
        "max_decorrelation_steps": 6,
    }
    return replace(made, sampler=cls(**{**common, **own, **settings}))


@contextmanager
def stop_after(itr: int) -> Iterator[None]:
    """A signal during this iteration, counted from 1."""
    with pytest.MonkeyPatch.context() as patch:
        for cls in (PPO, A2C):
            patch.setattr(cls, "optimize_agent", signalling(cls.optimize_agent, itr))
        with pytest.raises(SystemExit):
            yield


def signalling(optimize: Callable[..., Any], stop_itr: int) -> Callable[..., Any]:
    def optimize_agent(self: Any, itr: int, samples: Any) -> Any:
        if itr + 1 == stop_itr:
            signal.raise_signal(signal.SIGINT)
        return optimize(self, itr, samples)

    return optimize_agent


def in_mid_episode(run_dir: Path) -> int:
    """The iteration of the newest checkpoint, which is in the middle of episodes."""
    state, manifest = Checkpointer(run_dir / "checkpoints").load_latest()
    assert max(traj["Length"] for traj in state["sampler"]["trajs"]) > 0
    return manifest.itr


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``serial(variant)``: the directory of the uninterrupted run."""
    root = tmp_path_factory.mktemp("serial")

    def whole(variant: str) -> Path:
        if not (root / variant).exists():
            train(runner("serial", variant), root / variant)
        return root / variant / "run_0"

    return whole


def through(layouts: list[str], variant: str, log_dir: Path) -> Path:
    """A run that is stopped under each of these samplers, and resumed under the next."""
    stops = [itr * N_ITR // len(layouts) for itr in range(1, len(layouts))]
    run_dir = log_dir / "run_0"
    for n, (layout, stop) in enumerate(zip(layouts, stops, strict=False)):
        with stop_after(stop):
            train(runner(layout, variant), log_dir, resume=n > 0)
        assert read_run_state(run_dir) == "interrupted"
        assert in_mid_episode(run_dir) == stop
    train(runner(layouts[-1], variant), log_dir, resume=True)
    assert read_run_state(run_dir) == "done"
    return run_dir


CHAINS = [
    ("ppo-lstm-evaluator", ["serial", "cpu2", "gpu2", "alternating4", "cpu4", "serial"]),
    ("a2c-lstm-wait", ["alternating2", "cpu1", "alternating4", "gpu1", "cpu2"]),
    ("ppo-continuous-evaluator", ["cpu4", "alternating2", "serial", "gpu2"]),
]


@pytest.mark.faults("F23")
@pytest.mark.parametrize(("variant", "layouts"), CHAINS, ids=[name for name, _ in CHAINS])
def test_from_sampler_to_sampler(tmp_path: Path, serial, variant: str, layouts: list[str]):
    assert_same_run(serial(variant), through(layouts, variant, tmp_path))


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(name, marks=() if name.endswith("2") else pytest.mark.slow)
        for name in LAYOUTS
        if name != "serial"
    ],
)
def test_resumed_with_the_same_sampler(tmp_path: Path, serial, layout: str):
    variant = list(VARIANTS)[len(layout) % 2]
    assert_same_run(serial(variant), through([layout, layout], variant, tmp_path))


def every_pair(names: list[str]) -> list[str]:
    """A closed walk that goes once from each name to each, itself too (de Bruijn 1946)."""
    walk = []
    for i, name in enumerate(names):
        walk += [name, *[step for other in names[i + 1 :] for step in (name, other)]]
    return [*walk, names[0]]


PAIRS = every_pair(list(LAYOUTS))
STRETCHES = [PAIRS[start : start + N_ITR] for start in range(0, len(PAIRS) - 1, N_ITR - 1)]


def test_the_stretches_hold_every_pair():
    found = [pair for stretch in STRETCHES for pair in pairwise(stretch)]
    assert sorted(found) == sorted(product(LAYOUTS, LAYOUTS))


@pytest.mark.slow
@pytest.mark.parametrize("layouts", STRETCHES, ids="-".join)
@pytest.mark.parametrize("variant", VARIANTS)
def test_from_every_sampler_to_every_other(
    tmp_path: Path, serial, variant: str, layouts: list[str]
):
    assert_same_run(serial(variant), through(layouts, variant, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"), list(pairwise(["serial", "cpu2", "gpu2", "alternating4"]))
)
def test_resumed_after_every_iteration(tmp_path: Path, first: str, then: str):
    often = {"checkpoint_interval_steps": 64, "keep_checkpoints": 99}
    whole = train(replace(runner(first, "ppo-lstm-evaluator"), **often), tmp_path / "whole")
    for itr in range(N_ITR + 1):
        run_dir = tmp_path / str(itr) / "run_0"
        shutil.copytree(whole, run_dir)
        for path in (run_dir / "checkpoints").glob("itr_*"):
            if int(path.name[-9:]) > itr:
                shutil.rmtree(path)
        train(replace(runner(then, "ppo-lstm-evaluator"), **often), run_dir.parent, resume=True)
        assert_same_run(whole, run_dir)


def test_settings_of_workers_may_change_and_are_written_down(tmp_path: Path, serial):
    with stop_after(3):
        train(runner("cpu2", worker_timeout=30.0), tmp_path)
    other = runner("gpu2", on_worker_failure="restart", max_restarts=1, worker_timeout=90.0)
    with stop_after(6):
        train(other, tmp_path, resume=True)
    params = json.loads((tmp_path / "run_0" / "params.json").read_text())
    assert params["sampler"]["class"] == "rlpyt.samplers.gpu.GpuSampler"
    assert params["sampler"]["worker_timeout"] == 90.0
    assert params["extra"]["plan"] == other.sampler.plan()
    with pytest.raises(RlpytError, match=r"sampler\.batch_T=4 differs from the run's 8"):
        train(runner("cpu2", batch_T=4), tmp_path, resume=True)
    with pytest.raises(RlpytError, match=r"sampler\.group_size=4 differs from the run's 2"):
        train(runner("cpu2", group_size=4), tmp_path, resume=True)
    train(runner("serial"), tmp_path, resume=True)
    params = json.loads((tmp_path / "run_0" / "params.json").read_text())
    assert params["sampler"]["class"] == "rlpyt.samplers.serial.SerialSampler"
    assert params["extra"]["plan"] == {}
    assert_same_run(serial("ppo-wait"), tmp_path / "run_0")


@pytest.mark.faults("F23")
def test_without_group_size_another_sampler_is_warned_of(tmp_path: Path):
    with stop_after(3):
        train(runner("serial", group_size=None), tmp_path)
    with stop_after(5):  # all act together still
        train(runner("gpu2", group_size=None), tmp_path, resume=True)
    told = r"acts for 4 environments at a time, before for 8: the resumed run equals .* float sums"
    with pytest.warns(RuntimeWarning, match=told):
        train(runner("cpu2", group_size=None), tmp_path, resume=True)
    assert "float sums" in (tmp_path / "run_0" / "debug.log").read_text()
    whole = train(runner("serial", group_size=None), tmp_path / "whole")
    rows, expected = read_rows(tmp_path / "run_0"), read_rows(whole)
    assert len(rows) == len(expected)
    for name in ("ReturnAverage", "lossAverage"):
        for row, other in zip(rows, expected, strict=True):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-3, abs=1e-4)


def test_the_log_has_the_plan_and_where_the_time_went(tmp_path: Path):
    made = runner("cpu2")
    run_dir = train(made, tmp_path)
    plan = json.loads((run_dir / "params.json").read_text())["extra"]["plan"]
    assert plan == made.sampler.plan()
    assert plan["text"] in (run_dir / "debug.log").read_text()
    row = {k.removeprefix("Diagnostics/"): float(v) for k, v in read_rows(run_dir)[-1].items()}
    assert 0 < row["WorkerEnv"] < 1
    assert 0 < row["WorkerAct"] < 1
    assert 0 < row["SamplerWait"] <= 1
    assert row["SamplerAct"] == row["SamplerTransfer"] == row["WorkerRestarts"] == 0
    assert row["WorkerImbalance"] >= 1
    assert row["SlowestWorker"] in (0, 1)


# --- native vector environments -----------------------------------------------------------------


def native_runner(layout: str) -> MinibatchRl:
    env = EnvConfig(
        id="runner_fakes:drift_vector",
        kwargs={"mode": AutoresetMode.NEXT_STEP},
        vectorization="native",
    )
    return runner(layout, "a2c-gru", env=env, max_decorrelation_steps=0)


@pytest.mark.parametrize(("first", "then"), [("cpu2", "cpu2"), ("gpu2", "alternating2")])
def test_native_environments_resume_in_the_same_layout(tmp_path: Path, first: str, then: str):
    whole = train(native_runner(first), tmp_path / "whole")
    with stop_after(4):
        train(native_runner(first), tmp_path / "parts")
    assert in_mid_episode(tmp_path / "parts" / "run_0") == 4
    train(native_runner(then), tmp_path / "parts", resume=True)
    assert_same_run(whole, tmp_path / "parts" / "run_0")


@pytest.mark.faults("F23")
def test_native_environments_in_another_layout_start_new_episodes(tmp_path: Path):
    whole = train(native_runner("cpu2"), tmp_path / "whole")
    with stop_after(4):
        train(native_runner("cpu2"), tmp_path / "parts")
    run_dir = tmp_path / "parts" / "run_0"
    with pytest.warns(UserWarning, match="native vector environments were divided otherwise"):
        train(native_runner("serial"), tmp_path / "parts", resume=True)
    assert read_run_state(run_dir) == "done"
    assert len(read_rows(run_dir)) == len(read_rows(whole))
    assert final_state(run_dir)["itr"] == N_ITR


# --- the command line ---------------------------------------------------------------------------

QUIET = ["--quiet", "--no-tensorboard", "--no-plot"]
TRAIN = [
    *["train", "ppo", "runner_fakes:Drift", "--steps", "640", "--recurrent", "lstm"],
    *["--eval-episodes", "3", "sampler.batch_T=8", "sampler.batch_B=8", "algo.epochs=1"],
    *["log_interval_steps=128", "agent.model_kwargs.rnn_size=4", *QUIET],
]


def command(*words: str | Path) -> int:
    return main([str(word) for word in words])


def evaluation(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert command("eval", run_dir, "--episodes", "4", "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_resume_with_another_sampler_on_the_command_line(tmp_path: Path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert command(*TRAIN, "sampler.group_size=2", "--out", whole) == 0
    with stop_after(2):
        settings = ["sampler.group_size=2", "sampler.worker_timeout=50"]
        command(*TRAIN, "--sampler", "cpu", "--workers", "2", *settings, "--out", parts)
    assert in_mid_episode(parts) == 2

    def sampler() -> dict[str, Any]:
        found: dict[str, Any] = json.loads((parts / "params.json").read_text())["sampler"]
        return found

    with stop_after(4):
        command("resume", parts, "--sampler", "alternating", *QUIET)
    assert sampler()["class"].endswith("AlternatingSampler")
    assert sampler()["n_workers"] == 2  # as before, and
    assert sampler()["worker_timeout"] == 50.0
    with stop_after(6):
        command("resume", parts, "--workers", "4", *QUIET)
    assert sampler()["class"].endswith("AlternatingSampler")
    assert sampler()["n_workers"] == 4
    with stop_after(8):
        command("resume", parts, *QUIET)  # as it was
    assert sampler()["n_workers"] == 4
    assert command("resume", parts, "--sampler", "serial", *QUIET) == 0
    assert "n_workers" not in sampler()
    assert_same_run(whole, parts)
    assert evaluation(whole, capsys) == evaluation(parts, capsys)


@pytest.mark.filterwarnings("default")
def test_the_command_line_says_what_is_lost_without_group_size(tmp_path: Path, capfd):
    with stop_after(2):
        command(*TRAIN, "--out", tmp_path)
    capfd.readouterr()
    assert command("resume", tmp_path, "--sampler", "cpu", "--workers", "2", *QUIET) == 0
    [line] = [line for line in capfd.readouterr().err.splitlines() if "share" not in line]
    assert line.startswith("WARNING: the agent acts for 4 environments at a time, before for 8")


def test_a_logger_of_its_own(tmp_path: Path):
    """The same from a script, without the command line."""
    first = runner("gpu1")
    with stop_after(5), quiet_logger(tmp_path) as logger:
        first.train(logger)
    second = runner("cpu4")
    with quiet_logger(tmp_path, resume=True) as logger:
        second.train(logger, resume=True)
    whole = runner("serial")
    whole.train()
    assert parameters(second) == parameters(whole)
