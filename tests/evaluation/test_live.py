"""Runs as they are now: by a queue, by their own files, and by what goes wrong."""

import json
import math
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live_runs import HEADER, make_queue, rows, spec, write_run

from rlpyt.evaluation.live import LiveView, Snapshot
from rlpyt.evaluation.live_thread import LiveThread
from rlpyt.evaluation.output_tail import output_tail
from rlpyt.evaluation.progress_tail import ProgressTail
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ProcessIdentity


def names(snapshot: Snapshot) -> list[tuple[str, str]]:
    return [(run.found.state, run.found.name) for run in snapshot.runs]


def ended_process() -> ProcessIdentity:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessIdentity.of(child.pid)
        child.communicate(b"\n")
    return identity


@pytest.fixture
def view(tmp_path: Path):
    view = LiveView(tmp_path)
    yield view
    view.close()


# --- a queue -----------------------------------------------------------------------------------


@pytest.fixture
def queue(tmp_path: Path):
    """Runs 1 to 6: running here, its process ended, failed, done, queued, queued."""
    specs = [
        spec("lr=1", 0, lr=1, env="A-v1"),
        spec("lr=2", 0, lr=2, env="A-v1"),
        spec("lr=1", 1, lr=1, env="A-v1"),
        spec("lr=2", 1, lr=2, env="A-v1"),
        spec("lr=1/b", 0, lr=1, env="B-v1"),
        spec("lr=2/b", 0, lr=2, env="B-v1"),
    ]
    queue = make_queue(tmp_path, specs)
    with queue.attend("auto") as attendance:
        for number in range(4):
            run = attendance.take(number)
            assert run is not None
            write_run(tmp_path / run.name, 4, state=None)
            here = ProcessIdentity.of(os.getpid())
            attendance.started(run, ended_process() if number == 1 else here)
            if number == 2:
                attendance.ended(run, "failed", reason="exit code 1: ERROR x", is_failure=True)
            if number == 3:
                attendance.ended(run, "done", exit_code=0)
        with sqlite3.connect(tmp_path / "queue.sqlite") as other:
            other.execute("UPDATE runs SET launcher = 99 WHERE id = 2")  # one that is gone
            other.execute("UPDATE runs SET seconds = 10 WHERE id = 4")
        other.close()
        yield queue
    queue.close()


def test_a_queue(view, queue):
    view.look()
    snapshot = view.look()
    assert names(snapshot) == [
        ("running", "lr=1/run_0"),
        ("lost", "lr=2/run_0"),
        ("failed", "lr=1/run_1"),
        ("queued", "lr=1/b/run_0"),
        ("queued", "lr=2/b/run_0"),
        ("done", "lr=2/run_1"),
    ]
    assert snapshot.counts == {"running": 1, "lost": 1, "failed": 1, "queued": 2, "done": 1}
    assert snapshot.n_launchers == 1
    running, lost, failed, waiting, _, done = snapshot.runs
    found = running.found
    assert (found.group, found.env, found.seed, found.slot) == ("lr=1", "A-v1", 0, 0)
    assert (found.pid, found.host) == (os.getpid(), socket.gethostname())
    assert (running.steps, running.fraction, running.last_return) == (400, 0.4, 3)
    assert running.steps_per_second == pytest.approx(50)
    assert running.eta == pytest.approx(600 / 50, abs=2)
    assert list(running.history) == [0, 1, 2, 3]
    assert running.memory > 1e7
    assert running.cpu >= 0
    assert "its launcher was ended" in lost.found.reason
    assert lost.found.slot is None
    assert failed.found.reason == "exit code 1: ERROR x"
    assert math.isnan(waiting.steps)
    assert waiting.found.env == "B-v1"
    assert (done.fraction, done.seconds) == (1.0, 10.0)
    assert math.isnan(done.eta)
    assert snapshot.steps_per_second == pytest.approx(50)


def test_time_left_of_all(view, queue):
    """One runs at a time: its own 12 s, and the two that wait take as long as others do: 20 s for
    the one that will have run 20 s, 10 s for the one that is done, its start included.
    """
    snapshot = view.look()
    waiting = (20 + 10) / 2  # nothing is known of B-v1: the mean over all
    assert snapshot.eta == pytest.approx(12 + 2 * waiting, abs=2)


def test_a_run_is_not_lost_before_its_launcher_had_time_to_say_how_it_ended(view, queue):
    with sqlite3.connect(view.directory / "queue.sqlite") as other:
        other.execute("UPDATE runs SET launcher = 1 WHERE id = 2")
    other.close()
    assert view.look().counts["running"] == 2


def test_asked_to_end(view, queue):
    queue.stop([1])
    assert view.look().runs[0].found.ending


