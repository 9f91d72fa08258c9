"""F01, F05, F28: a worker dies, and the error says who, of what, where, and how to see it again."""

import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fault_envs import episode_length
from post_conditions import AssertClean, kill_and_wait, slowness, wait_until, workers
from small_runs import KINDS, in_child, runner, sampling, train

from rlpyt.envs.capsule import read_capsule
from rlpyt.utils.errors import RlpytError

ENV = 2  # the victim, in worker 1 of 2


def rank_of(kind: str) -> int:
    return 0 if KINDS[kind][1] == 1 else 1


def envs_of(kind: str) -> str:
    return "0-3" if KINDS[kind][1] == 1 else "2-3"


def failed_run(kind: str, folder: Path, **settings: Any) -> RlpytError:
    """The error of a run whose victim is environment 2."""
    with pytest.raises(RlpytError) as caught:
        train(runner(kind, victim=ENV, **settings), folder)
    return caught.value


def capsule_path(error: RlpytError) -> Path:
    found = re.search(r"`rlpyt replay-capsule ([^`]+)`", error.hint)
    assert found, error.hint
    return Path(found.group(1))


@pytest.mark.faults("F01")
@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_killed_in_the_middle_of_a_batch(kind, tmp_path, assert_clean: AssertClean):
    marked = tmp_path / "waits"
    killed: dict[str, float] = {}

    def kill() -> None:
        wait_until(lambda: marked.exists() and marked.read_text().endswith("\n"), 30, "a worker")
        killed["pid"], killed["at"] = int(marked.read_text()), time.monotonic()
        os.kill(int(marked.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    error = failed_run(kind, tmp_path, fault="wait in step", episode=2, once=str(marked))
    seconds = time.monotonic() - killed["at"]
    killer.join()
    assert error.code == "worker"
    assert error.what == f"worker {rank_of(kind)} was killed by SIGKILL"
    before = episode_length(ENV, 0) + episode_length(ENV, 1) + 2
    pid = int(killed["pid"])
    assert error.where == f"pid {pid}, envs {envs_of(kind)}, its step {before}, in 'collect'"
    assert "probably the kernel for lack of memory (see dmesg)" in error.hint
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"], capsule["steps"]) == (ENV, 2, 3)
    assert seconds < 5 * slowness()
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F01")
@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_killed_between_two_batches(kind, tmp_path, assert_clean: AssertClean):
    with sampling(kind) as made:
        made.obtain_samples(0)
        victim = workers()[-1]
        kill_and_wait(victim)
        with pytest.raises(RlpytError, match="was killed by SIGKILL") as caught:
            made.obtain_samples(1)
        assert f"pid {victim}, envs " in caught.value.where
    assert_clean(error=caught.value)


@pytest.mark.faults("F01")
def test_all_workers_killed_at_once(tmp_path, assert_clean: AssertClean):
    with sampling("gpu", pause=0.02) as made:
        made.obtain_samples(0)
        for victim in workers():
            os.kill(victim, signal.SIGKILL)
        with pytest.raises(RlpytError, match=r"worker [01] was killed by SIGKILL") as caught:
            made.obtain_samples(1)
    assert_clean(error=caught.value)


ENDS = {  # what happens: what is told, and how a replay in another process ends
    "exit": ("ended with exit code 4", 0),
    "exit 0": ("ended with exit code 0", 0),
    "os._exit": ("ended with exit code 3", 3),
    "abort": ("was killed by SIGABRT", -signal.SIGABRT),
    "segfault": ("was killed by SIGSEGV", -signal.SIGSEGV),
    "kill": ("was killed by SIGKILL", -signal.SIGKILL),
}


@pytest.mark.faults("F05")
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        *(("cpu", fault) for fault in ENDS),
        ("one", "abort"),
        ("gpu", "segfault"),
        ("alternating", "os._exit"),
    ],
)
def test_an_environment_that_ends_its_process(kind, fault, tmp_path, assert_clean: AssertClean):
    told, replayed = ENDS[fault]
    start = time.monotonic()
    error = failed_run(kind, tmp_path, fault=f"{fault} in step", episode=2)
    assert time.monotonic() - start < (5 + 5) * slowness()  # with the start of the workers
    assert error.what == f"worker {rank_of(kind)} {told}"
    if told.startswith("ended"):
        assert "raise exceptions instead of ending the process" in error.hint
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"], capsule["steps"]) == (ENV, 2, 3)
    assert_clean(tmp_path / "run_0", "failed(worker)", error)
    if kind != "cpu" and fault != "segfault":
        return  # importing the command takes a while
    again = in_child(["replay-capsule", str(capsule_path(error))], tmp_path)
    assert again.code == replayed, again.err
    assert "step 3 comes now: in it the recorded process died" in again.out
    assert ("reproduced: the environment called sys.exit" in again.out) == (replayed == 0)


@pytest.mark.parametrize("settings", [{"continuous": True}, {"mid_batch_reset": False}], ids=str)
def test_the_capsule_of_the_master_knows_other_kinds_of_runs(
    settings, tmp_path, assert_clean: AssertClean
):
    error = failed_run("cpu", tmp_path, fault="segfault in step", episode=2, **settings)
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"], capsule["steps"]) == (ENV, 2, 3)
    again = in_child(["replay-capsule", str(capsule_path(error))], tmp_path)
    assert again.code == -signal.SIGSEGV
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F05")
def test_a_crash_in_the_reset_within_a_batch(tmp_path, assert_clean: AssertClean):
    error = failed_run("cpu", tmp_path, fault="segfault in reset", episode=1)
    assert error.what == "worker 1 was killed by SIGSEGV"
    assert read_capsule(capsule_path(error))["env_index"] == ENV
    assert in_child(["replay-capsule", str(capsule_path(error))], tmp_path).code == -signal.SIGSEGV
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F05")
@pytest.mark.parametrize("method", ["__init__", "reset"])
def test_a_crash_before_the_first_batch(method, tmp_path, assert_clean: AssertClean):
    error = failed_run("cpu", tmp_path, fault=f"segfault in {method}", workers=True)
    assert re.fullmatch(r"worker [01] was killed by SIGSEGV", error.what)
    asked = "build" if method == "__init__" else "reset"
    assert re.fullmatch(rf"pid \d+, envs \d-\d, its step 0, in '{asked}'", error.where)
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.faults("F28")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_worker_that_may_have_no_more_memory(kind, tmp_path, assert_clean: AssertClean):
    error = failed_run(kind, tmp_path, fault="hungry in step")
    assert error.what.startswith(f"env {ENV} raised ")
    assert "MemoryError in step: Unable to allocate 2.00 GiB" in error.what
    assert_clean(tmp_path / "run_0", "failed(env)", error)
