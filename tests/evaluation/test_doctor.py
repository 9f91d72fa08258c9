"""The doctor on made-up runs, whose limit is known."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpyt.evaluation.advice import Advice
from rlpyt.evaluation.cost_model import CostModel, Setup
from rlpyt.evaluation.doctor import Diagnosis, Limit, diagnose, time_shares
from rlpyt.evaluation.profile import RunProfile, profile_of, read_profile
from rlpyt.utils.errors import RlpytError

TWO = ((0, 4), (4, 8))
FOUR = ((0, 2), (2, 4), (4, 6), (6, 8))


def serial(**values: Any) -> RunProfile:
    """A serial run of 8 environments on 4 CPUs."""
    settings = {
        "sampler": "serial",
        "batch_T": 32,
        "batch_B": 8,
        "n_cpus": 4,
        "steps_per_second": 1000.0,
        "updates_per_second": 20.0,
        "learner_busy": 0.1,
        "worker_env": 0.1,
    }
    return RunProfile(**{**settings, **values})


def cpu(*workers: float, learner: float, act: float = 0.0, **values: Any) -> RunProfile:
    """A run of the CPU sampler whose workers step for these fractions of the time, without any
    loss between processes.
    """
    busy = [env + act for env in workers]
    settings = {
        "sampler": "cpu",
        "worker_envs": {2: TWO, 4: FOUR}[len(workers)],
        "learner_busy": learner,
        "worker_env": sum(workers) / len(workers),
        "worker_act": act,
        "worker_wait": 1 - sum(busy) / len(busy),
        "worker_imbalance": max(busy) / (sum(busy) / len(busy)),
        "slowest_worker": busy.index(max(busy)),
        "sampler_wait": max(busy),
    }
    return serial(**{**settings, **values})


def advice(diagnosis: Diagnosis, change: str) -> Advice:
    """The one piece of advice whose change contains ``change``."""
    (found,) = [each for each in diagnosis.advice if change in each.change]
    return found


# --- verdicts ---

VERDICTS: dict[str, tuple[RunProfile, Limit, str]] = {
    "slow env, serial": (
        serial(worker_env=0.71, sampler_act=0.09, learner_busy=0.2),
        "sampler",
        "this process steps environments 71 % of the time, the learner is idle 80 %",
    ),
    "slow env, cpu": (
        cpu(0.74, 0.72, 0.75, 0.73, act=0.05, learner=0.15),
        "sampler",
        "4 workers step environments 74 % of the time, the learner is idle 85 %",
    ),
    "slow env, gpu": (
        cpu(0.6, 0.62, learner=0.1, sampler="gpu", sampler_act=0.15, sampler_wait=0.7),
        "sampler",
        "2 workers step environments 61 % of the time, the learner is idle 90 %",
    ),
    "slow env, alternating": (
        cpu(0.7, 0.7, learner=0.05, sampler="alternating", sampler_act=0.2, sampler_wait=0.7),
        "sampler",
        "2 workers step environments 70 % of the time",
    ),
    "slow learner, serial": (
        serial(learner_busy=0.82, sampler_act=0.06),
        "learner",
        "optimize_agent takes 82 % of the time, sampling 16 %",
    ),
    "slow learner, cpu": (
        cpu(0.1, 0.1, act=0.02, learner=0.85),
        "learner",
        "optimize_agent takes 85 % of the time, sampling 12 %",
    ),
    "straggler among four": (
        cpu(0.2, 0.2, 0.2, 0.82, learner=0.1),
        "straggler",
        "worker 3 (envs 6-7) takes 4.1x the time of the others; workers wait 64 % of the time",
    ),
    "straggler of two": (
        cpu(0.85, 0.2, learner=0.1),
        "straggler",
        "worker 0 (envs 0-3) takes 4.2x the time of the others",
    ),
    "straggler, gpu": (
        cpu(0.1, 0.7, 0.1, 0.1, learner=0.1, sampler="gpu", sampler_act=0.1),
        "straggler",
        "worker 1 (envs 2-3) takes 7.0x",
    ),
    "inference, serial": (
        serial(sampler_act=0.6, worker_env=0.15, learner_busy=0.2),
        "inference",
        "choosing actions takes 60 % of the time, environments 15 %, learning 20 %",
    ),
    "inference in the workers": (
        cpu(0.1, 0.1, act=0.65, learner=0.2),
        "inference",
        "choosing actions takes 65 % of the time, environments 10 %, learning 20 %",
    ),
    "hand-overs": (
        cpu(0.06, 0.06, learner=0.1, sampler="gpu", sampler_act=0.2, sampler_wait=0.66),
        "synchronisation",
        "60 % of the time goes into waits and hand-overs, while 2 workers work 6 %",
    ),
    "transfers": (
        cpu(0.1, 0.1, learner=0.1, sampler="gpu", sampler_act=0.1, sampler_transfer=0.6),
        "transfer",
        "copies between host and device take 60 % of the time",
    ),
    "logs": (
        serial(worker_env=0.2, learner_busy=0.2, sampler_act=0.1),
        "overhead",
        "50 % of the time is neither sampling nor learning",
    ),
    "balanced": (
        serial(worker_env=0.3, learner_busy=0.36, sampler_act=0.3),
        "balanced",
        "balanced: learner 36 %, environments 30 %, inference 30 %",
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_the_limit_is_named_with_its_evidence(name: str):
    profile, limit, text = VERDICTS[name]
    found = diagnose(profile)
    assert found.limit == limit
    assert text in found.evidence


@pytest.mark.parametrize("name", VERDICTS)
def test_shares_sum_to_one_and_advice_is_worth_its_line(name: str):
    profile = VERDICTS[name][0]
    shares = time_shares(profile)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0.0
    found = diagnose(profile).advice
    assert len(found) <= 4
    for each in found:
        assert each.change
        assert each.reason
        assert 1.08 <= each.predicted_gain <= 20.0
    general = [each for each in found if not each.change.startswith("mend")]
    gains = [each.predicted_gain for each in general]
    assert gains == sorted(gains, reverse=True)


def test_workers_a_little_uneven_are_no_stragglers():
    found = diagnose(cpu(0.8, 0.6, 0.7, 0.65, learner=0.15))
    assert found.limit == "sampler"


def test_a_worker_that_does_all_the_work():
    found = diagnose(cpu(0.9, 0.0, learner=0.1))
    assert "worker 0 (envs 0-3) takes over 100x the time of the others" in found.evidence


def test_restarts_are_mentioned():
    found = diagnose(cpu(0.8, 0.8, learner=0.1, worker_restarts=2))
    assert found.evidence.endswith("; workers were restarted 2 times")


# --- advice ---


def test_a_slow_environment_is_given_to_workers():
    """Steps of 1 ms, all else negligible: four workers are four times as fast."""
    found = diagnose(serial(worker_env=1.0, learner_busy=0.0))
    best = advice(found, "--sampler cpu")
    assert best == found.advice[0]
    assert best.change == "--sampler cpu --workers 4"
    assert best.predicted_gain == pytest.approx(4.0, rel=0.01)


def test_learning_limits_what_workers_gain():
    """Amdahl: of 60 % in the environments, four workers save three quarters."""
    found = diagnose(serial(worker_env=0.6, learner_busy=0.4))
    expected = 1 / (0.4 + 0.6 / 4)
    assert advice(found, "--sampler cpu").predicted_gain == pytest.approx(expected, rel=0.01)


def test_no_worker_is_advised_on_one_cpu():
    found = diagnose(serial(worker_env=0.9, learner_busy=0.1, n_cpus=1))
    assert not [each for each in found.advice if "--sampler" in each.change]


def test_more_workers_than_environments_are_not_advised():
    found = diagnose(serial(worker_env=1.0, learner_busy=0.0, n_cpus=64, steps_per_second=10.0))
    assert advice(found, "--sampler cpu").change == "--sampler cpu --workers 8"


def test_fast_environments_come_home_from_their_workers():
    """Hand-overs of 0.5 ms for a step of 10 microseconds."""
    profile = cpu(
        0.03, 0.03, learner=0.05, sampler="gpu", sampler_act=0.2, sampler_wait=0.75
    )  # fmt: skip
    found = diagnose(replace(profile, steps_per_second=12_000.0, n_cpus=2))
    assert advice(found, "--sampler serial").predicted_gain > 2.0
    assert "too little to share out" in advice(found, "--sampler serial").reason


def test_a_batch_of_few_steps_comes_home_too():
    """Workers that are waited for half of the time, and work for a tenth."""
    profile = cpu(0.05, 0.05, act=0.05, learner=0.4, sampler_wait=0.6, n_cpus=2, batch_T=5)
    found = diagnose(replace(profile, steps_per_second=15_000.0))
    assert found.limit == "synchronisation"
    assert advice(found, "--sampler serial").predicted_gain > 1.4


def test_overlap_is_advised_where_acting_and_stepping_take_alike():
    profile = cpu(
        0.45, 0.45, learner=0.05, sampler="gpu", sampler_act=0.45, sampler_wait=0.5,
        steps_per_second=100.0,
    )  # fmt: skip
    found = diagnose(profile)
    assert 1.4 < advice(found, "--sampler alternating").predicted_gain < 2.0


def test_fewer_workers_where_they_share_cpus():
    """Four workers on two CPUs, each with an inference call of its own."""
    profile = cpu(0.1, 0.1, 0.1, 0.1, act=0.75, learner=0.1, n_cpus=2, steps_per_second=8000.0)
    found = diagnose(profile)
    (fewer,) = [each for each in found.advice if each.change == "--sampler cpu --workers 2"]
    assert "2 workers on 2 CPUs instead of 4" in fewer.reason
    assert fewer.predicted_gain > 1.1


def test_the_suites_own_vector_environment():
    profile = serial(worker_env=0.8, learner_busy=0.2, native_available=True, n_cpus=1)
    found = advice(diagnose(profile), "sampler.env.vectorization=native")
    assert found.predicted_gain == pytest.approx(1 / 0.6, rel=0.02)
    fast = replace(profile, steps_per_second=100_000.0)  # 64 microseconds in all: a call's own cost
    assert "native" not in str(diagnose(fast).advice)
    assert "native" not in str(diagnose(replace(profile, native_available=False)).advice)


def test_inference_in_small_groups_or_few_columns():
    profile = serial(
        sampler_act=0.7, worker_env=0.1, learner_busy=0.2, group_size=2, n_cpus=1,
        steps_per_second=8000.0,
    )  # fmt: skip
    found = diagnose(profile)
    assert advice(found, "group_size=null").predicted_gain > 1.5
    wider = diagnose(replace(profile, group_size=None, steps_per_second=20_000.0))
    assert advice(wider, "sampler.batch_B=16 sampler.batch_T=16").predicted_gain > 1.2


def test_a_small_update_is_compiled_and_a_large_one_given_threads():
    small = serial(learner_busy=0.8, updates_per_second=400.0, can_compile=True)
    found = diagnose(small)
    assert advice(found, "algo.compile=trace").predicted_gain == pytest.approx(1 / (1 - 0.24))
    assert "2.0 ms" in advice(found, "algo.compile=trace").reason
    memory = diagnose(replace(small, recurrent=True))  # which is not traced
    assert advice(memory, "algo.compile=true").predicted_gain == pytest.approx(1 / (1 - 0.4))
    assert "threads" not in str([each.change for each in found.advice])
    large = diagnose(replace(small, updates_per_second=4.0))
    assert advice(large, "torch_threads=4").predicted_gain == pytest.approx(1 / (1 - 0.8 * 3 / 8))
    assert "compile" not in str([each.change for each in large.advice])
    ready = replace(small, can_compile=False)
    assert "compile" not in str([each.change for each in diagnose(ready).advice])


def test_uneven_numbers_of_environments():
    profile = cpu(
        0.54, 0.8, learner=0.1, batch_B=5, worker_envs=((0, 2), (2, 5)), slowest_worker=1
    )  # fmt: skip
    found = advice(diagnose(profile), "sampler.batch_B=6")
    assert found.predicted_gain == pytest.approx(1 / (1 - 0.8 / 6))


def test_a_straggler_mended_brings_the_time_to_that_of_the_others():
    found = diagnose(cpu(0.2, 0.2, 0.2, 0.8, learner=0.2))
    assert found.advice[0].change == "mend worker 3 (envs 6-7)"
    assert found.advice[0].predicted_gain == pytest.approx(1 / (0.2 + 0.2))
    assert "share" not in found.advice[0].reason
    crowded = diagnose(cpu(0.2, 0.2, 0.2, 0.8, learner=0.2, n_cpus=2))
    assert "4 workers share 2 CPUs" in crowded.advice[0].reason


def test_rarer_rows_where_the_log_takes_the_time():
    profile = serial(worker_env=0.2, learner_busy=0.2, sampler_act=0.1, row_steps=256)
    change = "log_interval_steps=2560 checkpoint_interval_steps=2560"
    assert advice(diagnose(profile), change).predicted_gain == pytest.approx(2.0)


# --- the cost model ---


@pytest.mark.parametrize("name", VERDICTS)
def test_no_change_gains_nothing(name: str):
    profile = VERDICTS[name][0]
    assert CostModel(profile).gain(Setup.of(profile)) == pytest.approx(1.0)


def test_a_change_and_its_way_back_cancel():
    """A serial run predicted in workers, and the run that came of it predicted as serial."""
    there = serial(worker_env=0.8, learner_busy=0.2)
    parallel = replace(Setup.of(there), sampler="cpu", workers=4)
    gain = CostModel(there).gain(parallel)
    share = 0.8 / 4 * gain
    back = cpu(share, share, share, share, learner=0.2 * gain, steps_per_second=1000.0 * gain)
    assert CostModel(back).gain(Setup.of(there)) == pytest.approx(1 / gain, rel=0.02)


# --- nonsense ---


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learner_busy", math.nan),
        ("worker_env", -0.1),
        ("sampler_wait", 3.0),
        ("sampler_act", math.inf),
        ("worker_imbalance", math.nan),
        ("worker_imbalance", 0.5),
        ("steps_per_second", 0.0),
        ("steps_per_second", math.nan),
        ("updates_per_second", -1.0),
        ("batch_B", 0),
    ],
)
def test_what_no_run_can_have_measured_is_an_error(name: str, value: float):
    with pytest.raises(RlpytError, match=rf"usage: {name}={value} cannot be .*rlpyt doctor"):
        diagnose(serial(**{name: value}))


# --- reading a run ---

PARAMS: dict[str, Any] = {
    "class": "rlpyt.runners.minibatch_rl.MinibatchRl",
    "algo": {"class": "rlpyt.algos.pg.ppo.PPO", "compile": False},
    "sampler": {
        "class": "rlpyt.samplers.cpu.CpuSampler",
        "env": {"class": "rlpyt.envs.build.EnvConfig", "id": "CartPole-v1", "kwargs": {}},
        "batch_T": 32,
        "batch_B": 8,
        "group_size": 2,
    },
    "torch_threads": 1,
    "extra": {"plan": {"n_workers": 2, "envs": [[0, 4], [4, 8]], "n_cpus": 3}},
}


def columns(rows: int = 4, **changed: list[float]) -> dict[str, list[float]]:
    """A log whose first row was slow."""
    values = {
        "CumSteps": [1000.0 * (i + 1) for i in range(rows)],
        "StepsPerSecond": [10.0, *[500.0] * (rows - 1)],
        "UpdatesPerSecond": [1.0, *[50.0] * (rows - 1)],
        "LearnerBusy": [0.9, *[0.2] * (rows - 1)],
        "SamplerAct": [0.0] * rows,
        "SamplerWait": [0.1, *[0.7] * (rows - 1)],
        "SamplerTransfer": [0.0] * rows,
        "WorkerEnv": [0.0, *[0.6] * (rows - 1)],
        "WorkerAct": [0.0, *[0.05] * (rows - 1)],
        "WorkerWait": [1.0, *[0.3] * (rows - 1)],
        "WorkerImbalance": [1.9, *[1.1] * (rows - 1)],
        "SlowestWorker": [0.0, *[1.0] * (rows - 1)],
        "WorkerRestarts": [0.0] * rows,
    }
    return {f"Diagnostics/{name}": column for name, column in {**values, **changed}.items()}


def test_a_profile_is_read_without_the_start_up():
    profile = profile_of(columns(), PARAMS)
    assert profile == RunProfile(
        sampler="cpu",
        batch_T=32,
        batch_B=8,
        steps_per_second=500.0,
        row_steps=1000,
        learner_busy=pytest.approx(0.2),
        worker_env=pytest.approx(0.6),
        sampler_wait=pytest.approx(0.7),
        worker_act=pytest.approx(0.05),
        worker_wait=pytest.approx(0.3),
        worker_imbalance=pytest.approx(1.1),
        slowest_worker=1,
        updates_per_second=50.0,
        worker_envs=TWO,
        n_cpus=3,
        group_size=2,
        native_available=True,
        can_compile=True,
    )


def test_a_memory_is_seen():
    agent = {"class": "rlpyt.agents.pg.PgAgent", "model_kwargs": {"recurrent": "lstm"}}
    assert profile_of(columns(), {**PARAMS, "agent": agent}).recurrent
    assert not profile_of(columns(), {**PARAMS, "agent": {**agent, "model_kwargs": {}}}).recurrent


def test_rows_count_by_their_wall_time_and_only_the_last():
    """1000 steps at 100 per second last ten times as long as 1000 at 1000."""
    speeds, busy = [1.0, 100.0, 1000.0], [0.0, 0.5, 0.05]
    profile = profile_of(columns(3, StepsPerSecond=speeds, LearnerBusy=busy), PARAMS)
    assert profile.learner_busy == pytest.approx((10 * 0.5 + 1 * 0.05) / 11)
    assert profile.steps_per_second == pytest.approx(2000 / 11)
    early = [0.9] * 30 + [0.1] * 20
    assert profile_of(columns(50, LearnerBusy=early), PARAMS).learner_busy == pytest.approx(0.1)


def test_rows_without_a_number_or_an_update_are_left_out():
    with_nan = columns(LearnerBusy=[0.9, 0.9, math.nan, 0.3], StepsPerSecond=[math.nan, 5, 5, 5])
    assert profile_of(with_nan, PARAMS).learner_busy == pytest.approx(0.3)
    filling = columns(UpdatesPerSecond=[0, 0, 0, 9], LearnerBusy=[0, 0, 0, 0.4])
    assert profile_of(filling, PARAMS).learner_busy == pytest.approx(0.4)


def test_the_log_of_an_older_version_is_refused():
    old = {name: c for name, c in columns().items() if "Worker" not in name}
    with pytest.raises(RlpytError, match=r"no column Diagnostics/WorkerEnv, nor 5 others"):
        profile_of(old, PARAMS, "somewhere")
    with pytest.raises(RlpytError, match="older version wrote it; measure anew"):
        profile_of(columns(), {**PARAMS, "extra": {}})


@pytest.mark.parametrize("rows", [0, 1])
def test_a_run_that_has_hardly_begun_is_refused(rows: int):
    few = {name: column[:rows] for name, column in columns().items()}
    with pytest.raises(RlpytError, match=rf"too few rows to tell: {rows} row.*log two rows"):
        profile_of(few, PARAMS)


def test_parameters_that_are_no_runs_are_refused():
    with pytest.raises(RlpytError, match="describes no sampler"):
        profile_of(columns(), {})
    other = {**PARAMS["sampler"], "class": "mine.MySampler"}
    with pytest.raises(RlpytError, match="MySampler is not known"):
        profile_of(columns(), {**PARAMS, "sampler": other})


@pytest.mark.parametrize(
    ("changed", "available"),
    [
        ({}, True),
        ({"vectorization": "native"}, False),
        ({"time_limit": 50}, False),
        ({"id": "Acrobot-v1"}, False),
        ({"id": "Nowhere-v0"}, False),
        ({"kwargs": {"no_such": 1}}, False),
    ],
)
def test_the_native_environment_is_offered_only_where_it_is_the_same(
    changed: dict[str, Any], available: bool
):
    env = {**PARAMS["sampler"]["env"], **changed}
    params = {**PARAMS, "sampler": {**PARAMS["sampler"], "env": env}}
    profile = profile_of(columns(), params)
    assert profile.native_available == available
    assert profile.native == (changed.get("vectorization") == "native")


def test_a_run_is_read_from_its_directory(tmp_path: Path):
    def write(params: str) -> None:
        table = columns()
        lines = [
            ",".join(table),
            *(",".join(map(str, row)) for row in zip(*table.values(), strict=True)),
        ]
        (tmp_path / "progress.csv").write_text("\n".join(lines) + "\n")
        (tmp_path / "params.json").write_text(params)

    with pytest.raises(RlpytError, match=r"cannot read .*params.json"):
        read_profile(tmp_path)
    write(json.dumps(PARAMS))
    assert read_profile(tmp_path) == profile_of(columns(), PARAMS)
    for broken, message in (("{", "is not JSON"), ("[]", "is not a JSON object")):
        write(broken)
        with pytest.raises(RlpytError, match=message):
            read_profile(tmp_path)
