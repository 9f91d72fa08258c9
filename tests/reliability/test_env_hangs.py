"""F06: an environment that does not return, whatever it does instead."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from fault_envs import episode_length
from post_conditions import AssertClean, is_alive, slowness, workers
from small_runs import KINDS, runner, sampling, train

from rlpyt.envs.capsule import read_capsule
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.faults("F06")

ENV = 2  # the victim, in worker 1 of 2
DEADLINE = 1.0  # seconds
HERE = Path(__file__).parent

HANGS = {  # what it does instead of returning: the line of its stack
    "sleep": "in <lambda>",
    "busy": "in _busy",
    "deaf": "in _deaf",
    "lock": "in _locked",
}


def failed_run(kind: str, folder: Path, **settings: Any) -> tuple[RlpytError, float]:
    """The error, and when it came."""
    made = runner(kind, **{"victim": ENV, "worker_timeout": DEADLINE, **settings})
    start = time.monotonic()
    with pytest.raises(RlpytError) as caught:
        train(made, folder)
    return caught.value, time.monotonic() - start


def capsule_path(error: RlpytError) -> Path:
    found = re.search(r"`rlpyt replay-capsule ([^`]+)`", error.hint)
    assert found, error.hint
    return Path(found.group(1))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        *(("cpu", fault) for fault in HANGS),
        ("one", "sleep"),
        ("gpu", "busy"),
        ("gpu", "lock"),
        ("alternating", "deaf"),
    ],
)
def test_a_step_that_never_returns(kind, fault, tmp_path, assert_clean: AssertClean):
    marked = tmp_path / "once"
    error, seconds = failed_run(
        kind, tmp_path, fault=f"{fault} in step", episode=1, once=str(marked)
    )
    rank, envs = (0, "0-3") if KINDS[kind][1] == 1 else (1, "2-3")
    pid = int(marked.read_text())
    assert error.code == "worker"
    assert re.fullmatch(rf"worker {rank} hangs: no step for \d+\.\d s in env {ENV}", error.what)
    steps = episode_length(ENV, 0) + 2
    assert re.fullmatch(
        rf"at {HERE}/fault_envs\.py:\d+, pid {pid}, envs {envs}, its step {steps}, in 'collect'",
        error.where,
    ), error.where
    assert HANGS[fault] in str(error.__cause__)
    assert "in step" in str(error.__cause__)
    assert HANGS[fault] in (tmp_path / "run_0" / "debug.log").read_text()
    assert not is_alive(pid)
    assert seconds < (DEADLINE + 10) * slowness()
    capsule = read_capsule(capsule_path(error))
    assert (capsule["env_index"], capsule["episode"], capsule["steps"]) == (ENV, 1, 3)
    assert capsule["failure"]["code"] == "hang"
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_worker_that_was_stopped(kind, tmp_path, assert_clean: AssertClean):
    error, seconds = failed_run(kind, tmp_path, fault="stop in step")
    assert re.fullmatch(rf"worker 1 hangs: no step for \d+\.\d s in env {ENV}", error.what)
    assert seconds < (DEADLINE + 10) * slowness()
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


@pytest.mark.parametrize("method", ["reset", "__init__"])
@pytest.mark.parametrize("fault", ["sleep", "lock"])
def test_an_environment_that_hangs_before_the_first_batch(
    method, fault, tmp_path, assert_clean: AssertClean
):
    deadline = 0.5 if method == "__init__" else DEADLINE  # three times that, for constructors
    settings = {"workers": True, "worker_timeout": deadline}
    error, seconds = failed_run("cpu", tmp_path, fault=f"{fault} in {method}", **settings)
    assert re.match(r"worker [01] hangs: no step for \d+\.\d s", error.what)
    assert HANGS[fault] in str(error.__cause__)
    assert seconds < (DEADLINE + 10) * slowness()
    assert_clean(tmp_path / "run_0", "failed(worker)", error)


def test_a_close_that_hangs(tmp_path, assert_clean: AssertClean):
    """The run is over by then: its end does not wait for long."""
    start = time.monotonic()
    with pytest.warns(RuntimeWarning, match="worker 0 did not close its environments within 5 s"):
        run_dir = train(runner("cpu", fault="sleep in close"), tmp_path)
    assert time.monotonic() - start < 10 * slowness()
    assert_clean(run_dir, "done")


def test_slow_is_not_hanging(tmp_path, assert_clean: AssertClean):
    """Four environments of a worker take longer together than one may."""
    made = runner("one", n_steps=8, batch_T=2, pause=0.15, worker_timeout=0.4)
    assert_clean(train(made, tmp_path), "done")


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_what_does_not_arrive_is_not_waited_for(kind, assert_clean: AssertClean):
    """A worker that was stopped takes no state in, larger than a pipe holds."""
    with sampling(kind, worker_timeout=DEADLINE / 2) as made:
        made.obtain_samples(0)
        state = made.state_dict()
        big = [0] * 200_000
        state["env"]["envs"] = [{"actions": big} for _ in state["env"]["envs"]]
        victim = workers()[-1]
        os.kill(victim, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(RlpytError, match=r"worker \d hangs") as caught:
            made.load_state_dict(state)
        assert time.monotonic() - start < (DEADLINE + 10) * slowness()
        assert not is_alive(victim)
    assert_clean(error=caught.value)
