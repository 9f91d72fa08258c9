"""``rlpyt doctor``: what it says of a run, and what it measures."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpyt.cli import tune
from rlpyt.cli.tune import Plan, Trial, plans_for
from rlpyt.evaluation.profile import RunProfile
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.errors import RlpytError

COLUMNS = {
    "CumSteps": [1000, 2000, 3000],
    "StepsPerSecond": [10, 500, 500],
    "UpdatesPerSecond": [1, 50, 50],
    "LearnerBusy": [0.9, 0.1, 0.1],
    "SamplerAct": [0, 0, 0],
    "SamplerWait": [0.1, 0.85, 0.85],
    "SamplerTransfer": [0, 0, 0],
    "WorkerEnv": [0.1, 0.35, 0.35],
    "WorkerAct": [0, 0, 0],
    "WorkerWait": [0.9, 0.6, 0.6],
    "WorkerImbalance": [1, 2.4, 2.4],
    "SlowestWorker": [0, 3, 3],
    "WorkerRestarts": [0, 0, 0],
}
SAMPLER = {"class": "rlpyt.samplers.cpu.CpuSampler", "batch_T": 32, "batch_B": 8, "env": "Mine-v0"}
PLAN = {"envs": [[0, 2], [2, 4], [4, 6], [6, 8]], "n_cpus": 4}


@pytest.fixture
def straggling(tmp_path: Path) -> Path:
    """A run of four workers, the last of which is slow."""
    run_dir = tmp_path / "runs" / "run_0"
    run_dir.mkdir(parents=True)
    table = {f"Diagnostics/{name}": values for name, values in COLUMNS.items()}
    rows = [",".join(map(str, row)) for row in zip(*table.values(), strict=True)]
    (run_dir / "progress.csv").write_text("\n".join([",".join(table), *rows]) + "\n")
    (run_dir / "params.json").write_text(json.dumps({"sampler": SAMPLER, "extra": {"plan": PLAN}}))
    return run_dir


# --- a run that has been ---


def test_the_limit_of_a_run(rlpyt, straggling: Path):
    result = rlpyt("doctor", "runs")
    assert result.code == 0
    assert result.err == ""
    first, second, third, *rest = result.out.splitlines()
    assert first == "runs/run_0: cpu sampler, 4 workers, 8 environments, 500 steps/s"
    assert second.startswith("one straggling worker: worker 3 (envs 6-7) takes 4.5x the time of")
    assert third.startswith("the time: straggler 65 %, environments 19 %, learner 10 %")
    assert any(re.match(r" *mend worker 3 \(envs 6-7\) +2.88x +its env", line) for line in rest)


def test_the_diagnosis_as_json(rlpyt, straggling: Path):
    result = rlpyt("doctor", straggling, "--json")
    found = json.loads(result.out)
    assert found["limit"] == "straggler"
    assert found["advice"][0]["change"] == "mend worker 3 (envs 6-7)"
    assert found["advice"][0]["predicted_gain"] == pytest.approx(2.88, abs=0.01)
    assert found["profile"]["worker_imbalance"] == pytest.approx(2.4)


def test_the_log_of_an_older_version(rlpyt, straggling: Path):
    (straggling / "progress.csv").write_text("Diagnostics/CumSteps\n100\n200\n300\n")
    result = rlpyt("doctor", straggling)
    assert result.code == 2
    assert "has no column Diagnostics/LearnerBusy" in result.error
    assert "rlpyt doctor ALGORITHM ENV" in result.error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "there is no directory nowhere"),
        (["ppo"], "ppo needs an environment - write rlpyt doctor ppo ENV"),
        (["runs", "--tune"], "--tune is for a measurement"),
        (["runs", "--seconds", "3"], "--seconds is for a measurement"),
        (["runs", "--n-envs", "4"], "--n-envs is for a measurement"),
        (["runs", "--async"], "--async is for a measurement"),
        (["runs", "sampler.batch_B=4"], "sampler.batch_B=4 is for a measurement"),
        (["ppo", "cli_envs:Sound", "--out", "x"], "--out is for the best plan - add --tune"),
        (["ppo", "cli_envs:Sound", "--seconds", "0"], "is not a whole number above 0"),
        (["ppo", "cli_envs:Sound", "algo.no=1"], "has no field 'no'"),
        (["ppo", "Nowhere-v0"], "no environment is registered as 'Nowhere-v0'"),
        (["pop", "CartPole-v1"], "did you mean 'ppo'?"),
        (["ppo", "cli_envs:Sound", "--tune", "--out", "no/x"], "there is no directory no"),
        (["ppo", "cli_envs:Sound", "--tune", "--out", "."], ". is a directory"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    rlpyt, straggling: Path, tmp_path: Path, words: list[str], message: str
):
    before = sorted(tmp_path.rglob("*"))
    result = rlpyt("doctor", *words)
    assert result.code == 2
    assert message in result.error
    assert sorted(tmp_path.rglob("*")) == before


# --- a short run ---


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made, for a test to look."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_short_run_is_measured_and_nothing_kept(rlpyt, temporary: Path, tmp_path: Path):
    words = ["ppo", "cli_envs:Sound", "--seconds", "1", "--n-envs", "4", "sampler.batch_T=16"]
    result = rlpyt("doctor", *words, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    profile = found["profile"]
    assert (profile["sampler"], profile["batch_B"], profile["batch_T"]) == ("serial", 4, 16)
    assert profile["steps_per_second"] > 10
    assert 0.1 < profile["learner_busy"] < 1.0
    assert 0.0 < profile["worker_env"] < 0.9
    assert found["evidence"]
    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.glob("rlpyt*")) == []


def test_a_run_that_fails_leaves_nothing(rlpyt, temporary: Path):
    result = rlpyt("doctor", "ppo", "cli_envs:Sound", "sampler.env.kwargs.fault=raise in step")
    assert result.code == 1
    assert "raised KeyError in step" in result.err
    assert list(temporary.glob("rlpyt*")) == []


# --- tune ---

SERIAL = RunProfile(
    sampler="serial",
    batch_T=16,
    batch_B=8,
    steps_per_second=1000.0,
    learner_busy=0.2,
    worker_env=0.7,
    n_cpus=2,
)


def named(plans: Iterable[Plan]) -> list[str]:
    return [plan.name for plan in plans]


def test_plans_for_two_cpus():
    assert named(plans_for(replace(SERIAL, native_available=True), recurrent=False)) == [
        "serial",
        "cpu, 1 worker",
        "cpu, 2 workers",
        "gpu, 2 workers",
        "alternating, 2 workers",
        "serial, native",
        "serial, T=8 B=16",
        "serial, T=32 B=4",
    ]


def test_plans_begin_with_the_present_one_and_hold_it_once():
    envs = ((0, 4), (4, 8))
    plans = plans_for(replace(SERIAL, sampler="cpu", worker_envs=envs), recurrent=True)
    assert named(plans)[:3] == ["cpu, 2 workers", "serial", "cpu, 1 worker"]
    assert len(set(plans)) == len(plans) == 5  # and a recurrent agent's sequences stay


def test_plans_are_no_more_than_cpus_and_environments_allow():
    one = plans_for(replace(SERIAL, n_cpus=1, batch_B=1, batch_T=15), recurrent=False)
    assert named(one) == ["serial", "cpu, 1 worker"]
    many = named(plans_for(replace(SERIAL, n_cpus=64, batch_B=12), recurrent=False))
    assert [name for name in many if name.startswith("cpu")] == [
        f"cpu, {n} worker{'s' * (n > 1)}" for n in (1, 2, 4, 8, 12)
    ]
    assert "alternating, 12 workers" in many


def test_ratios_are_taken_within_rounds():
    plan = plans_for(SERIAL, recurrent=True)[0]
    present = Trial(plan=plan, speeds=[100.0, 50.0, 100.0])  # the second round was noisy
    other = Trial(plan=plan, speeds=[120.0, 60.0, 120.0])
    assert other.ratio(present) == pytest.approx(1.2)


Measure = Callable[..., RunProfile]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int | None, int]]:
    """A machine on which two CPU workers are twice as fast, wide batches three times, and the GPU
    sampler fails; the runs that it has been asked for.
    """
    asked: list[tuple[str, int | None, int]] = []

    def fake(
        build: Callable[[], MinibatchRl], seconds: float, *, speed: float | None = None
    ) -> RunProfile:
        runner = build()
        sampler: Any = runner.sampler
        kind = type(sampler).__name__.removesuffix("Sampler").lower()
        workers = None if kind == "serial" else sampler.n_workers
        asked.append((kind, workers, sampler.batch_B))
        if kind == "gpu":
            raise RlpytError("worker", "worker 0 died")
        gain = {("cpu", 2): 2.0}.get((kind, workers), 1.0) * (3.0 if sampler.batch_B > 8 else 1.0)
        B, T = sampler.batch_B, sampler.batch_T
        profile = replace(SERIAL, steps_per_second=1000 * gain, batch_B=B, batch_T=T)
        if workers is None:
            return profile
        envs = tuple((0, B) for _ in range(workers))
        return replace(profile, sampler=kind, worker_envs=envs, sampler_wait=0.8)

    monkeypatch.setattr(tune, "measure", fake)
    clock = iter(range(1_000_000))
    monkeypatch.setattr(tune.time, "monotonic", lambda: next(clock))
    return asked


TUNE = ["ppo", "cli_envs:Sound", "--n-envs", "8", "--tune", "--seconds", "30", "algo.epochs=2"]


def test_the_best_plan_is_written_and_shown_as_a_command(rlpyt, measured):
    result = rlpyt("doctor", *TUNE)
    assert result.code == 0, result.err
    best = json.loads(Path("plan.json").read_text())
    command = "rlpyt train ppo cli_envs:Sound --n-envs 8 --sampler cpu --workers 2 algo.epochs=2"
    assert best == {
        "sampler": "cpu",
        "workers": 2,
        "overrides": {},
        "steps_per_second": 2000.0,
        "ratio": 2.0,
        "limit": "sampler",
        "command": command,
    }
    lines = result.out.splitlines()
    assert lines[-1] == command
    assert lines[-2] == "the best is cpu, 2 workers; written to plan.json"
    assert any(re.match(r" *serial, T=16 B=16 \* +3,000 +3.00 +sampler", line) for line in lines)
    assert any(re.match(r" *serial \(present\) +1,000 +1.00 +sampler", line) for line in lines)
    assert any(re.match(r" *gpu, 2 workers +- +- +failed: worker 0 died", line) for line in lines)


def test_the_command_has_all_options_of_the_run(rlpyt, measured, small):
    run_dir = small("before").resolve()
    options = ["--seed", "3", "--async", "--lockstep", "--init-from", str(run_dir)]
    assert rlpyt("doctor", *TUNE, *options, "--init-part", "encoder").code == 0
    command = json.loads(Path("plan.json").read_text())["command"]
    assert command == (
        "rlpyt train ppo cli_envs:Sound --seed 3 --n-envs 8 --async --lockstep "
        f"--init-from {run_dir} --init-part encoder --sampler cpu --workers 2 algo.epochs=2"
    )


def test_plans_are_measured_in_rotation_and_failed_ones_once(rlpyt, measured):
    assert rlpyt("doctor", *TUNE, "--json").code == 0
    turns = [asked for asked in measured[1:] if asked[0] != "gpu"]
    once = list(dict.fromkeys(turns))
    assert len(once) == 6
    assert len(turns) > 2 * len(once)
    assert turns == [once[i % 6] for i in range(len(turns))]
    assert len([asked for asked in measured if asked[0] == "gpu"]) == 1


def test_every_plan_as_json(rlpyt, measured):
    found = json.loads(rlpyt("doctor", *TUNE, "--json", "--out", "best.json").out)
    wide = [p for p in found["plans"] if p["overrides"].get("sampler.batch_B") == 16]
    assert wide[0]["ratio"] == 3.0
    assert [p["error"] for p in found["plans"] if p["sampler"] == "gpu"] == ["worker 0 died"]
    assert json.loads(Path("best.json").read_text())["command"] == found["command"]


def test_a_present_plan_that_nothing_beats_stays(rlpyt, measured):
    result = rlpyt("doctor", *TUNE, "--sampler", "cpu", "--workers", "2")
    assert result.out.splitlines()[-2] == "the present plan stays; written to plan.json"
    assert json.loads(Path("plan.json").read_text())["workers"] == 2


def test_a_present_plan_that_fails_is_an_error(rlpyt, measured):
    result = rlpyt("doctor", *TUNE, "--sampler", "gpu", "--workers", "2")
    assert result.code != 0
    assert "worker 0 died" in result.error
    assert not Path("plan.json").exists()
