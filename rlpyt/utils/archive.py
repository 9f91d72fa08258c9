"""Archives from others: all names are looked at first, then the files are written beside, checked,
and renamed.
"""

import bz2
import gzip
import lzma
import os
import secrets
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast, final

from rlpyt.utils.archive_entries import (
    ArchiveLimits,
    Entry,
    archive_error,
    check_entries,
    check_zip_directory,
    tar_entries,
    zip_entries,
)
from rlpyt.utils.errors import RlpytError

__all__ = ["ArchiveLimits", "extract_archive", "unpacked"]

_Write = Callable[[Path], None]
_CHUNK = 2**20
_MAGIC = 262  # bytes that tell the formats apart
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a zip of a later version
    RuntimeError,  # encrypted
    UnicodeDecodeError,
    ValueError,  # numbers of a header that are none
    OverflowError,
)


def extract_archive(path: Path, directory: Path, limits: ArchiveLimits | None = None) -> None:
    """Take all files out of the zip or tar (plain, gzip, bzip2, xz) at ``path`` into the new
    ``directory``.

    Either all are there or ``directory`` is not. Refused are names that are absolute, lead out
    (``..``), have a backslash or a control character, are there twice or differ in case alone;
    links, devices and other special files; and what passes ``limits``. Permissions, owners and
    times of the archive are not taken over.

    Raises:
        RlpytError: ``archive``, naming the entry and the reason or limit; ``directory``, where
            ``directory`` is there already or cannot be written.
    """
    if directory.exists() or directory.is_symlink():
        hint = "choose another directory"
        raise RlpytError("directory", f"{directory} is there already", hint=hint)
    with unpacked(path, directory.absolute().parent, limits) as folder:
        folder.rename(directory)


@contextmanager
def unpacked(path: Path, parent: Path, limits: ArchiveLimits | None = None) -> Iterator[Path]:
    """Context with the archive's files in a new folder in ``parent``, taken away again at the end,
    unless it was renamed. Refused is what :func:`extract_archive` refuses.

    Raises:
        RlpytError: as :func:`extract_archive` does.
    """
    temporary = parent / f".tmp-{os.getpid()}-{secrets.token_hex(4)}-unpacked"
    try:
        _unpack(path, temporary, limits or ArchiveLimits())
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack(path: Path, folder: Path, limits: ArchiveLimits) -> None:
    try:
        with path.open("rb") as file:
            write = _writer(path, file, limits)
            folder.mkdir(parents=True)
            write(folder)
    except _DAMAGED as error:
        raise archive_error(path, f"it is no whole archive: {error}", "get it again") from error
    except OSError as error:
        what = f"cannot unpack {path}: {error.strerror or error}"
        raise RlpytError("directory", what, where=str(error.filename or folder)) from error


def _writer(path: Path, file: IO[bytes], limits: ArchiveLimits) -> _Write:
    """What writes the files of the archive, which has been looked at, into a folder."""
    magic = file.read(_MAGIC)
    file.seek(0)
    if magic.startswith(b"PK"):
        return _checked_zip(path, file, limits)
    return _checked_tar(path, file, magic, limits)


def _checked_zip(path: Path, file: IO[bytes], limits: ArchiveLimits) -> _Write:
    check_zip_directory(path, file, limits)
    archive = zipfile.ZipFile(file)
    check_entries(path, zip_entries(archive), limits)

    def write(folder: Path) -> None:
        for info, entry in zip(archive.infolist(), zip_entries(archive), strict=True):
            _write(path, folder, entry, None if entry.is_directory else archive.open(info))

    return write


def _checked_tar(path: Path, file: IO[bytes], magic: bytes, limits: ArchiveLimits) -> _Write:
    def opened() -> tarfile.TarFile:
        file.seek(0)
        most = min(limits.total_bytes, int(_CHUNK + limits.ratio * path.stat().st_size))
        stream = _Counted(path, _stream(path, file, magic), most + _CHUNK)
        return tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", errors="strict")

    with opened() as archive:
        check_entries(path, tar_entries(archive), limits)

    def write(folder: Path) -> None:
        with opened() as archive:
            for member in archive:
                [entry] = tar_entries(cast(tarfile.TarFile, [member]))
                check_entries(path, [entry], limits)  # the file may be another one by now
                _write(path, folder, entry, archive.extractfile(member))

    return write


def _stream(path: Path, file: IO[bytes], magic: bytes) -> IO[bytes]:
    """The plain bytes of a tar."""
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=file))
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(file)
    if magic[257:262] == b"ustar":
        return file
    hint = "pickle is not a supported format" if magic[:1] == b"\x80" else ""
    raise archive_error(path, "it is neither a zip nor a tar", hint or "give another file")


@final
class _Counted:
    """A stream that ends with an error where it is longer than it may be: headers count too."""

    def __init__(self, path: Path, stream: IO[bytes], most: int) -> None:
        self._path, self._stream, self._most = path, stream, most
        self._read = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._read += len(data)
        if self._read > self._most:
            raise archive_error(self._path, f"it is more than {self._most} bytes long, unpacked")
        return data


def _write(path: Path, folder: Path, entry: Entry, source: IO[bytes] | None) -> None:
    """One entry, which has been looked at."""
    target = folder / entry.name
    if source is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.size
    try:
        with source, target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    what = f"entry {entry.name!a} is longer than the {entry.size} bytes it says"
                    raise archive_error(path, what)
                file.write(chunk)
    except _DAMAGED as error:
        what = f"entry {entry.name!a} is damaged: {error}"
        raise archive_error(path, what, "get the archive again") from error
    if left:
        what = f"entry {entry.name!a} is {left} bytes shorter than it says"
        raise archive_error(path, what, "get the archive again")
