"""F34, F35, F12-F15 for AsyncRl: each of its processes in turn dies, hangs or fails; signals; what
becomes of memory and lag where one side is much slower than the other.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from post_conditions import AssertClean, descendants, is_alive, slowness
from runner_fakes import assert_same_run, read_rows
from small_runs import (
    QUIET,
    Strike,
    async_runner,
    in_child,
    named_roles,
    program,
    saved_itr,
    striking,
    train,
    train_words,
)

from rlpyt.cli.main import main
from rlpyt.envs.capsule import read_capsule
from rlpyt.runners.records import RunRecords
from rlpyt.utils.errors import RlpytError

slow = partial(pytest.param, marks=pytest.mark.slow)

ENV = 2  # the victim
LONG = {"n_itr": 100_000, "pause": 0.002}
NOTE = "{}: ending this iteration and saving; once more ends at once"


def capsule_path(error: RlpytError) -> Path:
    found = re.search(r"`rlpyt replay-capsule ([^`]+)`", error.hint)
    assert found, error.hint
    return Path(found.group(1))


# --- each process in turn is killed -------------------------------------------------------------


def struck_run(
    signum: signal.Signals, role: str, folder: Path, kind: str = "serial", **settings: Any
) -> tuple[RlpytError, Strike]:
    """The error of a run of which one process gets a signal: a role by its name, or a worker."""
    once = folder / "once"
    if role == "worker":
        settings |= {"fault": "wait in step", "victim": ENV, "episode": 4, "once": str(once)}

    def pid() -> int:
        if role != "worker":
            return pids[role]
        deadline = time.monotonic() + 30
        while not (once.exists() and once.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return int(once.read_text())

    with (
        named_roles() as pids,
        striking(folder / "run_0", pid, signum) as strike,
        pytest.raises(RlpytError) as caught,
    ):
        train(async_runner(kind, **{**LONG, **settings}), folder)
    return caught.value, strike


ROLES = [  # who is killed, what samples, how many learn
    ("sampler", "serial", 1),
    ("worker", "cpu", 1),
    slow("rank 1", "serial", 2),  # as below
    slow("sampler", "cpu", 1),
    slow("sampler", "gpu", 1),
    slow("sampler", "serial", 2),
    slow("worker", "gpu", 1),
    slow("worker", "alternating", 1),
    slow("worker", "cpu", 2),
    slow("rank 1", "cpu", 2),
]


@pytest.mark.faults("F01", "F34")
@pytest.mark.parametrize(("role", "kind", "world_size"), ROLES)
def test_who_is_killed_is_named(
    role: str, kind: str, world_size: int, tmp_path: Path, assert_clean: AssertClean
):
    """F01, F34."""
    error, strike = struck_run(signal.SIGKILL, role, tmp_path, kind, world_size=world_size)
    assert time.monotonic() - strike.at < 5 * slowness()
    assert error.code == "worker"
    if role == "worker":
        assert error.what == "worker 1 was killed by SIGKILL"
        assert re.search(rf"pid {strike.pid}, envs 2-3, its step \d+, in 'collect'", error.where)
        assert re.search(r", sampler, pid \d+$", error.where)
        assert read_capsule(capsule_path(error))["env_index"] == ENV
    else:
        assert error.what == f"{role} was killed by SIGKILL"
        assert error.where == f"pid {strike.pid}"
    assert "for lack of memory" in error.hint
    assert error.what in (tmp_path / "run_0" / "debug.log").read_text()
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F34")
def test_a_learner_that_dies_while_a_batch_takes_long(tmp_path: Path, assert_clean: AssertClean):
    """It is noticed before the batch is there."""
    once = tmp_path / "once"
    made = async_runner(world_size=2, fault="sleep in step", victim=ENV, once=str(once))

    def pid() -> int:
        while not once.exists():
            time.sleep(0.01)
        return pids["rank 1"]

    with (
        named_roles() as pids,
        striking(tmp_path / "run_0", pid, signal.SIGKILL, itr=0) as strike,
        pytest.raises(RlpytError, match="rank 1 was killed by SIGKILL") as caught,
    ):
        train(made, tmp_path)
    assert time.monotonic() - strike.at < 5 * slowness()
    assert_clean(tmp_path / "run_0", "failed(worker)", caught.value)


@pytest.mark.faults("F15", "F34")
@pytest.mark.parametrize(
    ("kind", "world_size"), [("serial", 1), slow("cpu", 1), slow("gpu", 2), slow("serial", 2)]
)
def test_a_killed_master_leaves_nothing(
    kind: str, world_size: int, tmp_path: Path, assert_clean: AssertClean
):
    """F15, F34."""
    settings = {"starts": "child", "workers": "true"}
    with started(tmp_path, kind, world_size=world_size, **settings) as run:
        run.wait_for(lambda: saved_itr(tmp_path / "run") >= 3, "it trains")
        assert len(descendants()) >= 3
        run.kill(signal.SIGKILL)
        assert run.ended(5 * slowness()).code == -signal.SIGKILL
    assert_clean(tmp_path / "run", "running")


# --- the sampler fails or hangs -----------------------------------------------------------------


@pytest.mark.faults("F04")
@pytest.mark.parametrize("kind", ["serial", slow("cpu"), slow("alternating")])
def test_the_error_of_an_environment(kind: str, tmp_path: Path, assert_clean: AssertClean):
    start = time.monotonic()
    with pytest.raises(RlpytError) as caught:
        train(async_runner(kind, victim=ENV, fault="raise in step", episode=2), tmp_path)
    error = caught.value
    assert time.monotonic() - start < (5 + 5) * slowness()  # with the start of the sampler
    assert error.code == "env"
    assert error.what == f"env {ENV} raised ValueError in step: the simulator\nis gone"
    assert re.search(
        r"fault_envs\.py:\d+, episode 2, step 2, episode seed \d+.*, sampler, pid \d+$", error.where
    ), error.where
    assert "ValueError: the simulator" in str(error.__cause__)
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"]) == (ENV, 2)
    assert "ValueError: the simulator" in (tmp_path / "run_0" / "debug.log").read_text()
    assert_clean(tmp_path / "run_0", "failed(env)", error)


@pytest.mark.faults("F04")
@pytest.mark.parametrize(
    ("method", "kind"),
    [("close", "serial"), slow("close", "cpu"), ("__init__", "serial"), slow("reset", "serial")],
)
def test_an_environment_that_fails_outside_steps(
    method: str, kind: str, tmp_path: Path, assert_clean: AssertClean
):
    where = "its constructor" if method == "__init__" else method
    settings = {"workers": True} if method == "__init__" else {"victim": ENV}
    with pytest.raises(RlpytError, match=rf"env \d raised ValueError in {where}") as caught:
        train(async_runner(kind, fault=f"raise in {method}", **settings), tmp_path)
    assert_clean(tmp_path / "run_0", "failed(env)", caught.value)


@pytest.mark.faults("F06")
@pytest.mark.parametrize("fault", ["sleep", slow("busy"), slow("deaf"), slow("stop")])
def test_an_environment_that_hangs(fault: str, tmp_path: Path, assert_clean: AssertClean):
    once = tmp_path / "once"
    settings = {"victim": ENV, "episode": 2, "once": str(once)}
    start = time.monotonic()
    with pytest.raises(RlpytError) as caught:
        train(async_runner(timeout=3.0, fault=f"{fault} in step", **settings), tmp_path)
    error = caught.value
    assert time.monotonic() - start < (3 + 10) * slowness()
    pid = int(once.read_text())
    assert error.code == "worker"
    assert error.what == "sampler hangs: no step for 3.0 s"
    assert error.hint == "raise the timeout"
    assert not is_alive(pid)
    if fault != "stop":  # then it cannot say where it is
        assert re.fullmatch(rf"at \S+fault_envs\.py:\d+, pid {pid}", error.where)
        assert "in step" in str(error.__cause__)
        assert "in step" in (tmp_path / "run_0" / "debug.log").read_text()
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F06")
@pytest.mark.slow
def test_a_worker_that_hangs(tmp_path: Path, assert_clean: AssertClean):
    """The sampler in the other process knows which."""
    settings = {"victim": ENV, "episode": 2, "worker_timeout": 1.0}
    with pytest.raises(RlpytError, match=rf"worker 1 hangs: .* in env {ENV}") as caught:
        train(async_runner("cpu", fault="sleep in step", **settings), tmp_path)
    assert re.search(r", sampler, pid \d+$", caught.value.where)
    assert_clean(tmp_path / "run_0", "failed(worker)", caught.value)


@pytest.mark.faults("F06")
@pytest.mark.slow
def test_a_learner_that_was_stopped(tmp_path: Path, assert_clean: AssertClean):
    error, strike = struck_run(
        *(signal.SIGSTOP, "rank 1", tmp_path),
        **{"world_size": 2, "timeout": 3.0, "checkpoint_interval_steps": 640},
    )
    assert time.monotonic() - strike.at < (3 + 5) * slowness()
    assert error.what.startswith("rank 1 of 2: no answer")
    assert_clean(tmp_path / "run_0", "failed(rank)", error)


# --- signals ------------------------------------------------------------------------------------

N_ITR = 20
DQN = "algo.replay.size=256 algo.batch_size=8 algo.min_steps_learn=32 algo.replay_ratio=1"


def started(
    folder: Path, kind: str = "serial", n_itr: int = 100_000, world_size: int = 1, **settings: Any
) -> Any:
    return program(
        ["-m", "rlpyt", *words(folder / "run", kind, n_itr, world_size, **settings)], folder
    )


def words(run_dir: Path, kind: str, n_itr: int, world_size: int, **settings: Any) -> list[str]:
    found = train_words(run_dir, kind, n_itr, **{"pause": 0.002, **settings})
    found[found.index("a2c")] = "dqn"
    return [*found, *DQN.split(), "--async", "--world-size", str(world_size)]


@pytest.mark.faults("F12")
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "world_size"), [("serial", 1), ("cpu", 1), ("gpu", 2)])
def test_interrupted_from_the_terminal(
    kind: str, world_size: int, tmp_path: Path, assert_clean: AssertClean
):
    """F12."""
    settings = {"starts": "child", "workers": "true"}
    with started(tmp_path, kind, world_size=world_size, **settings) as run:
        run.wait_for(lambda: saved_itr(tmp_path / "run") >= 3, "it trains")
        run.kill(signal.SIGINT, group=True)
        ended = run.ended(10 * slowness())
    assert ended.code == 130
    assert ended.err.strip() == NOTE.format("SIGINT")
    assert_clean(tmp_path / "run", "interrupted")


@pytest.mark.faults("F13")
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "world_size"), [("serial", 1), ("gpu", 1), ("serial", 2)])
def test_interrupted_twice_while_an_environment_hangs(
    kind: str, world_size: int, tmp_path: Path, assert_clean: AssertClean
):
    """F13."""
    once = tmp_path / "once"
    hangs = {"fault": "lock in step", "victim": ENV, "episode": 4, "once": once}
    with started(tmp_path, kind, world_size=world_size, **hangs) as run:
        run.wait_for(once.exists, "it hangs")
        run.kill(signal.SIGINT, group=True)
        run.wait_for(lambda: NOTE.format("SIGINT") in run.err(), "it was told")
        time.sleep(0.3)
        assert run.process.poll() is None  # it waits for the iteration's end
        run.kill(signal.SIGINT, group=True)
        ended = run.ended(10 * slowness())
    assert ended.code == 130
    assert ended.seconds < 3 * slowness()
    assert ended.err.strip() == NOTE.format("SIGINT")
    assert_clean(tmp_path / "run", "interrupted")


@pytest.mark.faults("F14")
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "world_size"), [("serial", 1), ("cpu", 1), ("serial", 2)])
def test_preempted_and_resumed(
    kind: str, world_size: int, tmp_path: Path, assert_clean: AssertClean
):
    """F14."""
    run_dir, whole = tmp_path / "run", tmp_path / "whole"
    with started(tmp_path, kind, N_ITR, world_size) as run:
        run.wait_for(lambda: saved_itr(run_dir) >= 4, "it trains")
        run.kill(signal.SIGTERM)
        ended = run.ended(30 * slowness())
    assert ended.code == 143
    assert ended.err.strip() == NOTE.format("SIGTERM")
    assert_clean(run_dir, "preempted")
    assert saved_itr(run_dir) < N_ITR
    assert main(["resume", str(run_dir), *QUIET]) == 0
    assert main(words(whole, kind, N_ITR, world_size)) == 0
    assert_same_run(whole, run_dir)
    assert_clean(run_dir, "done")


@pytest.mark.slow
def test_the_command_says_it_in_one_line(tmp_path: Path, assert_clean: AssertClean):
    found = words(tmp_path / "run", "serial", 6, 1, victim=ENV)
    ended = in_child([*found, "sampler.env.kwargs.fault=raise in step"], tmp_path)
    assert ended.code == 1
    [line] = ended.err.splitlines()
    assert line.startswith(f"ERROR env: env {ENV} raised ValueError in step: the simulator is gone")
    assert_clean(tmp_path / "run", "failed(env)", ended)


# --- one side is much slower --------------------------------------------------------------------

SECONDS = float(os.environ.get("RLPYT_SOAK_SECONDS", "20"))  # of each; the contract says 600
MOST_GROWTH = 16e6  # bytes, of all processes together, in the second half


def resident(pids: set[int]) -> int:
    """Bytes that these processes have in memory."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def slow_learner(seconds: float) -> Callable[..., None]:
    add = RunRecords.add

    def adding(self: RunRecords, *args: Any) -> None:
        time.sleep(seconds)
        add(self, *args)

    return adding


