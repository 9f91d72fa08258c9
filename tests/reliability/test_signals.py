"""F12-F15: signals to the command, from a terminal, a scheduler, or a kernel that is out of memory;
and programs that end without a word to their sampler.
"""

import random
import signal
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from post_conditions import AssertClean, slowness
from runner_fakes import assert_same_run
from small_runs import QUIET, program, saved_itr, train_words

from rlpyt.cli.main import main

slow = partial(pytest.param, marks=pytest.mark.slow)

N_ITR = 40
STEP = {"pause": 0.002}  # seconds: the run takes a little more than a second
NOTE = "{}: ending this iteration and saving; once more ends at once"


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the run comes to when nobody interrupts it, in this process."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    assert main(train_words(run_dir, "serial", N_ITR, group_size=2)) == 0
    return run_dir


def started(folder: Path, kind: str, n_itr: int = N_ITR, **settings: Any) -> Any:
    words = train_words(folder / "run", kind, n_itr, group_size=2, **{**STEP, **settings})
    return program(["-m", "rlpyt", *words], folder)


def resumed(run_dir: Path) -> None:
    with warnings.catch_warnings():  # of half a checkpoint, where it was killed
        warnings.filterwarnings("ignore", "ignored what a process that died left behind")
        assert main(["resume", str(run_dir), *QUIET]) == 0


@pytest.mark.faults("F12")
@pytest.mark.parametrize("kind", ["cpu", slow("alternating")])
def test_interrupted_from_the_terminal(kind, tmp_path, assert_clean: AssertClean):
    run_dir = tmp_path / "run"
    with started(tmp_path, kind, n_itr=100_000) as run:
        run.wait_for(lambda: saved_itr(run_dir) >= 3, "it trains")
        before = saved_itr(run_dir)
        run.kill(signal.SIGINT, group=True)
        ended = run.ended(10 * slowness())
    assert ended.code == 130
    assert ended.seconds < 10 * slowness()
    assert ended.err.strip() == NOTE.format("SIGINT")  # nothing else, from nobody
    assert saved_itr(run_dir) >= before
    assert_clean(run_dir, "interrupted")


@pytest.mark.faults("F13")
def test_interrupted_twice_while_an_environment_hangs(tmp_path, assert_clean: AssertClean):
    once = tmp_path / "once"
    settings = {"fault": "lock in step", "victim": 2, "episode": 4, "once": once}
    settings |= {"starts": "child", "workers": "true"}
    with started(tmp_path, "gpu", **settings) as run:
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


@pytest.mark.faults("F13")
@pytest.mark.slow
def test_a_key_that_is_hit_again_and_again(tmp_path, assert_clean: AssertClean):
    with started(tmp_path, "cpu", n_itr=100_000, starts="child", workers="true") as run:
        run.wait_for(lambda: saved_itr(tmp_path / "run") >= 1, "it trains")
        for _ in range(12):
            if run.process.poll() is None:
                run.kill(signal.SIGINT, group=True)
            time.sleep(0.03)
        ended = run.ended(3 * slowness())
    assert ended.code in (130, -signal.SIGINT)  # the same to a shell
    assert_clean(tmp_path / "run", "interrupted")


@pytest.mark.faults("F14")
@pytest.mark.parametrize(("kind", "group"), [slow("cpu", False), ("gpu", True)])
def test_preempted_and_resumed(kind, group, tmp_path, whole_run, assert_clean: AssertClean):
    """SIGTERM to the command alone, and to all that the scheduler has started."""
    run_dir = tmp_path / "run"
    with started(tmp_path, kind) as run:
        run.wait_for(lambda: saved_itr(run_dir) >= 4, "it trains")
        run.kill(signal.SIGTERM, group=group)
        ended = run.ended(30 * slowness())
    assert ended.code == 143
    assert ended.seconds < 10 * slowness()
    assert ended.err.strip() == NOTE.format("SIGTERM")
    assert_clean(run_dir, "preempted")
    assert saved_itr(run_dir) < N_ITR
    resumed(run_dir)
    assert_same_run(whole_run, run_dir)
    assert_clean(run_dir, "done")


def killed(folder: Path, kind: str, rng: random.Random, **settings: Any) -> Path:
    """A run whose master is killed at a random moment."""
    run_dir = folder / "run"
    with started(folder, kind, starts="child", workers="true", **settings) as run:
        itr = rng.randrange(8)
        if once := settings.get("once"):
            run.wait_for(once.exists, "it hangs")
        else:
            run.wait_for(lambda: saved_itr(run_dir) >= itr, "it trains")
        time.sleep(rng.uniform(0, 0.1))
        run.kill(signal.SIGKILL)
        ended = run.ended(5 * slowness())
    assert ended.code == -signal.SIGKILL
    assert ended.err == ""
    return run_dir


@pytest.mark.faults("F15")
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("cpu", {}),
        slow("alternating", {}),
        ("gpu", {"fault": "lock in step", "victim": 2, "episode": 9, "once": Path("once")}),
    ],
    ids=["cpu", "alternating", "gpu, and a worker that hangs in C"],
)
def test_a_killed_master_leaves_nothing(
    kind, settings, tmp_path, whole_run, assert_clean: AssertClean
):
    if "once" in settings:
        settings = {**settings, "once": tmp_path / "once"}
    run_dir = killed(tmp_path, kind, random.Random(kind), **settings)
    assert_clean(run_dir, "running")  # nobody was left to say otherwise
    assert saved_itr(run_dir) < N_ITR
    resumed(run_dir)
    assert_same_run(whole_run, run_dir)
    assert_clean(run_dir, "done")


@pytest.mark.faults("F15")
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["one", "cpu", "gpu", "alternating"])
def test_killed_at_twenty_random_moments(kind, tmp_path, whole_run, assert_clean: AssertClean):
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run_dir = killed(folder, kind, random.Random(seed))
        assert_clean(run_dir, "running")
        resumed(run_dir)
        assert_same_run(whole_run, run_dir)
        assert_clean(run_dir, "done")


SCRIPT = """
import sys
import torch
from rlpyt.agents.pg import PgAgent
from rlpyt.envs.build import EnvConfig
from rlpyt.samplers.cpu import CpuSampler

if __name__ == "__main__":
    env = EnvConfig(id="fault_envs:Faulty", kwargs={"starts": "child", "workers": True})
    sampler = CpuSampler(env=env, batch_T=8, batch_B=4, n_workers=2)
    agent = PgAgent()
    agent.initialize(sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    sampler.initialize(agent, seed=0)
    sampler.obtain_samples(0)
    print("sampled", flush=True)
    if "raise" in sys.argv:
        raise RuntimeError("nobody catches this")
"""


@pytest.mark.faults("F15")
@pytest.mark.parametrize("how", ["ends", slow("raise")])
def test_a_script_that_does_not_shut_down(how, tmp_path, assert_clean: AssertClean):
    (tmp_path / "script.py").write_text(SCRIPT)
    with program(["script.py", how], tmp_path) as script:
        script.wait_for(lambda: "sampled" in script.out() or script.process.poll(), "it samples")
        sampled = time.monotonic()
        code = script.process.wait(10 * slowness())
    assert time.monotonic() - sampled < 5 * slowness()
    assert code == (how == "raise")
    error = script.err().strip().splitlines()
    assert error[-1:] == (["RuntimeError: nobody catches this"] if how == "raise" else [])
    assert sum("Traceback" in line for line in error) == (how == "raise")
    assert_clean()
