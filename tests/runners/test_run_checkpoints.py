"""How large checkpoints will get, what saving costs, and that the end waits for the last."""

import math
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runner_fakes import quiet_logger, small_runner, train

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.logging.run_state import read_run_state
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners import checkpoints as run_checkpoints
from rlpyt.runners.checkpoints import RunCheckpoints, checkpoint_size
from rlpyt.utils.errors import RlpytError

VARIANTS: dict[str, dict[str, Any]] = {
    "ppo": {},
    "sac": {"algo": "sac", "continuous": True},
}


def size(path: Path) -> int:
    return sum(record.size for record in read_manifest(path).files.values())


def forecast(run_dir: Path) -> float:
    """Megabytes, as the log says."""
    found = re.search(r"a checkpoint takes up to ([\d.]+) MB", (run_dir / "debug.log").read_text())
    assert found
    return float(found[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_largest_checkpoint_is_forecast(variant: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(run_checkpoints, "readable", lambda size: f"{size / 1e6:.6f} MB")
    run_dir = train(small_runner(n_itr=30, **VARIANTS[variant]), tmp_path)
    largest = max(map(size, (run_dir / "checkpoints").glob("itr_*")))
    assert largest <= 1e6 * forecast(run_dir) <= 1.5 * largest + 2**16  # text of rows


def test_a_replay_that_is_left_out_is_not_forecast():
    arrays = {"agent/w": torch.zeros(10), "algo/w": torch.zeros(5), "sampler/x": torch.zeros(3)}
    room = run_checkpoints._ROOM_FOR_ROWS
    without = checkpoint_size(Snapshot(arrays, None), replay_size=10**9)
    assert without == 4 * (3 * 15 + 3) + room
    arrays["algo/replay/arrays/x"] = torch.zeros(0)
    assert checkpoint_size(Snapshot(arrays, None), replay_size=10**9) == without + 10**9


def test_too_little_room_is_told_at_the_start(tmp_path: Path, monkeypatch):
    usage = run_checkpoints.shutil.disk_usage("/")
    monkeypatch.setattr(run_checkpoints.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.warns(RuntimeWarning, match=r"0\.0 MB are free in .*keep_checkpoints=2"):
        run_dir = train(small_runner(n_itr=1), tmp_path)
    assert read_run_state(run_dir) == "done"


def test_training_goes_on_while_one_is_written_and_the_end_waits(tmp_path: Path, monkeypatch):
    real, found = Checkpointer.save, []
    runner = small_runner(n_itr=60, checkpoint_interval_steps=5 * 64)

    def slow(self, *args, itr, **kwargs):
        name, before = threading.current_thread().name, runner.cum_steps
        if name.startswith("checkpoint"):  # until training has gone on, or has nothing to do
            deadline = time.monotonic() + 10
            while runner.cum_steps == before < 60 * 64 and time.monotonic() < deadline:
                time.sleep(0.001)
        path = real(self, *args, itr=itr, **kwargs)
        found.append((name, itr, runner.cum_steps - before))
        return path

    monkeypatch.setattr(Checkpointer, "save", slow)
    run_dir = train(runner, tmp_path)
    (first, *_), *between, (_last, itr, _) = found
    assert itr == 60
    assert first == "MainThread"  # before anything is done
    assert between
    assert all(name.startswith("checkpoint") for name, *_ in between)
    assert all(steps > 0 for _name, itr, steps in between if itr < 60)
    assert Checkpointer(run_dir / "checkpoints").latest().name == "itr_000000060"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("ends_by", [KeyboardInterrupt, SystemExit])
def test_a_signal_while_the_run_waits_for_its_checkpoint_ends_it_at_once(
    ends_by: type[BaseException], tmp_path: Path, monkeypatch
):
    def interrupted(self, *args, **kwargs):
        raise ends_by(130)

    monkeypatch.setattr(Checkpointer, "save", interrupted)  # the first is written in the foreground
    with pytest.raises((ends_by, RlpytError)):
        train(small_runner(n_itr=2), tmp_path)


@pytest.mark.slow
def test_saving_costs_less_than_two_percent(tmp_path: Path, monkeypatch):
    """At the default interval, with a replay of 40 MB: of the processor's time, which is what is
    left where disks are quick, and does not depend on who else is on this machine.
    """
    spent = []

    def timed(real):
        def measured(*args, **kwargs):
            start = time.thread_time()
            try:
                return real(*args, **kwargs)
            finally:
                spent.append(time.thread_time() - start)

        return measured

    for cls in (RunCheckpoints, Checkpointer):  # copying, in the main thread; writing, beside it
        monkeypatch.setattr(cls, "save", timed(cls.save))
    replay = ReplayBuffer(size=1_000_000)
    runner = small_runner(algo="sac", continuous=True, n_itr=6_000)
    runner = replace(runner, algo=replace(runner.algo, replay=replay))
    start = time.process_time()
    train(replace(runner, checkpoint_interval_steps=None), tmp_path)
    whole = time.process_time() - start
    assert len(spent) >= 4  # the first and the last at least
    assert sum(spent) < 0.02 * whole, f"{sum(spent):.2f} of {whole:.1f} s, {len(spent)} calls"


def test_a_writer_s_error_comes_to_the_run(tmp_path: Path, monkeypatch):
    real = Checkpointer.save

    def broken(self, *args, itr, **kwargs):
        if itr:
            raise RlpytError("checkpoint", "cannot write: the disk is gone")
        return real(self, *args, itr=itr, **kwargs)

    monkeypatch.setattr(Checkpointer, "save", broken)
    runner = small_runner(n_itr=50, checkpoint_interval_steps=64)
    with (
        pytest.warns(RuntimeWarning, match="the disk is gone; the run goes on"),
        pytest.raises(RlpytError, match="the disk is gone"),
        quiet_logger(tmp_path) as logger,
    ):
        runner.train(logger)
    assert runner.cum_steps <= 4 * 64  # the third in a row
    assert read_run_state(tmp_path / "run_0") == "failed(checkpoint)"


class Pair:
    """What :class:`World` is to each of two ranks, which are threads."""

    def __init__(self, rank: int, barrier: threading.Barrier, said: list[Any]) -> None:
        self.rank, self.size, self.is_first = rank, 2, rank == 0
        self._barrier, self._said = barrier, said

    def gather(self, value: Any) -> list[Any]:
        self.meet()
        self._said[self.rank] = value
        self.meet()
        return list(self._said)

    def any(self, flags: list[bool]) -> list[bool]:
        return [any(pair) for pair in zip(*self.gather(flags), strict=True)]

    def meet(self) -> None:
        self._barrier.wait(10)


def test_a_part_that_cannot_be_written_leaves_the_last_whole_checkpoint(
    tmp_path: Path, monkeypatch
):
    """The first rank's part of the next one would push its part of that one out."""
    real = Checkpointer.save

    def fails(self, *args: Any, itr: int, **kwargs: Any) -> Path:
        if itr == 2 and self.directory.name == "rank_1":
            raise RlpytError("checkpoint", "its disk is full")
        return real(self, *args, itr=itr, **kwargs)

    monkeypatch.setattr(Checkpointer, "save", fails)
    barrier, said = threading.Barrier(2), [None, None]
    runner = small_runner(keep_checkpoints=1)
    found: dict[int, set[int]] = {}

    def rank(number: int, logger: Any = None) -> None:
        world: Any = Pair(number, barrier, said)
        parts = RunCheckpoints(runner, world, logger)
        directory = tmp_path / "run_0" / "checkpoints"
        own = Checkpointer(directory / "rank_1" if number else directory)
        for itr in (1, 2, 3):
            parts.save(itr, lambda: {"x": torch.zeros(2)}, math.nan, needed=False)
            both = world.gather(set(own.saved()))
            found[itr] = set.intersection(*both)

    other = threading.Thread(target=rank, args=(1,))
    other.start()
    with (
        quiet_logger(tmp_path) as logger,
        pytest.warns(RuntimeWarning, match="its disk is full; the run goes on"),
    ):
        rank(0, logger)
    other.join()
    assert {itr: max(both, default=None) for itr, both in found.items()} == {1: 1, 2: 1, 3: 3}
