"""One checkpoint on disk: exact, durable in order, and never read when damaged or foreign."""

import errno
import hashlib
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from rlpyt.checkpoint import files
from rlpyt.checkpoint.arrays import DTYPE_NAMES
from rlpyt.checkpoint.files import read_checkpoint, replace_file, write_checkpoint
from rlpyt.checkpoint.hashing import state_hash
from rlpyt.checkpoint.manifest import FORMAT_VERSION, Manifest
from rlpyt.checkpoint.tree import flatten
from rlpyt.utils.errors import RlpytError

FILES = ("arrays.safetensors", "state.json", "manifest.json")
STATE = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "rng": np.arange(5, dtype=np.uint32),
    "scalar": torch.tensor(True),
    "empty": torch.zeros(0, 4),
    "big": 2**127 + 1,
    "nan": float("nan"),
    "tuple": (1, [2.5, None]),
}


def digest(state):
    arrays, skeleton = flatten(state)
    return state_hash(arrays), json.dumps(skeleton)


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "itr_000000007"
    write_checkpoint(
        path, STATE, itr=7, cum_steps=700, metrics={"ReturnAverage": float("nan")}, score=1.5
    )
    return path


def rewrite_manifest(path, **changes):
    """Alter the manifest, with the right checksum: what an attacker or a later release can do."""
    content = json.loads((path / "manifest.json").read_text())
    del content["manifest_sha256"]
    content.update(changes)
    for name in content["files"]:
        if (path / name).exists():
            raw = (path / name).read_bytes()
            content["files"][name] = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    render = lambda value: json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"  # noqa: E731
    checksum = hashlib.sha256(render(content)).hexdigest()
    (path / "manifest.json").write_bytes(render({**content, "manifest_sha256": checksum}))


def test_state_and_manifest_come_back(checkpoint):
    state, manifest = read_checkpoint(checkpoint)
    assert digest(state) == digest(STATE)
    assert (manifest.itr, manifest.cum_steps, manifest.score) == (7, 700, 1.5)
    assert np.isnan(manifest.metrics["ReturnAverage"])
    assert manifest.format_version == FORMAT_VERSION
    assert manifest.torch_version == torch.__version__
    assert manifest.numpy_version == np.__version__
    assert sorted(path.name for path in checkpoint.iterdir()) == sorted(FILES)
    for name, record in manifest.files.items():
        raw = (checkpoint / name).read_bytes()
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == record
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        st.tuples(st.sampled_from(list(DTYPE_NAMES)), st.lists(st.integers(0, 4), max_size=3)),
        max_size=6,
    )
)
def test_arrays_come_back_and_the_safetensors_library_agrees(tmp_path_factory, spec):
    state = {name: torch.ones(shape).to(dtype) for name, (dtype, shape) in spec.items()}
    path = tmp_path_factory.mktemp("checkpoint") / "itr_000000001"
    write_checkpoint(path, state, itr=1, cum_steps=1)
    assert digest(read_checkpoint(path)[0]) == digest(state)
    assert state_hash(load_file(path / "arrays.safetensors")) == state_hash(flatten(state)[0])


def test_arrays_are_aligned_in_the_file(tmp_path):
    sizes = {torch.int8: 3, torch.float64: 5, torch.bfloat16: 1, torch.float32: 7, torch.bool: 1}
    state = {f"{i}": torch.ones(n, dtype=dtype) for i, (dtype, n) in enumerate(sizes.items())}
    write_checkpoint(tmp_path / "c", state, itr=1, cum_steps=1)
    raw = (tmp_path / "c" / "arrays.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    for name, entry in json.loads(raw[8:start]).items():
        assert (start + entry["data_offsets"][0]) % state[name].itemsize == 0


def test_names_that_the_format_reserves_can_be_keys(tmp_path):
    state = {"__metadata__": torch.ones(1), "": {"": torch.zeros(1)}}
    write_checkpoint(tmp_path / "c", state, itr=1, cum_steps=1)
    assert digest(read_checkpoint(tmp_path / "c")[0]) == digest(state)


def test_a_tensor_alone_is_a_state(tmp_path):
    write_checkpoint(tmp_path / "c", torch.ones(2), itr=1, cum_steps=1)
    assert torch.equal(read_checkpoint(tmp_path / "c")[0], torch.ones(2))


def test_file_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    path = tmp_path / "best.json"
    replace_file(path, b"old")

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RlpytError, match=r"cannot write best\.json: No space left"):
        replace_file(path, b"new")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [
        ("best.json", b"old")
    ]


