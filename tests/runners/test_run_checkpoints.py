"""How large checkpoints will get, what saving costs, and that the end waits for the last."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from runner_fakes import quiet_logger, small_runner, train

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest
from rlpyt.runners import checkpoints as run_checkpoints
from rlpyt.runners.saver import read_run_state
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
    exact = {}
    monkeypatch.setattr(run_checkpoints, "readable", lambda size: f"{size / 1e6:.6f} MB")
    monkeypatch.setattr(run_checkpoints, "_ROOM_FOR_ROWS", 0)
    run_dir = train(small_runner(n_itr=30, **VARIANTS[variant]), tmp_path)
    newest = Checkpointer(run_dir / "checkpoints").latest()
    exact = read_manifest(newest).files["arrays.safetensors"].size
    header = int.from_bytes((newest / "arrays.safetensors").read_bytes()[:8], "little")
    assert 0.95 * (exact - header) < 1e6 * forecast(run_dir) < 2.0 * (exact - header)


def test_too_little_room_is_told_at_the_start(tmp_path: Path, monkeypatch):
    usage = run_checkpoints.shutil.disk_usage("/")
    monkeypatch.setattr(run_checkpoints.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.warns(RuntimeWarning, match=r"0\.0 MB are free in .*keep_checkpoints=2"):
        run_dir = train(small_runner(n_itr=1), tmp_path)
    assert read_run_state(run_dir) == "done"


def test_training_does_not_wait_for_the_disk_and_the_end_does(tmp_path: Path, monkeypatch):
    real, seconds = Checkpointer.save, 0.4

    def slow(self, *args, **kwargs):
        time.sleep(seconds)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Checkpointer, "save", slow)
    runner = small_runner(n_itr=200, log_interval_steps=64)
    start = time.perf_counter()
    run_dir = train(runner, tmp_path)
    saves = 2 + json.loads((run_dir / "provenance.json").read_text())["sessions"].__len__()
    assert Checkpointer(run_dir / "checkpoints").latest().name == "itr_000000200"
    assert time.perf_counter() - start < 60
    assert saves == 3


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
