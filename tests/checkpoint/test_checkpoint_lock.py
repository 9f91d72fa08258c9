"""One run per directory: the second is told who is there; a dead holder is no obstacle."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from warm_python import start

import rlpyt.checkpoint.lock
from rlpyt.checkpoint.lock import RunLock
from rlpyt.utils.errors import RlpytError

ROOT = Path(rlpyt.checkpoint.lock.__file__).parents[2]

# Holds the lock, with a forked child that has it open too and outlives its parent a little.
HOLDER = """
import os, sys, time
from pathlib import Path
from rlpyt.checkpoint.lock import RunLock
with RunLock(Path(sys.argv[1])):
    holder = os.getpid()
    if os.fork() == 0:
        while os.getppid() == holder:
            time.sleep(0.01)
        time.sleep(0.3)
        os._exit(0)
    print(flush=True)
    time.sleep(60)
"""


def test_lock_is_taken_described_and_removed(tmp_path):
    run_dir = tmp_path / "new" / "run"
    with RunLock(run_dir):
        holder = json.loads((run_dir / ".lock").read_text())
        assert holder["pid"] == os.getpid()
        assert holder["host"] == socket.gethostname()
        with (
            pytest.raises(RlpytError, match=f"process {os.getpid()} on host") as caught,
            RunLock(run_dir),
        ):
            pass
        assert caught.value.code == "directory"
        assert holder["start"] in caught.value.what
    assert list(run_dir.iterdir()) == []
    with RunLock(run_dir):
        pass


def test_lock_is_removed_when_the_run_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_leftover_file_without_a_holder_is_no_lock(tmp_path):
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "elsewhere", "start": "long ago"}')
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()


def test_lock_of_another_run_is_not_removed(tmp_path):
    with ExitStack() as second:
        with RunLock(tmp_path):
            (tmp_path / ".lock").unlink()  # by hand, by someone impatient
            second.enter_context(RunLock(tmp_path))
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()


def test_path_that_is_a_file_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RlpytError, match="EEXIST") as caught, RunLock(tmp_path / "run"):
        pass
    assert caught.value.code == "directory"
    assert str(tmp_path / "run") in str(caught.value)


def test_second_process_is_refused_and_killed_holder_is_replaced(tmp_path):
    holder = start(
        ["-c", HOLDER, tmp_path],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with holder:
        try:
            holder.stdout.readline()
            started = time.monotonic()
            with (
                pytest.raises(RlpytError, match=f"process {holder.pid} on host"),
                RunLock(tmp_path),
            ):
                pass
            assert time.monotonic() - started < 0.5
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
        with RunLock(tmp_path):
            assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
        assert time.monotonic() - started < 2.0
    assert not (tmp_path / ".lock").exists()


def test_never_two_holders_while_locks_come_and_go(tmp_path):
    inside, held, overlaps, refused = [], [], [], set()

    def contend():
        while len(held) < 200:
            try:
                with RunLock(tmp_path):
                    inside.append(1)
                    overlaps.append(len(inside) > 1)
                    time.sleep(0)
                    inside.pop()
                    held.append(1)
            except RlpytError as error:
                refused.add(error.code)

    threads = [threading.Thread(target=contend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(overlaps)
    assert refused <= {"directory"}
