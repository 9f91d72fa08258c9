"""Archives made to do harm: refused with the reason, and nothing is left of the attempt."""

import gzip
import io
import random
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rlpyt.utils import archive
from rlpyt.utils.archive import ArchiveLimits, extract_archive
from rlpyt.utils.archive_entries import Entry
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.faults("F38")

Entries = list[tuple[str | zipfile.ZipInfo, bytes]]


def make_zip(path: Path, entries: Entries, packing: int = zipfile.ZIP_STORED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", packing) as packed:
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content in entries:
            packed.writestr(name, content)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def make_tar(path: Path, members: list[tarfile.TarInfo], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as packed:
        for info in members:
            packed.addfile(info, io.BytesIO(b"x" * info.size))
    return path


def refused(path: Path, limits: ArchiveLimits | None = None) -> str:
    """What the error says; nothing is there but the archive afterwards."""
    folder = path.parent
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(RlpytError) as caught:
        extract_archive(path, folder / "out", limits)
    assert caught.value.code == "archive"
    assert caught.value.where == str(path)
    assert sorted(folder.parent.rglob("*")) == before
    return caught.value.what


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Two folders down, so that what leads out of it is seen."""
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_files_come_out_whole(here: Path, kind: str) -> None:
    path = here / f"a.{kind}"
    if kind == "zip":
        make_zip(path, [("b/", b""), ("b/c.txt", b"x" * 5), ("d", b"")])
    else:
        folder = member("b", tarfile.DIRTYPE)
        mode = f"w:{kind.partition('.')[2]}"
        make_tar(path, [folder, member("b/c.txt", size=5), member("d")], mode)
    extract_archive(path, here / "out")
    found = {each.relative_to(here / "out").as_posix() for each in (here / "out").rglob("*")}
    assert found == {"b", "b/c.txt", "d"}
    assert (here / "out" / "b" / "c.txt").read_bytes() == b"xxxxx"
    assert sorted(each.name for each in here.iterdir()) == [path.name, "out"]


NAMES = {
    "../x": "leads out",
    "a/../../x": "leads out",
    "/etc/x": "absolute",
    "C:/x": "absolute",
    "a\\..\\x": "backslash",
    "a//b": "empty part",
    "./a": "a dot alone",
    "a\nb": "control character",
    "a" * 300: "longer than",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_no_file_may_have(here: Path, kind: str, name: str) -> None:
    if kind == "zip":
        path = make_zip(here / "a.zip", [("good", b"x"), (name, b"x")])
    else:
        path = make_tar(here / "a.tar", [member("good"), member(name)])
    what = refused(path)
    assert NAMES[name] in what
    assert ascii(name)[1:9] in what  # the entry is named


def test_a_nul_in_a_name(here: Path) -> None:
    """Python's own reader of zips ends the name there."""
    path = make_zip(here / "a.zip", [("good#../../x", b"x")])
    path.write_bytes(path.read_bytes().replace(b"good#", b"good\0"))
    assert "NUL" in refused(path)


LINKS = {
    "a symbolic link": member("a", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": member("a", tarfile.LNKTYPE, "b"),
    "a special file": member("a", tarfile.CHRTYPE),
}


@pytest.mark.parametrize("problem", LINKS)
def test_links_and_devices_in_a_tar(here: Path, problem: str) -> None:
    assert problem in refused(make_tar(here / "a.tar", [member("b"), LINKS[problem]]))


def test_a_file_with_holes_in_a_tar(here: Path) -> None:
    """Of which a few bytes of the archive make as much as one likes."""
    path = make_tar(here / "a.tar", [member("a", tarfile.GNUTYPE_SPARSE)])
    assert "a special file" in refused(path)


@pytest.mark.parametrize(("mode", "problem"), [(0o120777, "symbolic"), (0o010644, "special")])
def test_links_and_devices_in_a_zip(here: Path, mode: int, problem: str) -> None:
    info = zipfile.ZipInfo("a")
    info.external_attr = mode << 16
    assert problem in refused(make_zip(here / "a.zip", [(info, b"/etc/passwd")]))


CLASHES = {
    "there twice": ["a", "a"],
    "how letters are written": ["a/B", "a/b"],
    "only in how": ["A/x", "a/y"],
    "letters": ["stra\u00dfe", "STRASSE"],
    "is a file already": ["a", "a/b"],
    "is a folder already": ["a/b", "a"],
}


@pytest.mark.parametrize("problem", CLASHES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_clash(here: Path, kind: str, problem: str) -> None:
    names = CLASHES[problem]
    if kind == "zip":
        path = make_zip(here / "a.zip", [(name, b"x") for name in names])
    else:
        path = make_tar(here / "a.tar", [member(name) for name in names])
    assert problem in refused(path)


def test_a_bomb_in_a_zip(here: Path) -> None:
    content = bytes(8 * 2**20)
    path = make_zip(here / "a.zip", [("bomb", content)], zipfile.ZIP_DEFLATED)
    what = refused(path)
    assert "'bomb'" in what
    assert "more than 200 for one" in what
    extract_archive(path, here / "out", ArchiveLimits(ratio=2000))  # the limit is what refuses it


def test_a_bomb_beside_what_does_not_pack(here: Path) -> None:
    """All in all it is no bomb."""
    noise = random.Random(0).randbytes(2**17)
    entries: Entries = [("noise", noise), ("bomb", bytes(8 * 2**20))]
    path = make_zip(here / "a.zip", entries, zipfile.ZIP_DEFLATED)
    assert 100 * path.stat().st_size > 8 * 2**20
    assert "entry 'bomb': 8388608 bytes out of" in refused(path)


def test_many_little_bombs(here: Path) -> None:
    """Each of them within the first MiB, which is free."""
    entries: Entries = [(f"a{n}", bytes(2**20 - 1)) for n in range(20)]
    path = make_zip(here / "a.zip", entries, zipfile.ZIP_DEFLATED)
    assert f"bytes out of {path.stat().st_size}, more than 200 for one" in refused(path)


@pytest.mark.parametrize("where", ["content", "header"])
def test_a_bomb_in_a_tar(here: Path, where: str) -> None:
    path = here / "a.tar.gz"
    info = member("bomb", size=8 * 2**20)
    if where == "header":  # which is read into memory before there is an entry
        info = member("bomb")
        info.pax_headers = {"comment": "x" * (8 * 2**20)}
    plain = make_tar(here / "a.tar", [info])
    path.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert "more than" in refused(path)


def test_entries_over_one_another(here: Path) -> None:
    """Each name a copy of the same bytes: the ratio of none is large."""
    path = make_zip(here / "a.zip", [("a", b"x" * 3000), ("b", b"y" * 3000)])
    data = bytearray(path.read_bytes())
    second = data.rfind(b"PK\1\2")
    struct.pack_into("<II", data, second + 20, 6000, 6000)
    path.write_bytes(data)
    assert "over other entries" in refused(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_entries(here: Path, kind: str) -> None:
    limits = ArchiveLimits(entries=10)
    names = [f"a{n}" for n in range(11)]
    if kind == "zip":
        path = make_zip(here / "a.zip", [(name, b"") for name in names])
    else:
        path = make_tar(here / "a.tar", [member(name) for name in names])
    assert "more than 10" in refused(path, limits)
    extract_archive(path, here / "out", ArchiveLimits(entries=11))


def test_a_million_entries_are_refused_before_they_are_read(here: Path) -> None:
    """By what the end of the file says, also where it lies about the number."""
    path = make_zip(here / "a.zip", [("a", b"")])
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    struct.pack_into("<H", data, end + 10, 65_534)
    path.write_bytes(data)
    assert "it has 65534 entries" in refused(path)
    struct.pack_into("<HI", data, end + 10, 1, 2**31)
    path.write_bytes(data)
    assert "its directory has 2147483648 bytes" in refused(path)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 10**6, 10**6, 46 * 10**6, 0)
    path.write_bytes(data[:end] + record + locator + data[end:])
    assert "it has 1000000 entries" in refused(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_bytes(here: Path, kind: str) -> None:
    if kind == "zip":
        path = make_zip(here / "a.zip", [("a", b"x" * 600), ("b", b"x" * 600)])
    else:
        path = make_tar(here / "a.tar", [member("a", size=600), member("b", size=600)])
    assert "entry 'b': more than 1000 bytes in all" in refused(
        path, ArchiveLimits(total_bytes=1000)
    )


def zip_that_says(here: Path, size: int) -> Path:
    """A zip whose one entry has 3000 bytes, and by both of its headers ``size``."""
    path = make_zip(here / "a.zip", [("a", b"x" * 3000)], zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", data, data.find(mark) + offset, size)
    path.write_bytes(data)
    return path


def test_an_entry_that_is_longer_than_it_says(here: Path) -> None:
    assert "'a' is damaged" in refused(zip_that_says(here, 10))


def test_an_entry_that_is_shorter_than_it_says(here: Path) -> None:
    """Whose checksum is right."""
    assert "'a' is 2000 bytes shorter than it says" in refused(zip_that_says(here, 5000))


def test_what_a_library_reads_beyond_the_size_is_not_written(here: Path) -> None:
    """Python's zipfile does not."""
    with pytest.raises(RlpytError, match="longer than the 10 bytes it says"):
        archive._write(here, here, Entry("a", 10, None, False, ""), io.BytesIO(b"x" * 11))
    assert (here / "a").read_bytes() == b""


def test_what_only_some_can_read(here: Path) -> None:
    path = make_zip(here / "a.zip", [("a", b"x")], zipfile.ZIP_BZIP2)
    assert "packed by method 12, not stored or deflated" in refused(path)
    path = make_zip(here / "a.zip", [("a", b"x")])
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert "entry 'a' is refused: encrypted" in refused(path)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: data[:40] + bytes([data[40] ^ 0xFF]) + data[41:],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_damaged_archives(here: Path, kind: str, damage: str) -> None:
    path = here / f"a.{kind}"
    if kind == "zip":
        make_zip(path, [("a" * 8, bytes(range(256)) * 20)])
    else:
        make_tar(path, [member("a", size=5000)], f"w:{kind.partition('.')[2]}")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    refused(path)


def test_a_tar_that_is_another_one_by_the_second_look(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_tar(here / "a.tar", [member("good")])
    other = make_tar(here / "b.tar", [member("../x")])
    harmful, look = other.read_bytes(), archive.check_entries
    other.unlink()

    def look_and_change(*args: Any) -> None:
        look(*args)
        path.write_bytes(harmful)

    monkeypatch.setattr(archive, "check_entries", look_and_change)
    assert "leads out" in refused(path)


def test_what_is_no_archive(here: Path) -> None:
    path = here / "a.zip"
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    assert refused(path) == "it is neither a zip nor a tar"


def test_a_directory_that_is_there_stays(here: Path) -> None:
    path = make_zip(here / "a.zip", [("a", b"x")])
    (here / "out").mkdir()
    with pytest.raises(RlpytError, match="is there already"):
        extract_archive(path, here / "out")
    assert list((here / "out").iterdir()) == []
