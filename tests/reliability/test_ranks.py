"""F30, F31, F12-F14 for processes that learn together: one dies, hangs, or fails; signals."""

import os
import re
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from post_conditions import AssertClean, is_alive, parents, slowness
from runner_fakes import assert_same_run
from small_runs import (
    QUIET,
    Strike,
    in_child,
    named_roles,
    program,
    saved_itr,
    striking,
    sync_runner,
    train,
    train_words,
)
from world_runs import assert_equal_ranks

from rlpyt.cli.main import main
from rlpyt.envs.capsule import read_capsule
from rlpyt.utils.errors import RlpytError

slow = partial(pytest.param, marks=pytest.mark.slow)

ENV = 6  # the victim, in rank 1
LONG = {"n_itr": 100_000, "pause": 0.002}
NOTE = "{}: ending this iteration and saving; once more ends at once"


def struck_run(signum: signal.Signals, folder: Path, **settings: Any) -> tuple[RlpytError, Strike]:
    """The error of a run whose rank 1 gets a signal, and when it got it."""
    with (
        named_roles() as pids,
        striking(folder / "run_0", lambda: pids["rank 1"], signum) as strike,
        pytest.raises(RlpytError) as caught,
    ):
        train(sync_runner(**{**LONG, **settings}), folder)
    return caught.value, strike


def capsule_path(error: RlpytError) -> Path:
    found = re.search(r"`rlpyt replay-capsule ([^`]+)`", error.hint)
    assert found, error.hint
    return Path(found.group(1))


# --- one dies, hangs or fails -------------------------------------------------------------------


@pytest.mark.faults("F30")
@pytest.mark.parametrize("kind", ["serial", slow("cpu")])
def test_a_rank_that_is_killed(kind: str, tmp_path: Path, assert_clean: AssertClean):
    """F30."""
    error, strike = struck_run(signal.SIGKILL, tmp_path, kind=kind)
    assert time.monotonic() - strike.at < 5 * slowness()
    assert error.code == "worker"
    assert error.what == "rank 1 was killed by SIGKILL"
    assert error.where == f"pid {strike.pid}"
    assert "for lack of memory" in error.hint
    assert "rank 1 was killed by SIGKILL" in (tmp_path / "run_0" / "debug.log").read_text()
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F31")
@pytest.mark.slow
def test_a_rank_that_is_stopped(tmp_path: Path, assert_clean: AssertClean):
    """F31."""
    error, strike = struck_run(signal.SIGSTOP, tmp_path, timeout=3.0, checkpoint_interval_steps=640)
    assert time.monotonic() - strike.at < (3 + 5) * slowness()
    assert error.code == "rank"
    assert error.what.startswith("rank 1 of 2: no answer")
    assert error.where == "rank 0 of 2, after at most 3 s"
    assert "raise `timeout`" in error.hint
    assert not is_alive(strike.pid)
    assert_clean(tmp_path / "run_0", "failed(rank)", error)


@pytest.mark.faults("F04")
@pytest.mark.parametrize("kind", ["serial", slow("cpu")])
def test_the_error_of_an_environment_in_a_rank(
    kind: str, tmp_path: Path, assert_clean: AssertClean
):
    start = time.monotonic()
    made = sync_runner(kind, victim=ENV, fault="raise in step", episode=2)
    with pytest.raises(RlpytError) as caught:
        train(made, tmp_path)
    error = caught.value
    assert time.monotonic() - start < (5 + 10) * slowness()  # with the start of all
    assert error.code == "env"
    assert error.what == f"env {ENV} raised ValueError in step: the simulator\nis gone"
    assert re.search(
        r"fault_envs\.py:\d+, episode 2, step 2, episode seed \d+.*, rank 1, pid \d+$", error.where
    ), error.where
    assert "ValueError: the simulator" in str(error.__cause__)
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"]) == (ENV, 2)
    assert "ValueError: the simulator" in (tmp_path / "run_0" / "debug.log").read_text()
    assert_clean(tmp_path / "run_0", "failed(env)", error)


@pytest.mark.faults("F04")
@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("__init__", r"(?s)env [0-7] raised ValueError in its constructor.*, rank 1, pid"),
        slow("reset", rf"env {ENV} raised ValueError in reset"),
        slow("close", rf"env {ENV} raised ValueError in close"),
    ],
)
def test_an_environment_of_a_rank_that_fails_outside_steps(
    method: str, told: str, tmp_path: Path, assert_clean: AssertClean
):
    victim = {"victim": ENV} if method != "__init__" else {"workers": True}
    with pytest.raises(RlpytError, match=told) as caught:
        train(sync_runner(fault=f"raise in {method}", **victim), tmp_path)
    # What fails when all is done and saved does not undo it.
    state = "done" if method == "close" else "failed(env)"
    assert_clean(tmp_path / "run_0", state, caught.value)


