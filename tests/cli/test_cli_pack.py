"""A run directory as one archive, and back: the same files, or a reason and nothing."""

import json
import struct
import zipfile
from pathlib import Path

import pytest

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.lock import RunLock


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """What pack and unpack look at of a run."""
    path = tmp_path / "run"
    Checkpointer(path / "checkpoints").save({"agent": {"n": 1}}, itr=3, cum_steps=30)
    settings = {"class": "rlpyt.runners.MinibatchRl", "sampler": {"env": {"id": "CartPole-v1"}}}
    (path / "params.json").write_text(json.dumps(settings))
    (path / "empty").write_bytes(b"")
    return path


def contents(path: Path) -> dict[str, bytes]:
    files = (each for each in path.rglob("*") if each.is_file())
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in files}


def changed(path: Path, **members: bytes | None) -> None:
    """The archive with other contents; None: without."""
    with zipfile.ZipFile(path) as archive:
        content: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | members).items():
            if data is not None:
                archive.writestr(name, data)


def test_there_and_back(rlpyt, run_dir: Path, tmp_path: Path) -> None:
    assert rlpyt("pack", run_dir, "run.zip").code == 0
    assert rlpyt("pack", run_dir, "again.zip").code == 0
    assert Path("run.zip").read_bytes() == Path("again.zip").read_bytes()
    result = rlpyt("unpack", "run.zip", "back")
    assert (result.code, result.err) == (0, "")
    assert contents(tmp_path / "back") == contents(run_dir)
    assert {each.name for each in tmp_path.iterdir()} == {"run", "back", "run.zip", "again.zip"}
    assert "is there already" in rlpyt("unpack", "run.zip", "back").error
    assert "is there already" in rlpyt("pack", run_dir, "run.zip").error


def test_a_run_that_goes_on_is_not_packed(rlpyt, run_dir: Path) -> None:
    with RunLock(run_dir):
        assert "ERROR directory: " in rlpyt("pack", run_dir, "run.zip").error
    assert not Path("run.zip").exists()


def test_links_are_not_packed(rlpyt, run_dir: Path) -> None:
    (run_dir / "link").symlink_to("/etc/passwd")
    assert "link is a link" in rlpyt("pack", run_dir, "run.zip").error
    assert not Path("run.zip").exists()


@pytest.mark.faults("F38")
@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"empty": b"x"}, "'empty' is damaged"),
        ({"empty": None}, "'empty' is not there"),
        ({"more": b"x"}, "'more' is in no list"),
        ({"../more": b"x"}, "leads out"),
        ({"rlpyt_pack.json": None}, "it has no rlpyt_pack.json"),
        ({"rlpyt_pack.json": b"[]"}, "rlpyt_pack.json is damaged"),
        ({"rlpyt_pack.json": b'{"format": 2, "files": {}}'}, "format 2, not 1"),
    ],
)
def test_what_is_not_as_it_was_packed(
    rlpyt, run_dir: Path, tmp_path: Path, members: dict[str, bytes | None], what: str
) -> None:
    assert rlpyt("pack", run_dir, "run.zip").code == 0
    changed(Path("run.zip"), **members)
    result = rlpyt("unpack", "run.zip", "back")
    assert what in result.error
    assert {each.name for each in tmp_path.iterdir()} == {"run", "run.zip"}


@pytest.mark.faults("F38")
def test_a_change_that_keeps_the_size(rlpyt, run_dir: Path, tmp_path: Path) -> None:
    assert rlpyt("pack", run_dir, "run.zip").code == 0
    settings = (run_dir / "params.json").read_bytes().replace(b"CartPole", b"os:abort")
    changed(Path("run.zip"), **{"params.json": settings})
    assert "'params.json' is damaged: SHA-256" in rlpyt("unpack", "run.zip", "back").error
    assert {each.name for each in tmp_path.iterdir()} == {"run", "run.zip"}


@pytest.mark.faults("F38")
def test_how_much_there_may_be_is_an_option(rlpyt, run_dir: Path) -> None:
    """By what the archive says of itself."""
    assert rlpyt("pack", run_dir, "run.zip").code == 0
    data = bytearray(Path("run.zip").read_bytes())
    struct.pack_into("<I", data, data.find(b"PK\1\2") + 24, 3 * 2**30)
    Path("run.zip").write_bytes(data)
    told = [rlpyt("unpack", "run.zip", "back", "--max-gib", n).error for n in ("2", "4")]
    assert f"more than {2 * 2**30} bytes in all" in told[0]
    assert "more than 200 for one" in told[1]


@pytest.mark.faults("F37")
def test_code_that_the_settings_name_is_refused_without_trust(rlpyt, run_dir: Path) -> None:
    settings = {
        "class": "rlpyt.runners.MinibatchRl",
        "sampler": {"env": {"id": "os:system", "kwargs": {"text": "torch.hub:load"}}},
        "algo": {"class": "theirs.Algorithm", "OptimCls": "torch.optim:Adam"},
        "agent": {"model_kwargs": {"function": "torchvision:f", "args": [], "kwargs": {}}},
        "extra": {"plan": {"text": "a: b"}},
    }
    (run_dir / "params.json").write_text(json.dumps(settings))
    assert rlpyt("pack", run_dir, "run.zip").code == 0
    refused = rlpyt("unpack", "run.zip", "back")
    assert refused.code != 0
    assert not Path("back").exists()
    found = "'os:system', 'torch.hub:load', 'theirs.Algorithm', 'torchvision:f'"
    assert f"its settings name code that is not rlpyt's: {found} (run.zip)" in refused.error
    assert "give --trust" in refused.error
    assert rlpyt("unpack", "run.zip", "back", "--trust").code == 0
    assert (Path("back") / "params.json").read_text() == json.dumps(settings)
