"""When checkpoints are written, which stay, and what happens where they cannot be."""

import json
import shutil
import threading
from pathlib import Path

import pytest
from runner_fakes import parameters, quiet_logger, read_rows, small_runner, train

from rlpyt.checkpoint.background import BackgroundWriter
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.logging.run_state import read_run_state, write_run_state
from rlpyt.runners.saver import RunSaver
from rlpyt.utils.errors import RlpytError

STATE = {"n": 1}


@pytest.fixture
def logger(tmp_path: Path):
    with quiet_logger(tmp_path) as logger:
        yield logger


def saver(logger, **options) -> RunSaver:
    return RunSaver(
        logger.run_dir / "checkpoints",
        **{"keep": 2, "interval": None, "log_interval": 1, **options},
    )


def names(run_dir: Path) -> list[str]:
    return sorted(path.name for path in (run_dir / "checkpoints").glob("itr_*"))


def test_an_interval_is_kept(logger):
    every_three = saver(logger, interval=3)
    assert [itr for itr in range(1, 10) if every_three.due(itr)] == [3, 6, 9]


def test_by_default_at_log_rows_while_that_costs_under_two_percent(logger, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rlpyt.runners.saver.time.perf_counter", lambda: now[0])
    default = saver(logger, log_interval=2)
    assert default.due(2)
    assert not default.due(3)
    copied, write, ended = Snapshot.copied, Checkpointer.save, threading.Event()

    def slow(self):
        now[0] += 1.0  # second
        return copied(self)

    def slower(*args, **kwargs):
        write(*args, **kwargs)
        assert ended.wait(60)  # for the disk: training does not wait

    monkeypatch.setattr(Snapshot, "copied", slow)
    monkeypatch.setattr(Checkpointer, "save", slower)
    default.save(STATE, 2, 128, 0.0, needed=False)
    now[0] += 200.0
    assert not default.due(4)  # one at a time
    assert default.saved_itr is None
    ended.set()
    assert default.has(2)
    now[0] += 49.0
    assert not default.due(4)
    now[0] += 1.5  # and what the processor had to do for the file
    assert default.due(4)
    default.close(None, None, None)


def test_what_the_processor_writes_counts_as_cost(logger, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rlpyt.runners.saver.time.perf_counter", lambda: now[0])
    write = BackgroundWriter._write
    busy = lambda *args: write(*args)._replace(seconds=2.0)  # noqa: E731
    monkeypatch.setattr(BackgroundWriter, "_write", busy)
    default = saver(logger)
    default.save(STATE, 1, 64, 0.0, needed=False)
    assert default.has(1)
    now[0] += 99.0
    assert not default.due(2)
    now[0] += 1.0
    assert default.due(2)
    default.close(None, None, None)


def test_the_newest_and_the_best_stay(logger):
    keeping = saver(logger)
    for itr, score in enumerate([float("nan"), 5.0, 1.0, 2.0, 3.0]):
        keeping.save(STATE, itr, itr, score, needed=False)
    keeping.close(None, None, None)
    kept = names(logger.run_dir)
    assert kept == ["itr_000000001", "itr_000000003", "itr_000000004"]
    best = json.loads((logger.run_dir / "checkpoints" / "best.json").read_text())
    assert best == {"checkpoint": "itr_000000001"}
    assert keeping.saved_itr == 4


def test_checkpoints_of_a_run(tmp_path: Path):
    runner = small_runner(n_itr=9, checkpoint_interval_steps=128, keep_checkpoints=3)
    run_dir = train(runner, tmp_path)
    checkpoints = Checkpointer(run_dir / "checkpoints")
    best = checkpoints.best()
    newest = {f"itr_{itr:09d}" for itr in (6, 8, 9)}  # every second, and the last
    assert set(names(run_dir)) == newest | {best.name}
    scores = [float(row["ReturnAverage"]) for row in read_rows(run_dir)]
    assert checkpoints.load(best)[1].score == max(scores)


def test_nothing_is_saved_twice(tmp_path: Path):
    run_dir = train(small_runner(n_itr=2, checkpoint_interval_steps=64), tmp_path)
    assert names(run_dir)[-1] == "itr_000000002"
    assert not list((run_dir / "checkpoints").glob("itr_*.*"))


def broken(self, *args, **kwargs):
    raise RlpytError("checkpoint", "cannot write itr_000000001: No space left on device")


@pytest.mark.faults("F18")
def test_a_full_disk_is_warned_of_and_retried(logger, monkeypatch):
    trying = saver(logger)
    trying.save(STATE, 0, 0, 0.0, needed=True)
    with monkeypatch.context() as full:
        full.setattr(Checkpointer, "save", broken)
        for itr in (1, 2):
            trying.save(STATE, itr, itr, 0.0, needed=False)
            with pytest.warns(RuntimeWarning, match="No space left on device; the run goes on"):
                trying.settle()
    assert trying.saved_itr == 0
    trying.save(STATE, 3, 3, 0.0, needed=False)
    assert trying.has(3)
    assert names(logger.run_dir) == ["itr_000000000", "itr_000000003"]
    with monkeypatch.context() as full:
        full.setattr(Checkpointer, "save", broken)
        trying.save(STATE, 4, 4, 0.0, needed=False)
        with pytest.warns(RuntimeWarning):  # the next one waits for it
            trying.save(STATE, 5, 5, 0.0, needed=False)
        with pytest.warns(RuntimeWarning):
            trying.save(STATE, 6, 6, 0.0, needed=False)
        with pytest.raises(RlpytError, match="No space"):  # the third in a row
            trying.settle()
    trying.close(None, None, None)


def test_a_checkpoint_that_is_needed_is_an_error_at_once(logger, monkeypatch):
    monkeypatch.setattr(Checkpointer, "save", broken)
    with pytest.raises(RlpytError, match="No space"):
        saver(logger).save(STATE, 1, 1, 0.0, needed=True)


def test_training_goes_on_while_the_disk_is_full(tmp_path: Path, monkeypatch):
    real, tries = Checkpointer.save, []

    def sometimes(self, *args, itr, **kwargs):
        tries.append(itr)
        return (broken if itr in (3, 4) else real)(self, *args, itr=itr, **kwargs)

    monkeypatch.setattr(Checkpointer, "save", sometimes)
    runner = small_runner(n_itr=6, checkpoint_interval_steps=64)
    with pytest.warns(RuntimeWarning, match="No space"):
        run_dir = train(runner, tmp_path)
    assert tries == list(range(7))
    assert read_run_state(run_dir) == "done"
    other = small_runner(n_itr=6)
    other.train()
    assert parameters(runner) == parameters(other)


def test_a_directory_removed_on_the_way_ends_the_run_with_its_name(tmp_path: Path, monkeypatch):
    runner = small_runner(n_itr=30, log_interval_steps=64)
    optimize = type(runner.algo).optimize_agent

    def remove(self, itr, samples):
        if itr == 5:
            shutil.rmtree(tmp_path / "run_0")
            (tmp_path / "run_0").write_text("somebody's file")
        return optimize(self, itr, samples)

    monkeypatch.setattr(type(runner.algo), "optimize_agent", remove)
    with (
        pytest.warns(RuntimeWarning, match="cannot be written|cannot write"),
        pytest.raises(RlpytError, match="run_0") as caught,
    ):
        train(runner, tmp_path)
    assert caught.value.code in {"checkpoint", "directory"}
    assert (tmp_path / "run_0").read_text() == "somebody's file"


def test_run_state_is_written_and_read(tmp_path: Path):
    assert read_run_state(tmp_path) is None
    write_run_state(tmp_path, "preempted")
    assert read_run_state(tmp_path) == "preempted"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "3"])
def test_a_damaged_run_state_is_none(tmp_path: Path, content: str):
    (tmp_path / "state.json").write_text(content)
    assert read_run_state(tmp_path) is None


def test_run_state_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(RlpytError, match="ENOENT") as caught:
        write_run_state(tmp_path / "none", "done")
    assert caught.value.code == "directory"
