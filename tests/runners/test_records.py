import math
from dataclasses import replace

import pytest
from runner_fakes import OFFLINE, ONLINE, ROLES, STATISTICS, TRAJ

from rlpyt.data import TrajInfo
from rlpyt.runners.records import RunRecords
from rlpyt.samplers.meter import SamplerTimes

IDLE = dict.fromkeys(ROLES, 0.0) | {"WorkerImbalance": 1.0}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("rlpyt.runners.records.time.perf_counter", lambda: now[0])
    return now


def records(**options) -> RunRecords:
    return RunRecords(**{"traj_columns": TRAJ, "window": 3, "offline": False, **options})


def traj(length: int, return_: float) -> TrajInfo:
    return TrajInfo(Length=length, Return=return_)


@pytest.mark.parametrize(("offline", "counters"), [(False, ONLINE), (True, OFFLINE)])
def test_columns_and_their_order(offline, counters):
    run = records(offline=offline)
    run.add([traj(3, 1.0)], {"loss": [1.0], "gradNorm": [2.0]})
    columns = list(run.row(1, 64, 64.0, SamplerTimes()))
    assert columns == [f"Diagnostics/{name}" for name in counters] + [
        f"{name}{statistic}" for name in [*TRAJ, "loss", "gradNorm"] for statistic in STATISTICS
    ]


def test_a_row_counts_what_is_new_and_what_there_was_in_all(clock):
    run = records()
    run.add([traj(10, 1.0)], {"loss": [1.0, 3.0]})
    run.add([traj(20, 2.0), traj(30, 3.0)], {"loss": [5.0, 7.0]})
    clock[0] += 4.0
    row = run.row(2, 128, 64.0, SamplerTimes())
    diagnostics = {k.removeprefix("Diagnostics/"): v for k, v in row.items() if "/" in k}
    assert diagnostics == {
        "NewCompletedTrajs": 3,
        "StepsInTrajWindow": 60,
        "Iteration": 2,
        "CumTime (s)": 4.0,
        "CumSteps": 128,
        "CumCompletedTrajs": 3,
        "CumUpdates": 4,
        "StepsPerSecond": 32.0,
        "UpdatesPerSecond": 1.0,
        "ReplayRatio": 2.0,
        "CumReplayRatio": 2.0,
        **IDLE,
    }
    assert row["lossAverage"] == 4.0
    assert row["ReturnAverage"] == 2.0

    run.add([traj(40, 4.0)], {"loss": [9.0]})
    clock[0] += 1.0
    row = run.row(3, 192, 64.0, SamplerTimes())
    assert row["Diagnostics/NewCompletedTrajs"] == 1
    assert row["Diagnostics/CumCompletedTrajs"] == 4
    assert row["Diagnostics/StepsInTrajWindow"] == 90  # the window holds three
    assert row["ReturnAverage"] == 3.0
    assert row["lossAverage"] == 9.0  # those before were in the row before
    assert row["Diagnostics/StepsPerSecond"] == 64.0
    assert row["Diagnostics/ReplayRatio"] == 1.0
    assert row["Diagnostics/CumReplayRatio"] == pytest.approx(5 * 64 / 192)
    assert row["Diagnostics/CumTime (s)"] == 5.0


def test_roles_are_told_as_parts_of_the_training_time_since_the_last_row(clock):
    run = records()
    first = SamplerTimes(act=0.5, wait=1.0, transfer=0.25, env=2.0, worker_act=1.0, busy=(2.0, 4.0))
    then = SamplerTimes(act=1.0, wait=2.0, transfer=0.75, env=3.0, worker_act=1.5, busy=(5.0, 5.0))
    clock[0] += 8.0
    run.row(1, 64, 64.0, first)
    run.add([], {"loss": [1.0]}, 0.5)
    run.add([], {"loss": [1.0]}, 0.25)
    run.add_evaluation([], 6.0)
    clock[0] += 10.0
    row = run.row(3, 192, 64.0, replace(then, restarts=2))
    found = {name: row[f"Diagnostics/{name}"] for name in ROLES}
    assert found == {
        "LearnerBusy": 0.1875,
        "SamplerAct": 0.125,
        "SamplerWait": 0.25,
        "SamplerTransfer": 0.125,
        "WorkerEnv": 0.25,
        "WorkerAct": 0.125,
        "WorkerWait": 0.625,
        "WorkerImbalance": 1.5,
        "SlowestWorker": 0,
        "WorkerRestarts": 2,
    }


def test_without_episodes_or_updates_there_is_nan():
    row = records().row(0, 0, 64.0, SamplerTimes())
    for name in ("ReturnAverage", "LengthMin", "Diagnostics/StepsPerSecond"):
        assert math.isnan(row[name])
    assert math.isnan(row["Diagnostics/ReplayRatio"])
    assert row["Diagnostics/CumReplayRatio"] == 0.0


def test_offline_rows_report_the_last_evaluation_and_leave_out_its_time(clock):
    run = records(offline=True)
    clock[0] += 2.0
    run.add([traj(7, 70.0)], {"loss": [1.0]})  # a training episode
    run.add_evaluation([traj(5, 1.0), traj(6, 2.0)], 0.5)
    run.add_evaluation([traj(8, 10.0), traj(9, 20.0)], 0.5)
    row = run.row(1, 64, 64.0, SamplerTimes())
    assert row["Diagnostics/StepsInEval"] == 17
    assert row["Diagnostics/TrajsInEval"] == 2
    assert row["Diagnostics/CumEvalTime"] == 1.0
    assert row["Diagnostics/CumTrainTime"] == 1.0
    assert row["Diagnostics/StepsPerSecond"] == 64.0
    assert row["Diagnostics/CumCompletedTrajs"] == 1
    assert row["ReturnAverage"] == run.score == 15.0


def test_restored_records_write_the_row_that_would_have_been_written(clock):
    run = records()
    run.add([traj(1, 1.0)], {"loss": [1.0]})
    clock[0] += 1.0
    run.row(1, 64, 64.0, SamplerTimes())
    run.add([traj(2, 2.0)], {"loss": [2.0], "entropy": [0.5]})
    clock[0] += 2.0
    saved = run.state_dict()
    run.add([], {"loss": [3.0]})
    clock[0] += 1.0
    expected = run.row(3, 192, 64.0, SamplerTimes())

    clock[0] += 1000.0  # nobody was running
    other = records()
    other.load_state_dict(saved)
    other.add([], {"loss": [3.0]})
    clock[0] += 1.0
    row = other.row(3, 192, 64.0, SamplerTimes())
    assert row == expected
    assert list(row) == list(expected)
    assert other.score == run.score


def test_a_saved_state_does_not_change_with_the_run():
    run = records()
    run.add([traj(1, 1.0)], {"loss": [1.0]})
    saved = run.state_dict()
    before = [dict(saved["trajs"][0]), dict(saved["opt_info"])]
    other = records()
    other.load_state_dict(saved)
    other.add([traj(2, 2.0)], {"loss": [2.0]})
    assert [dict(saved["trajs"][0]), dict(saved["opt_info"])] == before
    assert saved["opt_info"]["loss"] == [1.0]
