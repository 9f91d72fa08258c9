"""The checkpoints of a run: which stay, which is loaded, and what a full disk does to them."""

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.files import read_manifest
from rlpyt.utils.errors import RlpytError


def state(itr):
    return {"model": {"w": torch.full((50,), float(itr))}, "itr": itr}


def save(checkpointer, itr, score=None):
    return checkpointer.save(state(itr), itr=itr, cum_steps=10 * itr, score=score)


def names(path):
    return sorted(entry.name for entry in path.iterdir())


def loaded_itr(checkpointer):
    found, manifest = checkpointer.load_latest()
    assert found["itr"] == manifest.itr
    assert manifest.cum_steps == 10 * manifest.itr
    assert torch.equal(found["model"]["w"], state(manifest.itr)["model"]["w"])
    return manifest.itr


def damage(path, name="arrays.safetensors"):
    raw = bytearray((path / name).read_bytes())
    raw[len(raw) // 2] ^= 4
    (path / name).write_bytes(raw)


def test_keeps_the_last_and_loads_the_newest(tmp_path):
    checkpointer = Checkpointer(tmp_path / "new" / "checkpoints", keep=3)
    assert checkpointer.latest() is None
    assert checkpointer.best() is None
    paths = [save(checkpointer, itr) for itr in (0, 5, 10, 999_999_999, 1_000_000_000)]
    assert names(checkpointer.directory) == [
        "itr_000000010",
        "itr_1000000000",
        "itr_999999999",
    ]
    assert checkpointer.latest() == paths[-1]
    assert loaded_itr(checkpointer) == 1_000_000_000
    assert checkpointer.load(paths[2])[0]["itr"] == 10


def test_keeps_the_best_and_points_to_it(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=1)
    scores = [float("nan"), -3.0, 2.0, float("nan"), 2.0, 1.0, None]
    for itr, score in enumerate(scores):
        path = save(checkpointer, itr, score)
        if itr == 2:
            best = path
            assert names(tmp_path) == ["best.json", best.name]
    assert names(tmp_path) == ["best.json", best.name, "itr_000000006"]
    assert checkpointer.best() == best
    assert json.loads((tmp_path / "best.json").read_text()) == {"checkpoint": best.name}
    assert save(checkpointer, 7, 2.5) == checkpointer.best()
    assert names(tmp_path) == ["best.json", "itr_000000007"]


def test_metrics_are_kept_with_the_checkpoint(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    metrics = {"ReturnAverage": 1.25, "ReturnMax": float("inf")}
    checkpointer.save({}, itr=1, cum_steps=2, metrics=metrics)
    assert checkpointer.load_latest()[1].metrics == metrics


@pytest.mark.faults("F20")
@pytest.mark.parametrize("name", ["arrays.safetensors", "state.json", "manifest.json"])
def test_damaged_newest_falls_back_with_a_warning(tmp_path, name):
    checkpointer = Checkpointer(tmp_path)
    save(checkpointer, 1)
    newest = save(checkpointer, 2)
    damage(newest, name)
    with pytest.warns(UserWarning, match=f"fell back to itr_000000001.*{newest / name}"):
        assert loaded_itr(checkpointer) == 1


def test_damaged_ones_do_not_count_as_kept(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=2)
    save(checkpointer, 1)
    damage(save(checkpointer, 2))
    with pytest.warns(UserWarning, match="fell back"):
        loaded_itr(checkpointer)
    save(checkpointer, 3)
    assert names(tmp_path) == ["itr_000000001", "itr_000000003"]


def test_nothing_loadable_names_each_and_why(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    with pytest.raises(RlpytError, match="there is no checkpoint"):
        checkpointer.load_latest()
    first, second = save(checkpointer, 1), save(checkpointer, 2)
    damage(first)
    (second / "manifest.json").unlink()
    with pytest.raises(RlpytError, match="none of the checkpoints can be loaded") as caught:
        checkpointer.load_latest()
    assert "arrays.safetensors is damaged: SHA-256" in caught.value.what
    assert str(first / "arrays.safetensors") in caught.value.what
    assert f"manifest.json is missing ({second / 'manifest.json'})" in caught.value.what


def test_same_iteration_again_replaces_without_a_gap(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=2)
    save(checkpointer, 1)
    save(checkpointer, 2)
    again = checkpointer.save({"itr": 2, "again": True}, itr=2, cum_steps=20)
    assert names(tmp_path) == ["itr_000000001", again.name]
    assert checkpointer.latest() == again
    assert checkpointer.load_latest()[0]["again"]


def test_going_back_sets_later_checkpoints_aside(tmp_path):
    checkpointer = Checkpointer(tmp_path, keep=2)
    for itr in (10, 20):
        save(checkpointer, itr, score=float(itr))
    with pytest.warns(UserWarning, match="itr_000000020 is of a later iteration than 15"):
        save(checkpointer, 15, score=0.0)
    assert names(tmp_path) == ["aside-itr_000000020", "best.json", "itr_000000010", "itr_000000015"]
    assert loaded_itr(checkpointer) == 15
    assert checkpointer.best() == tmp_path / "itr_000000010"
    save(checkpointer, 20)
    with pytest.warns(UserWarning, match=r"it is now aside-itr_000000020\.1"):
        save(checkpointer, 16)
    assert checkpointer.load(tmp_path / "aside-itr_000000020")[0]["itr"] == 20


def test_leftovers_of_dead_processes_are_reported_and_removed(tmp_path):
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    checkpointer = Checkpointer(tmp_path)
    save(checkpointer, 1)
    stale = tmp_path / f".tmp-{dead.pid}-00-itr_000000002"
    ours = tmp_path / f".tmp-{os.getpid()}-00-best.json"
    alive = tmp_path / f".tmp-{os.getppid()}-00-itr_000000003"
    shutil.copytree(tmp_path / "itr_000000001", stale)
    ours.write_text("")
    alive.mkdir()
    with pytest.warns(UserWarning, match=stale.name):
        assert loaded_itr(checkpointer) == 1
    save(checkpointer, 2)
    assert names(tmp_path) == [alive.name, "itr_000000001", "itr_000000002"]


class FailingCall:
    """Stands for ``os.<name>``; call number ``fail_at``, from 1, raises ``OSError(code)``."""

    def __init__(self, name, code, fail_at):
        self.name, self.code, self.fail_at = name, code, fail_at
        self.system = getattr(os, name)
        self.count = 0

    def __call__(self, *args, **kwargs):
        self.count += 1
        if self.count != self.fail_at:
            return self.system(*args, **kwargs)
        if self.name == "close":
            self.system(*args)  # a descriptor is closed even where that reports an error
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.faults("F18")
@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "close", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_failing_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch, call, code):
    counting = FailingCall(call, code, fail_at=0)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, counting)
        save(Checkpointer(tmp_path), 0)
    assert counting.count >= 1
    for fail_at in range(1, counting.count + 1):
        checkpointer = Checkpointer(tmp_path / str(fail_at))
        save(checkpointer, 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, FailingCall(call, code, fail_at))
            with pytest.raises(
                RlpytError, match=rf"{errno.errorcode[code]}\).* \d+ free"
            ) as caught:
                save(checkpointer, 2)
        assert caught.value.code == "checkpoint"
        assert os.strerror(code) in caught.value.what
        assert loaded_itr(checkpointer) in (1, 2)  # 2: only the last fsync, of the parent, failed
        assert {name[:4] for name in names(checkpointer.directory)} == {"itr_"}
        save(checkpointer, 3)
        assert loaded_itr(checkpointer) == 3


def test_full_disk_does_not_stop_the_making_of_room(tmp_path, monkeypatch):
    checkpointer = Checkpointer(tmp_path, keep=1)
    save(checkpointer, 1)
    writes = FailingCall("write", errno.ENOSPC, fail_at=5)  # the one after those of the checkpoint
    monkeypatch.setattr(os, "write", writes)
    with pytest.raises(RlpytError, match=r"cannot write best\.json.*ENOSPC"):
        save(checkpointer, 2, score=1.0)
    assert names(tmp_path) == ["itr_000000002"]
    assert checkpointer.best() == tmp_path / "itr_000000002"


@pytest.mark.faults("F18")
def test_full_disk_for_real(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a tmpfs of 2 MB is not permitted here")
    try:
        checkpointer = Checkpointer(tmp_path / "checkpoints")
        save(checkpointer, 1)
        before = names(checkpointer.directory)
        big = {"replay": torch.zeros(5_000_000, dtype=torch.uint8)}
        with pytest.raises(
            RlpytError, match=r"ENOSPC\); about 500\d+ bytes needed, \d+ free"
        ) as caught:
            checkpointer.save(big, itr=2, cum_steps=20)
        assert "free some space" in caught.value.hint
        assert names(checkpointer.directory) == before
        assert loaded_itr(checkpointer) == 1
        save(checkpointer, 2)
        assert loaded_itr(checkpointer) == 2
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.faults("F19")
def test_directory_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RlpytError, match=r"cannot write itr_000000001.*ENOTDIR") as caught:
        save(Checkpointer(tmp_path / "checkpoints"), 1)
    assert caught.value.where == str(tmp_path / "checkpoints")


def test_unsupported_state_leaves_nothing_behind(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    with pytest.raises(RlpytError, match="function"):
        checkpointer.save({"schedule": lambda itr: itr}, itr=1, cum_steps=1)
    assert names(tmp_path) == []


def test_interrupt_while_saving_leaves_nothing_behind(tmp_path, monkeypatch):
    checkpointer = Checkpointer(tmp_path)
    save(checkpointer, 1)

    def interrupt(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(checkpointer, 2)
    assert names(tmp_path) == ["itr_000000001"]
    save(checkpointer, 2)
    assert loaded_itr(checkpointer) == 2


@pytest.mark.faults("F21")
def test_newest_of_a_later_format_is_not_passed_over(tmp_path):
    checkpointer = Checkpointer(tmp_path)
    save(checkpointer, 1)
    newest = save(checkpointer, 2)
    later = replace(read_manifest(newest), format_version=99)
    (newest / "manifest.json").write_bytes(later.to_bytes())
    with pytest.raises(RlpytError, match="format version 99") as caught:
        checkpointer.load_latest()
    assert caught.value.code == "version"


def test_keep_must_be_positive(tmp_path):
    with pytest.raises(RlpytError, match="keep=0") as caught:
        Checkpointer(tmp_path, keep=0)
    assert caught.value.code == "config"