@pytest.mark.faults("F35")
@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 3 + 120)
@pytest.mark.parametrize(("who", "world_size"), [("learner", 1), ("sampler", 1), ("learner", 2)])
def test_one_side_a_hundred_times_slower(
    who: str, world_size: int, tmp_path: Path, monkeypatch, assert_clean: AssertClean
):
    """F35: the other waits; nothing piles up, and parameters are never older than one iteration."""
    if who == "learner":  # a batch takes some 2 ms to sample, and as long to learn from
        monkeypatch.setattr(RunRecords, "add", slow_learner(0.2))
    pause = {"pause": 0.2 / 32} if who == "sampler" else {}
    measured: list[tuple[float, int]] = []
    start = time.monotonic()
    log_row = RunRecords.row

    def measuring(self: RunRecords, *args: Any) -> dict[str, float]:
        measured.append((time.monotonic() - start, resident({os.getpid(), *descendants()})))
        if measured[-1][0] > SECONDS:
            signal.raise_signal(signal.SIGTERM)
        return log_row(self, *args)

    monkeypatch.setattr(RunRecords, "row", measuring)
    made = async_runner(
        *("serial",),
        **{"n_itr": 1_000_000, "world_size": world_size, "log_interval_steps": 32, **pause},
        **{"checkpoint_interval_steps": 320},
    )
    with pytest.raises(SystemExit):
        train(made, tmp_path)
    rows = [
        {name: float(value) for name, value in row.items()} for row in read_rows(tmp_path / "run_0")
    ]
    assert len(rows) > SECONDS
    assert all(row["Diagnostics/Lag0"] + row["Diagnostics/Lag1"] == 1 for row in rows)
    assert rows[-1]["Diagnostics/CumReplayRatio"] == pytest.approx(1.0, rel=0.01)
    wait = median(row["Diagnostics/SamplerWait"] for row in rows[1:])
    assert wait < 0.5 if who == "learner" else wait > 0.5
    half = [size for seconds, size in measured if seconds > SECONDS / 2]
    assert half[-1] - half[0] < MOST_GROWTH, [(round(s), n // 2**20) for s, n in measured[::10]]
    assert_clean(tmp_path / "run_0", "preempted")