def test_a_queue_that_another_process_holds_does_not_stop_the_show(tmp_path, queue):
    view = LiveView(tmp_path)
    with LiveThread(view, period=0.05) as thread:
        wait_for(lambda: thread.news.snapshot is not None)
        other = sqlite3.connect(tmp_path / "queue.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(0.3)
        before = thread.news
        time.sleep(0.3)
        assert thread.news is before  # it waits, and what was known is still there
        assert len(before.snapshot.runs) == 6
        other.execute("ROLLBACK")
        other.close()
        wait_for(lambda: thread.news.number > before.number + 1)


def test_what_is_asked_is_done(tmp_path, queue):
    view = LiveView(tmp_path)
    with LiveThread(view, period=30) as thread:
        thread.ask("stop", 5)
        wait_for(lambda: thread.news.number >= 2)
        assert ("stopped", "lr=1/b/run_0") in names(thread.news.snapshot)
        thread.ask("retry", 5)
        thread.ask("requeue", 3)
        wait_for(lambda: thread.news.number >= 4)
        assert thread.news.snapshot.counts["queued"] == 3


def test_a_queue_that_comes_and_goes(tmp_path, view):
    write_run(tmp_path / "alone")
    assert view.look().n_launchers is None
    queue = make_queue(tmp_path, [spec()])
    queue.close()
    assert names(view.look()) == [("queued", "lr=1/run_0")]
    (tmp_path / "queue.sqlite").unlink()
    assert names(view.look()) == [("done", "alone")]


def test_a_damaged_queue_is_told_and_found_again_when_whole(tmp_path, queue):
    view = LiveView(tmp_path)
    path = tmp_path / "queue.sqlite"
    sound = path.read_bytes()
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(RlpytError, match="queue"):
        view.look()
    path.write_bytes(sound)
    assert len(view.look().runs) == 6
    view.close()


def test_trials_of_a_search_are_called_by_their_values_and_measured_by_their_pause(tmp_path):
    trials = [
        spec("trial_000", algo={"rate": 1}, n_steps=1000, pause_steps=500),
        spec("trial_001", algo={"rate": 2}, n_steps=1000),
    ]
    make_queue(tmp_path, trials).close()
    for number, pause in enumerate([500, None]):
        write_run(tmp_path / f"trial_00{number}" / "run_0", pause_steps=pause)
    view = LiveView(tmp_path)
    found = {run.found.group: run.found.n_steps for run in view.look().runs}
    view.close()
    assert found == {"rate=1": 500, "rate=2": 1000}


# --- a folder ----------------------------------------------------------------------------------


def test_states_without_a_queue(tmp_path, view):
    gone = ended_process().pid
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", state="failed(config)")
    write_run(tmp_path / "c", state="preempted")
    write_run(tmp_path / "d", state="running")
    write_run(tmp_path / "e", state="running", pid=gone)
    held = write_run(tmp_path / "f", state="running", pid=gone)
    (held / ".lock").write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    elsewhere = write_run(tmp_path / "g", state="running", pid=gone)
    (elsewhere / ".lock").write_text(json.dumps({"pid": gone, "host": "another"}))
    write_run(tmp_path / "h", state=None)
    write_run(tmp_path / "i", state="paused")
    found = {run.found.name: run.found for run in view.look().runs}
    states = {name: run.state for name, run in found.items()}
    assert states == {
        "a": "done",
        "b": "failed",
        "c": "stopped",
        "d": "running",
        "e": "lost",
        "f": "running",
        "g": "running",
        "h": "lost",
        "i": "stopped",
    }
    assert found["i"].reason == "paused"
    assert found["b"].reason == "config"
    assert found["d"].pid == found["f"].pid == os.getpid()
    assert (found["g"].host, found["g"].pid) == ("another", None)


def test_settings_seeds_and_environments_without_a_queue(tmp_path, view):
    for rate in (1, 2):
        for seed in (0, 1):
            algo = {"class": "x.PPO", "learning_rate": rate}
            write_run(tmp_path / f"{rate}-{seed}", algo=algo, seed=seed)
    found = [run.found for run in view.look().runs]
    assert {(run.group, run.env, run.seed) for run in found} == {
        (f"PPO · learning_rate={rate}", "Cart-v1", seed) for rate in (1, 2) for seed in (0, 1)
    }


def test_one_run_is_a_folder_too(tmp_path):
    run_dir = write_run(tmp_path / "cart")
    view = LiveView(run_dir)
    assert names(view.look()) == [("done", "cart")]
    assert [len(xs) for xs, _ in view.curves().points.values()] == [10]


def test_no_runs_and_no_directory(tmp_path, view):
    snapshot = view.look()
    assert (list(snapshot.runs), snapshot.counts) == ([], {})
    assert math.isnan(snapshot.eta)
    with pytest.raises(RlpytError, match="no such directory"):
        LiveView(tmp_path / "nothing")


def test_nan_infinity_and_a_header_alone(tmp_path, view):
    run_dir = write_run(tmp_path / "a", 0, state="running")
    assert math.isnan(view.look().runs[0].steps)
    with (run_dir / "progress.csv").open("a") as file:
        file.write("100,2.0,nan\n200,4.0,inf\n300,6.0,5\n400,nan,nan\n")
    [run] = view.look().runs
    assert run.steps == 400
    assert math.isnan(run.last_return)
    assert list(run.history) == [5]
    assert math.isnan(run.steps_per_second)
    assert math.isnan(view.look().eta)
    assert view.curves().points == {1: ([300], [5])}


def test_a_run_that_is_removed_while_it_is_shown(tmp_path, view, monkeypatch):
    for name in "ab":
        write_run(tmp_path / name)
    view.look()
    numbers = {run.found.name: run.found.id for run in view.look().runs}
    shutil.rmtree(tmp_path / "a")
    assert len(view.look().runs) == 2  # not missed yet, and no error
    monkeypatch.setattr(view._source, "_next_search", 0.0)
    assert [(run.found.name, run.found.id) for run in view.look().runs] == [("b", numbers["b"])]
    assert view.output(numbers["a"]) is None
    assert set(view.curves().points) == {numbers["b"]}


def test_the_directory_itself_is_removed(tmp_path):
    folder = tmp_path / "runs"
    write_run(folder / "a")
    view = LiveView(folder)
    with LiveThread(view, period=0.05) as thread:
        wait_for(lambda: thread.news.snapshot is not None)
        shutil.rmtree(folder)
        view._source._next_search = 0.0
        wait_for(lambda: "no such path" in thread.news.problem)
        assert len(thread.news.snapshot.runs) == 1  # the last that was seen


@pytest.mark.parametrize("damage", ["{", "", "[1]", '{"n_steps": "x", "seed": []}'])
def test_damaged_params_hide_no_run(tmp_path, view, damage):
    write_run(tmp_path / "a")
    run_dir = write_run(tmp_path / "b", state="running")
    (run_dir / "params.json").write_text(damage)
    (run_dir / "state.json").write_text(damage)
    found = {run.found.name: run.found for run in view.look().runs}
    assert found["a"].group == "PPO"
    assert (found["b"].seed, found["b"].n_steps, found["b"].state) == (None, None, "lost")


def test_a_mistake_in_the_thread_is_not_silent(tmp_path, monkeypatch):
    view = LiveView(tmp_path)
    monkeypatch.setattr(view, "look", lambda: 1 / 0)
    with LiveThread(view, period=0.05) as thread, pytest.raises(ZeroDivisionError):
        wait_for(lambda: thread.news.number > 99)


# --- curves and output -------------------------------------------------------------------------


def test_only_curves_that_have_changed_are_told_again(tmp_path, view):
    for name in "ab":
        write_run(tmp_path / name, state="running")
    first = view.look()
    numbers = {run.found.name: run.found.id for run in first.runs}
    curves = view.curves()
    assert set(curves.points) == set(numbers.values())
    assert curves.columns == HEADER.strip().split(",")
    assert view.curves(since=curves.stamp).points == {}
    with (tmp_path / "b" / "progress.csv").open("a") as file:
        file.write(rows(1, first=10))
    view.look()
    again = view.curves(since=curves.stamp)
    assert set(again.points) == {numbers["b"]}
    assert again.points[numbers["b"]][0][-1] == 1100
    assert set(view.curves(since=10**9).points) == set(numbers.values())  # of another server


def test_a_column_that_nobody_has(tmp_path, view):
    write_run(tmp_path / "a")
    view.look()
    assert view.curves(y="nothing").points == {1: ([], [])}
    assert "nothing" not in view._tails[1]._columns  # no memory for what is asked from outside


def test_reading_goes_on_where_it_ended(tmp_path, view, monkeypatch):
    write_run(tmp_path / "a", state="running")
    view.look()

    def restart(*_: object) -> None:
        raise AssertionError("read again from the beginning")

    monkeypatch.setattr(ProgressTail, "_restart", restart)
    with (tmp_path / "a" / "progress.csv").open("a") as file:
        file.write(rows(1, first=10))
    assert view.look().runs[0].steps == 1100


def test_output_without_what_moves_a_cursor(tmp_path):
    assert output_tail(tmp_path) == ""
    (tmp_path / "debug.log").write_text("debug")
    assert output_tail(tmp_path) == "debug"
    (tmp_path / "output.log").write_bytes(
        b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07 10%\r 20%\r\x1b[2J\xff\x00\ttab\n\x9b2J\n"
    )
    assert output_tail(tmp_path) == "red\n�\ttab\n�2J"
    (tmp_path / "output.log").write_text("first\n" + "x" * 70_000 + "\nlast\n")
    assert output_tail(tmp_path) == "last"


def wait_for(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
