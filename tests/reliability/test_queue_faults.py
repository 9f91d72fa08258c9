"""F18, F24, F25: a launcher that is killed, a full disk, and two runs in one directory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from post_conditions import AssertClean, slowness
from runner_fakes import assert_same_run
from small_runs import QUIET, program, saved_itr

from rlpyt.checkpoint.lock import RunLock
from rlpyt.cli.main import main
from rlpyt.launch import Queue, RunSpec
from rlpyt.logging.run_state import read_run_state

TWO_SLOTS = "2cpu_0gpu_1cpr_0hto_0saf"

# Counts its starts; saves and ends at SIGTERM; goes on from there.
WAITS = """
echo x >> "$1/starts_$2"
trap 'touch "$1/saved_$2"; exit 143' TERM
[ -e "$1/saved_$2" ] || while true; do sleep 0.05; done
"""
ENDS = 'echo x >> "$1/starts_$2"'
FAILS = ENDS + '; echo "ERROR env: broken - mend it"; exit 1'


def shell(text: str, run_ID: int) -> RunSpec:
    return RunSpec(
        command=("sh", "-c", text), cwd="/", log_dir="v", run_ID=run_ID, variant={}, retries=0
    )


@pytest.mark.faults("F25")
def test_launcher_killed_with_6_of_10_queued(tmp_path: Path, assert_clean: AssertClean):
    out = tmp_path / "grid"
    texts = [ENDS, FAILS, WAITS, WAITS, *[ENDS] * 6]
    with Queue(out, create=True) as queue:
        queue.add(shell(text, n) for n, text in enumerate(texts))

        def running() -> list[int]:
            return [
                run.spec.run_ID
                for run in queue.runs()
                if run.state == "running" and run.process is not None
            ]

        words = ["-m", "rlpyt", "launch", str(out), "--affinity", TWO_SLOTS]
        with program(words, tmp_path) as launcher:
            begun = [out / "v" / f"starts_{n}" for n in (2, 3)]
            launcher.wait_for(
                lambda: running() == [2, 3] and all(path.exists() for path in begun), "they run"
            )
            assert queue.counts() == {"done": 1, "failed": 1, "running": 2, "queued": 6}
            launcher.kill(signal.SIGKILL)
            launcher.ended(10 * slowness())
        assert_clean()  # its runs have ended by themselves
        with program(words, tmp_path) as launcher:
            ended = launcher.ended(60 * slowness())
        assert ended.code == 1
        assert "v/run_1" in ended.out  # failed ones are listed
        assert "ERROR env: broken - mend it" in ended.out
        assert [run.state for run in queue.runs()] == ["done", "failed", *["done"] * 8]
        starts = [(out / "v" / f"starts_{n}").read_text().count("x") for n in range(10)]
        assert starts == [1, 1, 2, 2, *[1] * 6]
        assert [run.failures for run in queue.runs()] == [0, 1, *[0] * 8]
    assert_clean()


@pytest.mark.faults("F24")
def test_a_run_in_a_directory_that_is_in_use_names_its_holder(
    tmp_path: Path, assert_clean: AssertClean
):
    out = tmp_path / "grid"
    words = ["a2c", "env=CartPole-v1", "--steps", "200", *QUIET, "--out", str(out)]
    assert main(["launch", *words, "--no-start", "--retries", "0"]) == 0
    with RunLock(out / "run_0"):
        assert main(["launch", str(out), "--affinity", TWO_SLOTS]) == 1
    with Queue(out) as queue:
        [run] = queue.runs()
        assert f"is in use by process {os.getpid()} on host" in run.reason
        assert main(["retry", str(out), "--all"]) == 0
        assert main(["launch", str(out), "--affinity", TWO_SLOTS]) == 0  # the holder has gone
        assert queue.counts() == {"done": 1}
    assert read_run_state(out / "run_0") == "done"
    assert_clean()


# Two runs at a time. The first fills the disk, the second ends meanwhile, and the launcher has a
# third one to start.
FULL = """
import subprocess, sys
from rlpyt.launch import Launcher, Queue, RunSpec

disk = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
texts = [
    f"cat /dev/zero > {disk}/filler 2> /dev/null; sleep 3; rm {disk}/filler",
    f"until [ -e {disk}/filler ]; do sleep 0.05; done; sleep 1",
    "true",
]
with Queue(f"{disk}/grid", create=True) as queue:
    queue.add(
        RunSpec(
            command=("sh", "-c", text), cwd="/", log_dir="v", run_ID=n, variant={}, retries=0
        )
        for n, text in enumerate(texts)
    )
    Launcher(queue, "%s").drain()
    print(queue.counts(), [run.attempts for run in queue.runs()])
"""


@pytest.mark.faults("F18", "F25")
def test_a_launcher_goes_on_where_the_disk_was_full(tmp_path: Path, assert_clean: AssertClean):
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces with mounts are not granted here")
    words = [*namespace, sys.executable, "-c", FULL % TWO_SLOTS, str(tmp_path)]
    limit = 40 * slowness()
    done = subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "{'done': 3} [1, 1, 1]"
    assert sum("disk is full" in line for line in lines) == 1  # told once
    assert_clean()


@pytest.mark.faults("F25")
@pytest.mark.slow
def test_runs_of_a_killed_launcher_end_as_if_it_had_not_been(
    tmp_path: Path, assert_clean: AssertClean
):
    settings = "ppo CartPole-v1 --steps 20000 checkpoint_interval_steps=2048 --seeds 3"
    words = [*settings.split(), *QUIET, "--no-report", "--affinity", TWO_SLOTS]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main(["launch", *words, "--out", str(whole)]) == 0
    with program(["-m", "rlpyt", "launch", *words, "--out", str(broken)], tmp_path) as launcher:
        launcher.wait_for(lambda: saved_itr(broken / "run_1") >= 3, "they learn")
        launcher.kill(signal.SIGKILL)
        launcher.ended(10 * slowness())
    assert_clean()
    assert main(["launch", *words, "--out", str(broken)]) == 0
    for seed in range(3):
        assert_same_run(whole / f"run_{seed}", broken / f"run_{seed}")
    with Queue(broken) as queue:
        assert sum(run.attempts for run in queue.runs()) == 5
    assert_clean()
