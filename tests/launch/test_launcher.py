"""The launcher: what it starts where, and what it makes of how runs end. Runs are shell commands:
``$0`` is the slot, ``$1`` the variant's directory, ``$2`` the run_ID.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from warm_python import start

from rlpyt.launch import Queue, RunSpec, make_variants, run_experiments
from rlpyt.launch.experiments import launch_experiment
from rlpyt.launch.launcher import Launcher
from rlpyt.launch.machine import this_machine
from rlpyt.launch.run_slot import run_slots
from rlpyt.launch.variant import VariantLevel
from rlpyt.utils.device_slots import VisibleDevices
from rlpyt.utils.errors import RlpytError

ONE, TWO = "1cpu_0gpu_1cpr_0hto_0saf", "2cpu_0gpu_1cpr_0hto_0saf"

LAUNCH = """
import sys
import rlpyt.launch.launcher
from rlpyt.launch import Launcher, Queue
rlpyt.launch.launcher._BEAT = 0.5  # seconds
with Queue(sys.argv[1]) as queue:
    Launcher(queue, sys.argv[2], grace=float(sys.argv[3])).drain()
"""


def shell(text: str, run_ID: int = 0, **more) -> RunSpec:
    settings = {"log_dir": "v", "variant": {"x": 1}, **more}
    return RunSpec(command=("sh", "-c", text), cwd="/tmp", run_ID=run_ID, **settings)


@pytest.fixture
def queue(tmp_path):
    with Queue(tmp_path / "grid", create=True) as made:
        yield made


def drained(queue: Queue, code: str = ONE, **more) -> list[str]:
    lines: list[str] = []
    Launcher(queue, code, tell=lines.append, **more).drain()
    return lines


def output(queue: Queue, name: str) -> str:
    return (queue.directory / name / "output.log").read_text()


def in_background(queue: Queue, code: str = ONE, grace: float = 60.0) -> Any:
    words = ["-c", LAUNCH, queue.directory, code, str(grace)]
    return start(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def test_a_run_is_called_as_scripts_of_rlpyt_0_1_expect(queue):
    queue.add([shell('echo "$0|$1|$2|$3"; pwd', run_ID=4, args=("--flag",))])
    lines = drained(queue)
    heading, called, folder = output(queue, "v/run_4").splitlines()
    assert called == f"0slt_{ONE}|{queue.directory / 'v'}|4|--flag"
    assert folder == "/tmp"
    assert "attempt 1: sh -c" in heading
    assert json.loads((queue.directory / "v" / "variant_config.json").read_text()) == {"x": 1}
    assert lines[-1] == "v/run_4: done"
    assert (queue.directory / "num_launched.txt").read_text().endswith("1 out of 1.\n")


@pytest.mark.skipif(sys.platform != "linux", reason="taskset is of Linux")
def test_a_run_is_pinned_to_the_cpus_of_its_slot(queue):
    cpu = min(os.sched_getaffinity(0))
    queue.add([shell("taskset -pc $$")])
    drained(queue, f"1cpu_0gpu_1cpr_0hto_{cpu}off" if cpu else "1cpu_0gpu_1cpr_0hto")
    assert output(queue, "v/run_0").rstrip().endswith(f": {cpu}")


def test_slots_run_side_by_side_each_under_its_own_number(queue, tmp_path):
    meet = f"touch {tmp_path}/$2; while [ ! -e {tmp_path}/$((1-$2)) ]; do sleep .01; done; echo $0"
    queue.add([shell(meet, 0), shell(meet, 1)])
    drained(queue, TWO)
    assert [output(queue, f"v/run_{n}").split()[-1] for n in (0, 1)] == [
        f"0slt_{TWO}",
        f"1slt_{TWO}",
    ]


def test_a_failure_is_tried_again_within_its_budget_and_says_why(queue):
    text = 'echo "ERROR env: broken (env 3) - mend it"; exit 1'
    queue.add([shell(text, retries=2), shell("true", 1)])
    lines = drained(queue)
    failed, done = queue.runs()
    assert (failed.state, failed.attempts, failed.exit_code) == ("failed", 3, 1)
    assert failed.reason == "exit code 1: ERROR env: broken (env 3) - mend it"
    assert done.state == "done"
    assert output(queue, "v/run_0").count("attempt ") == 3
    assert any("FAILED" in line and "2 more attempts" in line for line in lines)


def test_a_failure_may_be_over_at_the_next_attempt(queue, tmp_path):
    queue.add([shell(f"[ -e {tmp_path}/x ] || {{ touch {tmp_path}/x; exit 1; }}")])
    drained(queue)
    [run] = queue.runs()
    assert (run.state, run.attempts, run.failures) == ("done", 2, 1)


def test_a_mistake_in_the_settings_is_not_tried_again(queue):
    queue.add([shell("exit 2", retries=5)])
    drained(queue)
    assert queue.runs()[0].attempts == 1


def test_a_signal_and_a_missing_program_are_told_by_name(queue):
    missing = RunSpec(command=("/no/such/program",), cwd="/", run_ID=1, variant={}, retries=0)
    queue.add([shell("kill -SEGV $$", retries=0), missing])
    slots = "1cpu_0gpu_1cpr_0hto_0saf"
    drained(queue, slots)
    crashed, unknown = queue.runs()
    assert crashed.reason.startswith("ended by SIGSEGV")
    assert (unknown.state, unknown.attempts) == ("failed", 1)
    assert "cannot start /no/such/program" in unknown.reason


def test_what_a_run_leaves_behind_ends_with_it(queue):
    queue.add([shell("sleep 600 & echo child $!; sleep 600 >/dev/null & exit 0")])
    drained(queue)
    pid = int(output(queue, "v/run_0").split()[-1])
    wait_for(lambda: not Path(f"/proc/{pid}").exists())


def test_work_may_come_while_the_queue_is_drained(queue):
    queue.add([shell("sleep 1")])

    def more() -> None:
        with Queue(queue.directory) as other:
            other.add([shell("true", 1)])

    thread = threading.Timer(0.3, more)
    thread.start()
    drained(queue)
    thread.join()
    assert queue.counts() == {"done": 2}


def test_a_running_run_is_stopped_and_goes_on_after_retry(queue, tmp_path):
    saves = f"trap 'touch {tmp_path}/saved; exit 143' TERM; [ -e {tmp_path}/saved ] && exit 0; "
    queue.add([shell(saves + "sleep 600 & wait"), shell("true", 1)])
    launcher = in_background(queue)
    wait_for(lambda: queue.runs()[0].process is not None)
    queue.stop([1])
    assert launcher.wait(60) == 0
    launcher.stdout.close()
    stopped, other = queue.runs()
    assert (stopped.state, stopped.failures, other.state) == ("stopped", 0, "done")
    assert (tmp_path / "saved").exists()
    queue.retry([1])
    drained(queue)
    assert queue.counts() == {"done": 2}


def test_a_run_that_does_not_end_when_asked_is_ended(queue):
    queue.add([shell("trap '' TERM; while true; do sleep 1; done")])
    launcher = in_background(queue, grace=0.2)
    wait_for(lambda: "attempt" in output(queue, "v/run_0") if queue.runs()[0].process else False)
    time.sleep(0.3)
    queue.stop([1])
    assert launcher.wait(60) == 0
    launcher.stdout.close()
    assert queue.runs()[0].state == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher_puts_its_runs_back(queue, number):
    queue.add([shell("trap 'exit 143' TERM; sleep 600 & wait"), shell("true", 1)])
    launcher = in_background(queue)
    wait_for(lambda: queue.runs()[0].process is not None)
    launcher.send_signal(number)
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + number, said
    first, second = queue.runs()
    assert (first.state, first.failures, second.attempts) == ("queued", 0, 0)
    assert queue.launchers() == []


def test_a_queue_that_is_removed_ends_its_launcher_and_all_runs(queue):
    queue.add([shell("echo $$; exec sleep 600", n) for n in range(2)])
    launcher = in_background(queue, TWO)
    wait_for(lambda: all(run.process is not None for run in queue.runs()))
    pids = [run.process.pid for run in queue.runs()]
    (queue.directory / "queue.sqlite").unlink()
    said, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    assert "it was removed" in said
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_two_launchers_share_a_queue_and_no_run_is_run_twice(queue, tmp_path):
    queue.add([shell(f"echo $2 >> {tmp_path}/ran; sleep .01", n) for n in range(40)])
    launchers = [in_background(queue, TWO) for _ in range(2)]
    said = [launcher.communicate(timeout=120)[0] for launcher in launchers]
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    ran = sorted(map(int, (tmp_path / "ran").read_text().split()))
    assert ran == list(range(40))
    assert queue.counts() == {"done": 40}
    assert all("started" in text for text in said)  # both had a share


def test_a_code_that_does_not_fit_is_refused_before_anything(queue):
    queue.add([shell("true")])
    with pytest.raises(RlpytError, match="affinity"):
        Launcher(queue, "4096cpu_0gpu_1cpr_0hto")
    assert queue.runs()[0].attempts == 0


def test_slots_are_those_of_the_code():
    assert [slot.name for slot in run_slots(TWO)] == [f"0slt_{TWO}", f"1slt_{TWO}"]
    assert all(slot.pinned == () for slot in run_slots(TWO))


def test_a_slot_of_an_accelerator_names_it_to_those_who_draw(monkeypatch):
    here = replace(this_machine(with_devices=False), devices=VisibleDevices(letters="gpu", count=2))
    monkeypatch.setattr("rlpyt.launch.run_slot.this_machine", lambda **_: here)
    slots = run_slots("2cpu_2gpu_0hto_0saf", set_egl_device=True)
    drawn = [{"EGL_DEVICE_ID": n, "MUJOCO_EGL_DEVICE_ID": n} for n in "01"]
    assert [slot.environment for slot in slots] == drawn
    assert [slot.environment for slot in run_slots("2cpu_2gpu_0hto_0saf")] == [{}, {}]
    assert run_slots(ONE, set_egl_device=True)[0].environment == {}


SCRIPT = """
import json, sys
from pathlib import Path
slot, log_dir, run_ID, *args = sys.argv[1:]
variant = json.loads((Path(log_dir) / "variant_config.json").read_text())
print(slot, run_ID, variant["algo"]["lr"], args)
"""


def test_run_experiments_takes_what_scripts_of_rlpyt_0_1_give(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    level = VariantLevel([("algo", "lr")], [(1,), (2,)], ["lr_1", "lr_2"])
    variants, log_dirs = make_variants(level)
    out = run_experiments(
        script, ONE, "title", 2, variants, log_dirs, ["common"], [["a"], ["b"]], out=tmp_path / "x"
    )
    said = {
        str(path.parent.relative_to(out)): path.read_text().splitlines()[-1]
        for path in out.rglob("output.log")
    }
    assert said == {
        "lr_1/run_0": f"0slt_{ONE} 0 1 ['common', 'a']",
        "lr_1/run_1": f"0slt_{ONE} 1 1 ['common', 'a']",
        "lr_2/run_0": f"0slt_{ONE} 0 2 ['common', 'b']",
        "lr_2/run_1": f"0slt_{ONE} 1 2 ['common', 'b']",
    }
    assert (out / "experiments_tree.txt").exists()
    again = run_experiments(
        script, ONE, "title", 2, variants, log_dirs, ["common"], [["a"], ["b"]], out=out
    )
    assert again == out
    with Queue(out) as queue:
        assert [run.attempts for run in queue.runs()] == [1, 1, 1, 1]


def test_run_experiments_refuses_what_does_not_go_together(tmp_path):
    script = tmp_path / "train.py"
    with pytest.raises(RlpytError, match="there is no script"):
        run_experiments(script, ONE, "title", 1, [{}], ["a"], out=tmp_path / "x")
    script.write_text("")
    with pytest.raises(RlpytError, match="1 variants, 2 log_dirs"):
        run_experiments(script, ONE, "title", 1, [{}], ["a", "b"], out=tmp_path / "x")
    with pytest.raises(RlpytError, match="runs_per_setting=0"):
        run_experiments(script, ONE, "title", 0, [{}], ["a"], out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_launch_experiment_starts_one_run_without_a_queue(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import sys; open(sys.argv[2] + '/said', 'w').write(' '.join(sys.argv[1:]))")
    process = launch_experiment(script, 1, TWO, tmp_path / "v", {"x": 2}, 5, ["more"])
    assert process.wait(60) == 0
    said = (tmp_path / "v" / "said").read_text()
    assert said == f"1slt_{TWO} {tmp_path / 'v'} 5 more"
    with pytest.raises(RlpytError, match="no run slot 2"):
        launch_experiment(script, 2, TWO, tmp_path / "v", {}, 0)
