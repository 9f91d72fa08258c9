"""What an archive says it holds, looked at before anything of it is written."""

import stat
import struct
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple, final

from rlpyt.utils.errors import RlpytError

__all__ = [
    "ArchiveLimits",
    "Entry",
    "archive_error",
    "check_entries",
    "check_zip_directory",
    "tar_entries",
    "zip_entries",
]

_MAX_PART = 255  # bytes, of most file systems
_MAX_NAME = 1024  # bytes
_MEBI = 2**20
_PLAIN_ZIP: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _END_64, _LOCATOR = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_END_SIZE, _LOCATOR_SIZE, _END_64_SIZE = 22, 20, 56
_BYTES_PER_ENTRY = 46 + 2 * _MAX_NAME  # of a zip's directory, name and extra fields included


@final
@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """What an archive may hold. ``ratio`` is bytes unpacked for each byte packed, of one entry and
    of all; the first MiB is free.
    """

    entries: int = 10_000
    total_bytes: int = 64 * 2**30
    ratio: float = 200.0


class Entry(NamedTuple):
    """One name in an archive."""

    name: str  # parts joined by "/"
    size: int  # bytes, unpacked
    packed: int | None  # bytes in the archive; None where entries are not packed one by one
    is_directory: bool
    problem: str  # what kind of thing it is, where it is neither file nor directory; else ""


def archive_error(path: Path, what: str, hint: str = "") -> RlpytError:
    """The error for the archive at ``path``."""
    hint = hint or "take nothing out of it by other means: it was made to do harm, or is damaged"
    return RlpytError("archive", what, where=str(path), hint=hint)


def zip_entries(archive: zipfile.ZipFile) -> Iterable[Entry]:
    """Those of a zip, with their names as they stand in it."""
    for info in archive.infolist():
        mode, problem = info.external_attr >> 16, ""
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = "a symbolic link" if stat.S_ISLNK(mode) else "a special file"
        elif info.flag_bits & 1:
            problem = "encrypted"
        elif info.compress_type not in _PLAIN_ZIP:
            problem = f"packed by method {info.compress_type}, not stored or deflated"
        # orig_filename: the other name ends where a NUL stands.
        name = info.orig_filename
        is_directory = name.endswith("/")
        yield Entry(
            name.removesuffix("/"), info.file_size, info.compress_size, is_directory, problem
        )


def tar_entries(archive: tarfile.TarFile) -> Iterable[Entry]:
    """Those of a tar, as they are read."""
    for member in archive:
        problem = ""
        if member.issym():
            problem = "a symbolic link"
        elif member.islnk():
            problem = "a hard link"
        elif not (member.isreg() or member.isdir()) or member.sparse is not None:
            problem = "a special file"
        name = member.name.removesuffix("/")
        yield Entry(name, member.size, None, member.isdir(), problem)


def check_entries(path: Path, entries: Iterable[Entry], limits: ArchiveLimits) -> None:
    """Raise for the first entry that may not be taken out.

    Raises:
        RlpytError: ``archive``, naming the entry and what is wrong with it, or the limit.
    """
    names = _Names()
    packed_size = path.stat().st_size
    total = packed = 0
    for count, entry in enumerate(entries, 1):
        shown = ascii(entry.name[:_MAX_NAME])
        if count > limits.entries:
            raise archive_error(path, f"entry {shown}: more than {limits.entries} entries")
        problem = entry.problem or _name_problem(entry.name)
        problem = problem or names.add(entry)
        if problem:
            raise archive_error(path, f"entry {shown} is refused: {problem}")
        total += entry.size
        packed += entry.packed or 0
        if total > limits.total_bytes:
            raise archive_error(path, f"entry {shown}: more than {limits.total_bytes} bytes in all")
        for size, of in ((entry.size, entry.packed), (total, packed_size)):
            if of is not None and size > _MEBI + limits.ratio * of:
                what = (
                    f"entry {shown}: {size} bytes out of {of}, more than {limits.ratio:g} for one"
                )
                raise archive_error(path, what)
        if packed > packed_size:
            raise archive_error(path, f"entry {shown} lies over other entries")


def _name_problem(name: str) -> str:
    """Why no file may have this name; "" where one may."""
    if "\0" in name or any(unicodedata.category(letter) == "Cc" for letter in name):
        return "its name has a NUL or another control character"
    if "\\" in name:
        return "its name has a backslash"
    if name.startswith("/") or (name[1:2] == ":" and name[:1].isalpha()):
        return "its name is absolute"
    parts = name.split("/")
    if ".." in parts:
        return "its name leads out of the folder (..)"
    if "" in parts or "." in parts:
        return "its name has an empty part, or a dot alone"
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if max(sizes) > _MAX_PART or sum(sizes) > _MAX_NAME:
        return f"its name is longer than {_MAX_NAME} bytes, or a part of it than {_MAX_PART}"
    return ""


@final
class _Names:
    """The names before, and why another one cannot stand beside them."""

    def __init__(self) -> None:
        self._written: dict[str, str] = {}  # folded name to name, of entries and their folders
        self._entries: set[str] = set()
        self._files: set[str] = set()

    def add(self, entry: Entry) -> str:
        """Why the entry is refused; "" where it is not."""
        if entry.name in self._entries:
            return "its name is there twice"
        parts = entry.name.split("/")
        for end in range(1, len(parts) + 1):
            name = "/".join(parts[:end])
            is_new = _folded(name) not in self._written
            before = self._written.setdefault(_folded(name), name)
            if before != name:
                return f"its name differs from {before!a} only in how letters are written"
            if name in self._files:
                return f"{name!a} is a file already"
            if end == len(parts) and not entry.is_directory:
                if not is_new:
                    return "it is a folder already"
                self._files.add(name)
        self._entries.add(entry.name)
        return ""


def _folded(name: str) -> str:
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_zip_directory(path: Path, file: IO[bytes], limits: ArchiveLimits) -> None:
    """Raise where a zip's directory is too large to be looked at entry by entry.

    Raises:
        RlpytError: ``archive``, with the limit.
    """
    size = path.stat().st_size
    start = max(0, size - _END_SIZE - 0xFFFF - _LOCATOR_SIZE)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_SIZE > len(tail):
        raise archive_error(path, "it is no whole zip file: it has no directory")
    count, n_bytes = struct.unpack_from("<HI", tail, at + 10)
    locator = tail[at - _LOCATOR_SIZE : at] if at >= _LOCATOR_SIZE else b""
    if locator.startswith(_LOCATOR):
        file.seek(min(size, struct.unpack_from("<Q", locator, 8)[0]))
        record = file.read(_END_64_SIZE)
        if len(record) < _END_64_SIZE or not record.startswith(_END_64):
            raise archive_error(path, "it is no whole zip file: its directory is not where it says")
        count, n_bytes = struct.unpack_from("<QQ", record, 32)
    file.seek(0)
    if count > limits.entries:
        raise archive_error(path, f"it has {count} entries, more than {limits.entries}")
    if n_bytes > limits.entries * _BYTES_PER_ENTRY:
        most = limits.entries * _BYTES_PER_ENTRY
        raise archive_error(path, f"its directory has {n_bytes} bytes, more than {most}")
