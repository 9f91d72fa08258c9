"""SIGKILL at every point of a save: the directory always holds a whole checkpoint."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from warm_python import start

import rlpyt.checkpoint.checkpointer

pytestmark = pytest.mark.faults("F16")

ROOT = Path(rlpyt.checkpoint.checkpointer.__file__).parents[2]

# One process that forks a child per kill: importing torch once keeps this fast.
PROGRAM = '''
import json, os, random, signal, sys, time, warnings
from pathlib import Path
import torch
from rlpyt.checkpoint.background import BackgroundWriter, Label
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.checkpoint.files import read_checkpoint

torch.set_num_threads(1)
warnings.simplefilter("ignore")
os.fsync = lambda descriptor: None  # a kill, unlike a loss of power, does not notice
CALLS = ("mkdir", "open", "write", "fsync", "close", "rename", "unlink", "rmdir")

def save(directory, itr):
    state = {"w": torch.full((1000,), float(itr)), "n": torch.tensor(itr), "itr": itr}
    Checkpointer(directory, keep=1).save(state, itr=itr, cum_steps=itr, score=float(itr))

def save_beside(directory, itr):
    """The same by the thread of a run that goes on."""
    state = {"w": torch.full((1000,), float(itr)), "n": torch.tensor(itr), "itr": itr}
    writer = BackgroundWriter(Checkpointer(directory, keep=1), lambda: None)
    writer.start(Snapshot.of(state), Label(itr, itr, float(itr)))
    writer.close()
    assert writer.result().problem is None

def load(directory):
    """The iteration loaded, after checking that all of the state is of that iteration."""
    state, manifest = Checkpointer(directory).load_latest()
    itr = manifest.itr
    assert state["itr"] == itr == int(state["n"])
    assert torch.equal(state["w"], torch.full((1000,), float(itr)))
    return itr

def patch(event):
    """Call ``event`` before each call, that is after the one before, and half way in a write."""
    def wrap(name, system):
        def call(*args, **kwargs):
            event()
            if name == "write":
                half = system(args[0], args[1][: len(args[1]) // 2])
                event()
                return half + system(args[0], args[1][half:])
            return system(*args, **kwargs)
        return call
    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))

def child(task):
    pid = os.fork()
    if pid == 0:
        try:
            task()
        finally:
            os._exit(7)
    return pid

def after_kill(directory):
    found = load(directory)
    for path in directory.glob("itr_*"):
        read_checkpoint(path)  # no half of one under its own name, be it new or on its way out
    save(directory, 9)
    assert load(directory) == 9
    names = sorted(path.name for path in directory.iterdir())
    assert names == ["best.json", "itr_000000009"], names
    return found

def every_boundary(root, save_again):
    root.mkdir()
    found = []
    for n in range(1, 10_000):
        directory = root / str(n)
        save(directory, 1)
        def task():
            count = 0
            def event():
                nonlocal count
                count += 1
                if count == n:
                    os.kill(os.getpid(), signal.SIGKILL)
            patch(event)
            save_again(directory, 2)
            os._exit(0)
        status = os.waitpid(child(task), 0)[1]
        if status == 0:
            return found
        assert status == signal.SIGKILL, status
        found.append(after_kill(directory))

def started(directory):
    """A child that has begun to save again and again, and when that was."""
    near, far = os.pipe()
    def task():
        os.write(far, b"x")
        for itr in range(2, 9):
            save(directory, itr)
    pid = child(task)
    os.read(near, 1)
    os.close(near), os.close(far)
    return pid, time.perf_counter()

def random_times(root, trials):
    found = []
    rng = random.Random(0)
    os.waitpid(started(root / "timed")[0], 0)
    pid, start = started(root / "timed again")
    os.waitpid(pid, 0)
    most = time.perf_counter() - start  # on a busy machine they take longer
    for trial in range(trials):
        directory = root / f"random{trial}"
        save(directory, 1)
        pid, _start = started(directory)
        time.sleep(rng.uniform(0, most))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found.append(after_kill(directory))
    return found

root = Path(sys.argv[1])
found = {
    "boundary": every_boundary(root / "one", save),
    "thread": every_boundary(root / "two", save_beside),
    "random": random_times(root, 50),
}
print(json.dumps(found))
'''


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """The iteration that loads after each kill of a save of iteration 2 after 1."""
    program = ["-c", PROGRAM, tmp_path_factory.mktemp("kill")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(program, env=environment, **pipes)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("writer", ["boundary", "thread"])
def test_killed_at_every_boundary(outcome, writer):
    found = outcome[writer]
    assert len(found) > 40
    assert found == sorted(found)  # the old one up to the rename, the new one from there
    assert set(found) == {1, 2}


def test_killed_at_random_times(outcome):
    found = outcome["random"]
    assert len(found) == 50
    assert len(set(found)) > 2  # kills were spread over several saves
