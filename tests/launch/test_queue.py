"""The queue: what it keeps, in which order it gives, and who may say what of a run."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import RunSpec
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ProcessIdentity

NOBODY = ProcessIdentity("another-host/12345678/1", 1, "1")


def spec(run_ID: int = 0, log_dir: str = "lr=1", **more) -> RunSpec:
    return RunSpec(
        command=("true",), cwd="/", log_dir=log_dir, run_ID=run_ID, variant={"lr": 1}, **more
    )


@pytest.fixture
def queue(tmp_path):
    with Queue(tmp_path / "grid", create=True) as made:
        yield made


def forget_launcher(queue: Queue, *, host: str) -> None:
    """As if the launchers that have come were of a process that is no more, on ``host``."""
    with sqlite3.connect(queue.directory / "queue.sqlite") as database:
        database.execute("UPDATE launchers SET host = ?, pid = 4194303, start = '1'", (host,))
    database.close()


def test_runs_come_back_as_they_were_put_in(queue):
    run = RunSpec(
        command=("python", "script.py"),
        cwd="/somewhere",
        log_dir="lr=0.1/env=Pong",
        run_ID=7,
        variant={"algo": {"lr": 0.1}, "layers": [64, None, True]},
        args=("--steps", "5"),
        priority=3,
        retries=2,
    )
    assert queue.add([run]) == 1
    [found] = queue.runs()
    assert found.spec == replace(run, command=list(run.command), args=list(run.args))
    assert (found.name, found.state, found.attempts) == ("lr=0.1/env=Pong/run_7", "queued", 0)
    with Queue(queue.directory) as again:
        assert again.runs() == queue.runs()


def test_order_is_by_priority_and_then_by_coming(queue):
    queue.add([spec(0), spec(1, priority=-1), spec(2, priority=5), spec(3)])
    with queue.attend("auto") as launcher:
        taken = [launcher.take(0) for _ in range(5)]
    assert [run and run.spec.run_ID for run in taken] == [2, 0, 3, 1, None]


def test_the_same_run_is_queued_once_and_another_of_its_name_refused(queue):
    assert queue.add([spec(0), spec(1)]) == 2
    assert queue.add([spec(1), spec(2)]) == 1
    with pytest.raises(RlpytError, match=r"lr=1/run_0 is queued with another args: \[\], now"):
        queue.add([spec(3), spec(0, args=("--steps", "1"))])
    assert [run.spec.run_ID for run in queue.runs()] == [0, 1, 2]  # none of the refused ones


@pytest.mark.parametrize("log_dir", ["/etc", "../elsewhere", "a/../../b"])
def test_a_run_stays_inside_the_experiment(log_dir):
    with pytest.raises(RlpytError, match="leads out of the experiment's directory"):
        spec(log_dir=log_dir)


def test_files_of_rlpyt_0_1_say_what_was_queued_and_launched(queue):
    queue.add([spec(0, "lr=1"), spec(1, "lr=1"), spec(0, "lr=2")])
    tree = (queue.directory / "experiments_tree.txt").read_text().splitlines()
    assert tree == [
        f"Experiment manager process ID: {os.getpid()}.",
        "Number of settings (experiments) to run: 2  (3).",
        "",
        str(queue.directory / "lr=1"),
        str(queue.directory / "lr=2"),
    ]
    with queue.attend("auto") as launcher:
        launcher.take(0)
        queue.write_launched()
    text = (queue.directory / "num_launched.txt").read_text()
    assert text == "Experiments launched so far: 1 out of 3.\n"


def test_ended_runs_keep_why_and_their_time(queue):
    queue.add([spec(0), spec(1)])
    with queue.attend("auto") as launcher:
        first, second = launcher.take(0), launcher.take(1)
        launcher.ended(first, "done", exit_code=0)
        launcher.ended(second, "failed", exit_code=3, reason="exit code 3", is_failure=True)
    done, failed = queue.runs()
    assert (done.state, done.exit_code, done.failures) == ("done", 0, 0)
    assert (failed.state, failed.reason, failed.failures) == ("failed", "exit code 3", 1)
    assert done.ended_at >= done.started_at >= done.queued_at
    assert queue.counts() == {"done": 1, "failed": 1}


def test_stop_retry_and_requeue(queue):
    queue.add([spec(n) for n in range(4)])
    with queue.attend("auto") as launcher:
        running = launcher.take(0)
        queue.stop([1, 2])
        assert launcher.wanted() == {running.id: "stopped"}
        states = [run.state for run in queue.runs()]
        assert states == ["running", "stopped", "queued", "queued"]
        launcher.ended(running, "stopped", reason="asked for")
        queue.retry([2])
        assert launcher.take(0).id == 2  # where it stood before
        queue.requeue([3])
        assert [launcher.take(0).id, launcher.take(0).id] == [4, 3]  # at the end
        queue.requeue([4])
        assert launcher.wanted() == {4: "queued"}
        launcher.ended(running, "done")  # too late: it is stopped, and stays so
    assert queue.runs()[0].state == "stopped"


def test_retried_runs_have_all_their_attempts_again(queue):
    queue.add([spec(0)])
    with queue.attend("auto") as launcher:
        launcher.ended(launcher.take(0), "failed", is_failure=True)
    queue.retry([1])
    [run] = queue.runs()
    assert (run.state, run.failures, run.attempts) == ("queued", 0, 1)


def test_runs_of_a_launcher_that_was_ended_go_back_at_once(queue):
    queue.add([spec(0), spec(1)])
    gone = queue.attend("auto").__enter__()
    gone.take(0)
    with sqlite3.connect(queue.directory / "queue.sqlite") as database:
        database.execute("UPDATE runs SET started_at = started_at - 5 WHERE id = 1")
    database.close()
    assert gone.beat()
    forget_launcher(queue, host=ProcessIdentity.of(os.getpid()).host)
    with queue.attend("auto") as launcher:
        found = launcher.recover()
        assert ([run.id for run in found.back], found.n_left) == ([1], 0)
        assert launcher.recover().back == []
        assert launcher.take(0).id == 1
        assert not gone.beat()  # and is told so, if it should wake up
    assert queue.runs()[0].seconds == pytest.approx(5.0, abs=0.1)  # until it was last seen
    assert queue.runs()[0].failures == 0  # not the run's fault


def test_a_run_that_saves_after_its_launcher_was_ended_is_waited_for(queue):
    queue.add([spec(0)])
    gone = queue.attend("auto").__enter__()
    gone.started(gone.take(0), ProcessIdentity.of(os.getpid()))  # which goes on
    forget_launcher(queue, host=ProcessIdentity.of(os.getpid()).host)
    with queue.attend("auto") as launcher:
        assert launcher.recover() == ([], 1)
        assert launcher.take(0) is None


def test_a_run_that_a_launcher_took_after_it_was_given_up_is_not_lost(queue):
    queue.add([spec(0)])
    gone = queue.attend("auto").__enter__()
    with queue.attend("auto") as launcher:
        forget_launcher(queue, host=ProcessIdentity.of(os.getpid()).host)
        launcher.recover()
        gone.take(0)  # it slept, and does not know yet
        assert [run.id for run in launcher.recover().back] == [1]


def test_a_launcher_elsewhere_is_given_up_when_it_is_silent_for_long(queue, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("rlpyt.launch.attendance.time.monotonic", lambda: clock[0])
    queue.add([spec(0)])
    other = queue.attend("auto").__enter__()
    other.take(0)
    forget_launcher(queue, host="another-host/12345678/1")
    with queue.attend("auto") as launcher:
        for clock[0] in (0.0, 60.0):
            assert launcher.recover().back == []
        assert other.beat()  # clocks of machines differ: what counts is that this number changes
        for clock[0] in (80.0, 160.0):
            assert launcher.recover().back == []
        clock[0] = 171.0
        assert [run.id for run in launcher.recover().back] == [1]


def test_no_queue_damaged_queue_and_another_format(tmp_path):
    with pytest.raises(RlpytError, match=r"has no queue.sqlite .*- give the directory"):
        Queue(tmp_path)
    assert not Queue.is_in(tmp_path)
    (tmp_path / "queue.sqlite").write_bytes(b"this is text, and no database" * 100)
    with pytest.raises(RlpytError, match="file is not a database"):
        Queue(tmp_path)
    (tmp_path / "queue.sqlite").unlink()
    Queue(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / "queue.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(RlpytError, match="has format 99, this rlpyt reads 1"):
        Queue(tmp_path)


def test_a_transaction_that_fails_leaves_nothing(queue):
    def specs():
        yield spec(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.add(specs())
    assert queue.runs() == []
    assert queue.add([spec(0)]) == 1


def test_a_launcher_notes_what_became_of_a_run_when_the_disk_has_room_again(queue):
    queue.add([spec(0)])
    database = queue._file._database
    [pages] = database.execute("PRAGMA page_count").fetchone()
    waited = []

    def free(error: RlpytError) -> None:
        waited.append(error)
        database.execute("PRAGMA max_page_count = 100000")

    with queue.attend("auto", free) as launcher:
        run = launcher.take(0)
        database.execute(f"PRAGMA max_page_count = {pages}")  # to SQLite the disk is full
        launcher.ended(run, "failed", reason="x" * 100_000, is_failure=True)
        assert [queue.counts(), len(queue.runs()[0].reason)] == [{"failed": 1}, 100_000]
    [error] = waited
    assert "disk is full" in error.what


def test_who_does_not_wait_is_told_that_the_disk_is_full(queue):
    database = queue._file._database
    [pages] = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RlpytError, match="disk is full"):
        queue.add([spec(0, args=("x" * 100_000,))])
    database.execute("PRAGMA max_page_count = 100000")
    assert queue.counts() == {}


def test_settings_that_json_has_not_are_refused(queue):
    with pytest.raises(RlpytError, match="lr"):
        queue.add([replace(spec(0), variant={"lr": float("nan")})])
    assert queue.runs() == []


def test_identity_of_a_process_is_no_later_one_of_its_number():
    own = ProcessIdentity.of(os.getpid())
    assert own.is_running
    assert not replace(own, start="1").is_running
    assert not NOBODY.is_running
    assert not ProcessIdentity.of(4194303).is_running
    assert json.dumps([own.host, own.pid, own.start])
    assert Path(f"/proc/{own.pid}").exists()


def test_what_is_done_can_be_extended_once(queue):
    queue.add([spec(n) for n in range(4)])
    with queue.attend("auto") as launcher:
        taken = [launcher.take(slot) for slot in range(3)]
        launcher.ended(taken[0], "done")
        launcher.ended(taken[1], "failed", is_failure=True)
        more = [replace(spec(n, priority=2), variant={"lr": 1, "more": True}) for n in range(4)]
        queue.extend(more)
        assert [run.state for run in queue.runs()] == ["queued", "failed", "running", "queued"]
        assert [run.spec.variant for run in queue.runs()] == [more[0].variant, *[{"lr": 1}] * 3]
        again = launcher.take(0)  # before run_3, which has a lower priority
        assert again is not None
        assert (again.name, again.attempts, again.spec.priority) == ("lr=1/run_0", 2, 2)
        launcher.ended(again, "done")
        queue.extend(more[:1])  # it has done that
        assert queue.runs()[0].state == "done"