@pytest.mark.faults("F06")
@pytest.mark.slow
def test_an_environment_of_a_rank_that_hangs(tmp_path: Path, assert_clean: AssertClean):
    once = tmp_path / "once"
    made = sync_runner(timeout=3.0, victim=ENV, fault="sleep in step", episode=2, once=str(once))
    start = time.monotonic()
    with pytest.raises(RlpytError) as caught:
        train(made, tmp_path)
    assert time.monotonic() - start < (3 + 10 + 5) * slowness()
    error = caught.value
    assert error.what.startswith("rank 1 of 2: no answer")
    stack = str(error.__cause__)
    assert f"rank 1, pid {once.read_text().strip()}:" in stack
    assert "fault_envs.py" in stack
    assert "in step" in stack
    assert "in step" in (tmp_path / "run_0" / "debug.log").read_text()
    assert_clean(tmp_path / "run_0", "failed(rank)", error)


@pytest.mark.faults("F30")
@pytest.mark.slow
@pytest.mark.parametrize("victim", [1, 2])
def test_of_three_the_one_that_was_killed_is_named(
    victim: int, tmp_path: Path, assert_clean: AssertClean
):
    made = sync_runner(**LONG)
    made.world_size = 3
    with (
        named_roles() as pids,
        striking(tmp_path / "run_0", lambda: pids[f"rank {victim}"], signal.SIGKILL),
        pytest.raises(RlpytError) as caught,
    ):
        train(made, tmp_path)
    assert caught.value.what == f"rank {victim} was killed by SIGKILL"
    assert_clean(tmp_path / "run_0", "failed(worker)", caught.value)


def dies_at_once(setup: Any, pipe: Any) -> None:
    signal.raise_signal(signal.SIGKILL)


@pytest.mark.faults("F30")
def test_a_rank_that_dies_as_it_starts(tmp_path: Path, monkeypatch, assert_clean: AssertClean):
    """Not after the timeout, which nobody else would end."""
    monkeypatch.setattr("rlpyt.runners.sync_rl._rank_main", dies_at_once)
    start = time.monotonic()
    with pytest.raises(RlpytError, match="rank 1 was killed by SIGKILL") as caught:
        train(sync_runner(timeout=300.0), tmp_path)
    assert time.monotonic() - start < 10 * slowness()
    assert_clean(error=caught.value)


@pytest.mark.slow
def test_a_rank_that_cannot_save(tmp_path: Path, monkeypatch, assert_clean: AssertClean):
    """Nobody waits for it for long, and the first's part stays what it was."""
    made = sync_runner(n_itr=6, timeout=300.0)
    run_dir = tmp_path / "run_0"
    (run_dir / "checkpoints").mkdir(parents=True)
    (run_dir / "checkpoints" / "rank_1").write_text("in the way")
    start = time.monotonic()
    with pytest.raises(RlpytError) as caught:
        train(made, tmp_path)
    assert time.monotonic() - start < 15 * slowness()
    assert caught.value.code in ("checkpoint", "directory")
    assert "rank_1" in str(caught.value)
    assert_clean(run_dir, f"failed({caught.value.code})", caught.value)


# --- torchrun -----------------------------------------------------------------------------------


def torchrun(folder: Path, *words: str) -> Any:
    launcher = "-m torch.distributed.run --standalone --local-addr 127.0.0.1"
    launcher += " --nproc-per-node 2 --max-restarts 1 -m rlpyt"
    environ = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return program([*launcher.split(), *words], folder, environ, fresh=True)


def rank_pid(launcher: int, rank: int) -> int:
    """The process that torchrun has started as this rank."""
    for pid, above in parents().items():
        if above == launcher:
            environ = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            if f"RANK={rank}" in environ:
                return pid
    raise AssertionError(f"no rank {rank} below {launcher}")


@pytest.mark.faults("F30")
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("rank", [1, 0])
def test_torchrun_restarts_what_was_killed(rank: int, tmp_path: Path, assert_clean: AssertClean):
    """F30: from the newest checkpoint that both have, to the end that it would have had."""
    run_dir, n_itr = tmp_path / "run", 150
    words = [*train_words(run_dir, "serial", n_itr, pause=0.005), "timeout=30"]
    with torchrun(tmp_path, *words) as run:
        run.wait_for(lambda: saved_itr(run_dir) >= 20, "it trains")
        os.kill(rank_pid(run.pid, rank), signal.SIGKILL)
        ended = run.ended(100 * slowness())
    assert ended.code == 0, ended.err
    log = (run_dir / "debug.log").read_text()
    assert "resumed after" in log
    assert_equal_ranks(run_dir)
    assert_clean(run_dir, "done")
    whole = tmp_path / "whole"
    assert main([*train_words(whole, "serial", n_itr), "--world-size", "2"]) == 0
    assert_same_run(whole, run_dir)
    assert_clean(whole, "done")