def test_read_arrays_do_not_hold_the_file(checkpoint):
    state, _ = read_checkpoint(checkpoint)
    os.truncate(checkpoint / "arrays.safetensors", 0)
    assert digest(state) == digest(STATE)
    assert "arrays.safetensors" not in Path("/proc/self/maps").read_text()


def test_saving_leaves_the_state_alone(tmp_path):
    before = digest(STATE)
    write_checkpoint(tmp_path / "c", STATE, itr=1, cum_steps=1)
    assert digest(STATE) == before
    assert np.arange(5, dtype=np.uint32).tobytes() == STATE["rng"].tobytes()


class Recorder:
    """What the operating system is asked to do, in order, with paths in place of descriptors."""

    def __init__(self, monkeypatch):
        self.calls = []
        paths = {}
        system = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename")}

        def record_open(path, *args, **kwargs):
            descriptor = system["open"](path, *args, **kwargs)
            paths[descriptor] = Path(path)
            return descriptor

        def record(name):
            def call(descriptor, *args):
                self.calls.append((name, paths[descriptor]))
                return system[name](descriptor, *args)

            return call

        def record_rename(source, target):
            self.calls.append(("rename", Path(source), Path(target)))
            return system["rename"](source, target)

        monkeypatch.setattr(os, "open", record_open)
        monkeypatch.setattr(os, "write", record("write"))
        monkeypatch.setattr(os, "fsync", record("fsync"))
        monkeypatch.setattr(os, "rename", record_rename)


@pytest.mark.faults("F17")
def test_everything_is_on_disk_before_the_rename_and_the_rename_before_return(
    tmp_path, monkeypatch
):
    recorder = Recorder(monkeypatch)
    path = tmp_path / "itr_000000001"
    write_checkpoint(path, STATE, itr=1, cum_steps=1)
    calls = recorder.calls
    (rename,) = [call for call in calls if call[0] == "rename"]
    temporary = rename[1]
    assert temporary.parent == tmp_path
    assert temporary.name.startswith(f".tmp-{os.getpid()}-")
    assert rename[2] == path
    synced = [call[1] for call in calls[: calls.index(rename)] if call[0] == "fsync"]
    assert synced == [*(temporary / name for name in FILES), temporary]
    for name in FILES:
        last_write = max(i for i, call in enumerate(calls) if call == ("write", temporary / name))
        assert last_write < calls.index(("fsync", temporary / name))
    assert calls[calls.index(rename) + 1 :] == [("fsync", tmp_path)]


@pytest.mark.faults("F21")
@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(checkpoint, name):
    (checkpoint / name).unlink()
    with pytest.raises(RlpytError, match=f"{name} is missing") as caught:
        read_checkpoint(checkpoint)
    assert caught.value.code == "checkpoint"


@pytest.mark.faults("F20")
@pytest.mark.parametrize("name", FILES)
def test_truncated_and_flipped_files_are_never_loaded(checkpoint, name):
    file = checkpoint / name
    sound = file.read_bytes()
    offsets = sorted({*np.linspace(0, len(sound) - 1, 20).astype(int).tolist()})
    for i, offset in enumerate(offsets):
        flipped = bytearray(sound)
        flipped[offset] ^= 1 << i % 8
        for damaged in (sound[:offset], bytes(flipped), sound + b"\n"):
            file.write_bytes(damaged)
            with pytest.raises(RlpytError, match="damaged") as caught:
                read_checkpoint(checkpoint)
            assert (caught.value.code, caught.value.where) == ("checkpoint", str(file))
    file.write_bytes(sound)
    assert digest(read_checkpoint(checkpoint)[0]) == digest(STATE)


def test_every_bit_of_the_manifest_counts(checkpoint):
    sound = (checkpoint / "manifest.json").read_bytes()
    for offset in range(len(sound)):
        flipped = bytearray(sound)
        flipped[offset] ^= 1 << offset % 8
        with pytest.raises(RlpytError, match="damaged"):
            Manifest.from_bytes(bytes(flipped))


