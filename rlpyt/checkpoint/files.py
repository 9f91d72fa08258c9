"""One checkpoint: a directory of three files that is either there, whole, or not there at all.

``arrays.safetensors`` holds the tensors, ``state.json`` the tree they hang in, ``manifest.json``
the rest (see :mod:`rlpyt.checkpoint.manifest`). Nothing in it is code and no reader of code is ever
called.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rlpyt.checkpoint.arrays import array_chunks, read_arrays
from rlpyt.checkpoint.manifest import FileRecord, Manifest
from rlpyt.checkpoint.snapshot import Snapshot
from rlpyt.checkpoint.tree import Json, unflatten
from rlpyt.utils.errors import RlpytError

__all__ = [
    "read_checkpoint",
    "read_manifest",
    "replace_file",
    "storage_error",
    "temporary_path",
    "write_checkpoint",
]

_ARRAYS = "arrays.safetensors"
_STATE = "state.json"
_MANIFEST = "manifest.json"
_MAX_STATE = 256 * 2**20  # bytes
_MAX_MANIFEST = 2**20  # bytes


def temporary_path(path: Path) -> Path:
    """A fresh hidden name beside ``path``: ``.tmp-<pid>-<random>-<name>``."""
    return path.parent / f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{path.name}"


def write_checkpoint(
    path: Path,
    state: Any,
    *,
    itr: int,
    cum_steps: int,
    metrics: dict[str, float] | None = None,
    score: float | None = None,
    make_parents: bool = True,
) -> Manifest:
    """Write ``state``, or a :class:`Snapshot` of it, as the new checkpoint directory ``path``;
    where there is nothing to hold it, that is made, unless ``make_parents`` is false.

    The files are written and fsynced under a temporary name, the directory is renamed, and its
    parent fsynced: a crash or a loss of power at any point leaves all of ``path`` or nothing.

    Raises:
        RlpytError: ``checkpoint``, for a state that cannot be saved, or where the disk is full or
            cannot be written (with the bytes needed and free); nothing is left behind then.
    """
    snapshot = Snapshot.of(state)
    text = _render(snapshot.skeleton)
    size, chunks = array_chunks(snapshot.arrays)
    temporary = temporary_path(path)
    try:
        temporary.mkdir(parents=make_parents)
        files = {
            _ARRAYS: _write_file(temporary / _ARRAYS, chunks, snapshot.look),
            _STATE: _write_file(temporary / _STATE, [text]),
        }
        manifest = Manifest(
            itr=itr, cum_steps=cum_steps, files=files, metrics=metrics or {}, score=score
        )
        _write_file(temporary / _MANIFEST, [manifest.to_bytes()])
        _fsync_directory(temporary)
        os.rename(temporary, path)
        _fsync_directory(path.parent)
    except OSError as error:
        raise storage_error(path, error, size + len(text)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # after the rename there is none
    return manifest


def replace_file(path: Path, content: bytes) -> None:
    """Write ``path`` anew: a reader, and the disk after a crash, has the old content or the new.

    Raises:
        RlpytError: ``checkpoint``, where the disk is full or cannot be written.
    """
    temporary = temporary_path(path)
    try:
        _write_file(temporary, [content])
        os.rename(temporary, path)
        _fsync_directory(path.parent)
    except OSError as error:
        raise storage_error(path, error, len(content)) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the checkpoint directory ``path``.

    Raises:
        RlpytError: ``checkpoint`` if ``path`` is no checkpoint or its manifest is missing or
            damaged; ``version`` if it is of another format version.
    """
    if path.is_file():
        raise RlpytError(
            "checkpoint",
            f"{path.name} is a file: a checkpoint is a directory, "
            "and pickle is not a supported format",
            where=str(path),
            hint=f"pass the directory that holds {_MANIFEST}",
        )
    raw = _read_file(path / _MANIFEST, _MAX_MANIFEST)
    return Manifest.from_bytes(raw, where=str(path / _MANIFEST))


def read_checkpoint(path: Path) -> tuple[Any, Manifest]:
    """The state in the checkpoint directory ``path``, and its manifest.

    Sizes and SHA-256 of all files are checked before any of them is parsed.

    Raises:
        RlpytError: ``checkpoint``, naming the file that is missing or damaged; ``version`` for
            another format version.
    """
    manifest = read_manifest(path)
    if manifest.files.keys() != {_ARRAYS, _STATE}:
        what = (
            f"the manifest lists {sorted(manifest.files)}, not {[_ARRAYS, _STATE]}; "
            "pickle is not a supported format"
        )
        raise RlpytError("checkpoint", what, where=str(path))
    for name, record in manifest.files.items():
        _verify(path / name, record)
    text = _read_file(path / _STATE, _MAX_STATE)
    try:
        skeleton = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = f"{_STATE} is not JSON: {error}; pickle is not a supported format"
        raise RlpytError("checkpoint", what, where=str(path / _STATE)) from error
    try:
        arrays = read_arrays(path / _ARRAYS)
    except OSError as error:
        raise _unreadable(path / _ARRAYS, error) from error
    return unflatten(arrays, skeleton, where=str(path / _STATE)), manifest


def storage_error(path: Path, error: OSError, needed: int | None = None) -> RlpytError:
    """The error for ``path`` that could not be written: the cause, and bytes needed and free."""
    existing = next(parent for parent in path.absolute().parents if os.access(parent, os.F_OK))
    free = shutil.disk_usage(existing).free
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return RlpytError(
        "checkpoint",
        f"cannot write {path.name}: {error.strerror} ({errno.errorcode.get(error.errno or 0)}); "
        f"about {'?' if needed is None else needed} bytes needed, {free} free",
        where=str(path.parent),
        hint=("free some space" if full else "check that the directory is there and writable")
        + "; checkpoints written before are untouched",
    )


def _render(skeleton: Json) -> bytes:
    text = json.dumps(skeleton, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > _MAX_STATE:
        what = f"the state outside of arrays takes {len(text)} bytes; {_MAX_STATE} is the most"
        raise RlpytError("checkpoint", what, hint="keep lists of numbers in one array")
    return text


def _write_file(
    path: Path, chunks: Iterable[bytes | memoryview], look: Callable[[], None] | None = None
) -> FileRecord:
    digest = hashlib.sha256()
    size = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for chunk in chunks:
            if look is not None:
                look()
            digest.update(chunk)
            size += len(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return FileRecord(size, digest.hexdigest())


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _verify(path: Path, record: FileRecord) -> None:
    try:
        size = path.stat().st_size
        if size == record.size:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    if size != record.size:
        what = f"{path.name} is damaged: {size} bytes long, not {record.size}"
        raise RlpytError("checkpoint", what, where=str(path))
    if digest != record.sha256:
        what = f"{path.name} is damaged: SHA-256 {digest}, not {record.sha256}"
        raise RlpytError("checkpoint", what, where=str(path))


def _read_file(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > limit:
        what = f"{path.name} is more than {limit} bytes long"
        raise RlpytError("checkpoint", what, where=str(path))
    return content


def _unreadable(path: Path, error: OSError) -> RlpytError:
    if error.errno == errno.ENOENT:
        return RlpytError("checkpoint", f"{path.name} is missing", where=str(path))
    return RlpytError("checkpoint", f"cannot read {path.name}: {error.strerror}", where=str(path))
