"""A checkpoint written while the run goes on: of its moment, one at a time, told of later."""

import threading
from pathlib import Path

import pytest
import torch

from rlpyt.checkpoint import background
from rlpyt.checkpoint.background import BackgroundWriter, Label
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.utils.errors import RlpytError

FIRST = Label(itr=1, cum_steps=10, score=0.5)


class Gate:
    """Holds the writing back, before its first byte, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(60)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


def test_what_is_written_is_the_state_of_then(tmp_path: Path, gate: Gate):
    threads = threading.active_count()
    writer = BackgroundWriter(Checkpointer(tmp_path), gate)
    weight, rows = torch.arange(5.0), [1.0]
    view = torch.arange(12).reshape(3, 4)[:, 1]
    array = torch.ones(3).numpy()
    state = {"weight": weight, "rows": rows, "view": view, "array": array}
    writer.start(Snapshot.of(state), FIRST)
    assert gate.reached.wait(60)
    assert writer.is_writing
    weight.zero_(), view.zero_(), rows.append(2.0)  # training goes on
    array[:] = 7
    gate.opened.set()
    written = writer.result()
    assert (written.label, written.problem) == (FIRST, None)
    assert writer.result() is None
    state, manifest = Checkpointer(tmp_path).load_latest()
    assert torch.equal(state["weight"], torch.arange(5.0))
    assert torch.equal(state["view"], torch.tensor([1, 5, 9]))
    assert state["array"].tolist() == [1, 1, 1]
    assert state["rows"] == [1.0]
    assert (manifest.itr, manifest.cum_steps, manifest.score) == FIRST
    writer.close()
    assert threading.active_count() == threads


def test_one_at_a_time(tmp_path: Path, gate: Gate):
    writer = BackgroundWriter(Checkpointer(tmp_path), gate)
    writer.start(Snapshot.of({}), FIRST)
    with pytest.raises(AssertionError, match="one at a time"):
        writer.start(Snapshot.of({}), FIRST)
    gate.opened.set()
    writer.close()


def broken_disk() -> None:
    raise RlpytError("checkpoint", "cannot write: the disk is gone")


def test_an_error_comes_to_who_asks(tmp_path: Path):
    writer = BackgroundWriter(Checkpointer(tmp_path), broken_disk)
    writer.start(Snapshot.of({}), FIRST)
    assert writer.result().problem.what == "cannot write: the disk is gone"
    writer.close()


def test_a_mistake_of_ours_is_not_swallowed(tmp_path: Path):
    writer = BackgroundWriter(Checkpointer(tmp_path), lambda: 1 / 0)
    writer.start(Snapshot.of({}), FIRST)
    with pytest.raises(ZeroDivisionError):
        writer.result()
    writer.close()


def test_warnings_come_to_the_run_s_own_thread(tmp_path: Path):
    writer = BackgroundWriter(Checkpointer(tmp_path), lambda: None)
    for itr in (5, 3):
        writer.start(Snapshot.of({}), FIRST._replace(itr=itr))
        if itr == 5:
            writer.result()
    with pytest.warns(UserWarning, match="itr_000000005 is of a later iteration than 3"):
        assert writer.result().problem is None
    writer.close()


def test_the_end_waits_for_what_is_written(tmp_path: Path, gate: Gate):
    writer = BackgroundWriter(Checkpointer(tmp_path), gate)
    writer.start(Snapshot.of({"n": 1}), FIRST)
    threading.Timer(0.1, gate.opened.set).start()
    writer.close()
    assert Checkpointer(tmp_path).load_latest()[0] == {"n": 1}


def test_given_up_it_ends_at_once_and_leaves_nothing(tmp_path: Path, gate: Gate):
    writer = BackgroundWriter(Checkpointer(tmp_path), gate)
    writer.start(Snapshot.of({"n": torch.ones(3)}), FIRST)
    assert gate.reached.wait(60)
    threading.Timer(0.05, gate.opened.set).start()
    writer.close(give_up=True)
    assert list(tmp_path.iterdir()) == []
    assert writer.result() is None


def test_without_memory_for_a_copy_the_run_waits(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(background, "available_memory", lambda: 100)
    monkeypatch.setattr(Snapshot, "copied", lambda self: pytest.fail("copied"))
    writer = BackgroundWriter(Checkpointer(tmp_path), lambda: None)
    big = Snapshot.of({"replay": torch.zeros(60, dtype=torch.uint8)})
    with pytest.warns(RuntimeWarning, match="the run waits while a checkpoint is written"):
        writer.start(big, FIRST)
    assert not writer.is_writing
    assert writer.result().seconds == 0  # it has cost the run's own time
    writer.start(big, FIRST._replace(itr=2))  # said once
    assert writer.result().problem is None
    assert Checkpointer(tmp_path).latest().name == "itr_000000002"
    writer.close()