def test_hashes_are_checked_before_parsing(checkpoint, monkeypatch):
    raw = bytearray((checkpoint / "arrays.safetensors").read_bytes())
    raw[-1] ^= 1
    (checkpoint / "arrays.safetensors").write_bytes(raw)
    monkeypatch.setattr(files, "read_arrays", lambda path: pytest.fail("parsed"))
    monkeypatch.setattr(files, "unflatten", lambda *args, **kwargs: pytest.fail("parsed"))
    with pytest.raises(RlpytError, match=r"arrays\.safetensors is damaged: SHA-256"):
        read_checkpoint(checkpoint)


@pytest.mark.faults("F21")
def test_future_format_is_told_from_damage(checkpoint):
    rewrite_manifest(checkpoint, format_version=99, novelty=[1])
    with pytest.raises(RlpytError, match="format version 99") as caught:
        read_checkpoint(checkpoint)
    assert caught.value.code == "version"
    assert "newer" in caught.value.hint


def test_huge_header_and_huge_manifest_are_refused(checkpoint):
    file = checkpoint / "arrays.safetensors"
    file.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    rewrite_manifest(checkpoint)
    with pytest.raises(RlpytError, match="header would be 1099511627776 bytes"):
        read_checkpoint(checkpoint)
    with file.open("wb") as arrays:
        arrays.write((17 * 2**20).to_bytes(8, "little") + b"{}")
        arrays.truncate(18 * 2**20)
    rewrite_manifest(checkpoint)
    with pytest.raises(RlpytError, match="header would be 17825792 bytes"):
        read_checkpoint(checkpoint)
    with (checkpoint / "manifest.json").open("ab") as manifest:
        manifest.truncate(2**31)
    with pytest.raises(RlpytError, match=r"manifest\.json is more than 1048576 bytes"):
        read_checkpoint(checkpoint)


def test_deeply_nested_state_is_refused(checkpoint):
    (checkpoint / "state.json").write_text("[" * 100_000 + "]" * 100_000)
    rewrite_manifest(checkpoint)
    with pytest.raises(RlpytError, match="not JSON"):
        read_checkpoint(checkpoint)


def test_no_such_checkpoint(tmp_path):
    with pytest.raises(RlpytError, match=r"manifest\.json is missing"):
        read_checkpoint(tmp_path / "itr_000000003")


class Malice:
    """Creates the file ``canary`` when unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    pickle.loads(pickle.dumps(Malice(path)))
    assert path.exists()  # the payload works
    path.unlink()
    return path


def write_pickle(path, canary, kind):
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, np.array([Malice(canary)], dtype=object), allow_pickle=True)
    elif kind == "torch":
        torch.save(Malice(canary), path)
    else:
        path.write_bytes(pickle.dumps(Malice(canary), protocol=int(kind)))


@pytest.mark.parametrize("kind", ["npy", "torch", "0", "2", "5"])
@pytest.mark.parametrize("name", ["model.pkl", "params.pt", *FILES[:2]])
def test_pickle_is_never_executed(checkpoint, canary, name, kind):
    if name in FILES:
        write_pickle(checkpoint / name, canary, kind)
        rewrite_manifest(checkpoint)
        target = checkpoint
    else:
        target = checkpoint.parent / name
        write_pickle(target, canary, kind)
    with pytest.raises(RlpytError, match="pickle is not a supported format") as caught:
        read_checkpoint(target)
    assert caught.value.code == "checkpoint"
    assert not canary.exists()


def test_pickle_beside_or_in_the_manifest_is_not_opened(checkpoint, canary):
    write_pickle(checkpoint / "model.pt", canary, "5")
    assert digest(read_checkpoint(checkpoint)[0]) == digest(STATE)
    rewrite_manifest(checkpoint, files={"model.pt": {}, "state.json": {}})
    with pytest.raises(RlpytError, match=r"model\.pt.*pickle is not a supported format"):
        read_checkpoint(checkpoint)
    write_pickle(checkpoint / "manifest.json", canary, "5")
    with pytest.raises(RlpytError, match="manifest is damaged"):
        read_checkpoint(checkpoint)
    assert not canary.exists()