# --- signals ------------------------------------------------------------------------------------

N_ITR = 20


def started(folder: Path, n_itr: int = N_ITR, **settings: Any) -> Any:
    words = train_words(folder / "run", "serial", n_itr, **{"pause": 0.002, **settings})
    return program(["-m", "rlpyt", *words, "--world-size", "2"], folder)


@pytest.mark.faults("F12")
@pytest.mark.slow
def test_interrupted_from_the_terminal(tmp_path: Path, assert_clean: AssertClean):
    """F12."""
    with started(tmp_path, n_itr=100_000, starts="child", workers="true") as run:
        run.wait_for(lambda: saved_itr(tmp_path / "run") >= 3, "it trains")
        run.kill(signal.SIGINT, group=True)
        ended = run.ended(10 * slowness())
    assert ended.code == 130
    assert ended.err.strip() == NOTE.format("SIGINT")
    assert_clean(tmp_path / "run", "interrupted")


@pytest.mark.faults("F13")
@pytest.mark.slow
@pytest.mark.parametrize("where", ["step", "reset"])
def test_interrupted_twice_while_an_environment_of_a_rank_hangs(
    where: str, tmp_path: Path, assert_clean: AssertClean
):
    """F13."""
    once = tmp_path / "once"
    hangs = {"fault": f"lock in {where}", "victim": ENV, "episode": 4, "once": once}
    with started(tmp_path, n_itr=100_000, **hangs) as run:
        run.wait_for(once.exists, "it hangs")
        run.kill(signal.SIGINT, group=True)
        run.wait_for(lambda: NOTE.format("SIGINT") in run.err(), "it was told")
        time.sleep(0.3)
        run.kill(signal.SIGINT, group=True)
        ended = run.ended(10 * slowness())
    assert ended.code == 130
    assert ended.seconds < 3 * slowness()
    assert_clean(tmp_path / "run", "interrupted")


@pytest.mark.faults("F14")
@pytest.mark.slow
@pytest.mark.parametrize("to", ["the first", "all"])
def test_preempted_and_resumed(to: str, tmp_path: Path, assert_clean: AssertClean):
    """F14: SIGTERM to the command alone, and to every process as some schedulers do."""
    run_dir, whole = tmp_path / "run", tmp_path / "whole"
    with started(tmp_path) as run:
        run.wait_for(lambda: saved_itr(run_dir) >= 4, "it trains")
        if to == "all":
            for pid in [*below(run.pid), run.pid]:
                signal_process(pid, signal.SIGTERM)
        else:
            run.kill(signal.SIGTERM)
        ended = run.ended(30 * slowness())
    assert ended.code == 143
    assert NOTE.format("SIGTERM") in ended.err
    assert_clean(run_dir, "preempted")
    assert main(["resume", str(run_dir), *QUIET]) == 0
    assert main([*train_words(whole, "serial", N_ITR, pause=0.002), "--world-size", "2"]) == 0
    assert_same_run(whole, run_dir)
    assert_clean(run_dir, "done")


@pytest.mark.faults("F15")
@pytest.mark.slow
def test_a_killed_first_rank_leaves_nothing(tmp_path: Path, assert_clean: AssertClean):
    """F15."""
    with started(tmp_path, n_itr=100_000, starts="child", workers="true") as run:
        run.wait_for(lambda: saved_itr(tmp_path / "run") >= 3, "it trains")
        run.kill(signal.SIGKILL)
        assert run.ended(5 * slowness()).code == -signal.SIGKILL
    assert_clean(tmp_path / "run", "running")


@pytest.mark.slow
def test_the_command_says_it_in_one_line(tmp_path: Path, assert_clean: AssertClean):
    words = train_words(tmp_path / "run", "serial", 6, victim=ENV)
    words += ["sampler.env.kwargs.fault=raise in step", "--world-size", "2"]
    ended = in_child(words, tmp_path)
    assert ended.code == 1
    [line] = ended.err.splitlines()
    assert line.startswith(f"ERROR env: env {ENV} raised ValueError in step: the simulator is gone")
    assert ", rank 1, pid " in line
    assert_clean(tmp_path / "run", "failed(env)", ended)


def below(pid: int) -> list[int]:
    """All processes below this one."""
    parent = parents()
    found = {pid}
    while more := {one for one, above in parent.items() if above in found} - found:
        found |= more
    return sorted(found - {pid})


def signal_process(pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
