"""``rlpyt pack`` and ``rlpyt unpack``: a run directory as one file, to hand to somebody."""

import argparse
import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlpyt.checkpoint.files import temporary_path
from rlpyt.checkpoint.lock import RunLock
from rlpyt.cli.arguments import positive
from rlpyt.cli.command import Command
from rlpyt.cli.rundir import find_run
from rlpyt.utils.archive import unpacked
from rlpyt.utils.archive_entries import ArchiveLimits
from rlpyt.utils.errors import RlpytError

__all__ = ["PACK", "UNPACK"]

_LIST = "rlpyt_pack.json"
_MAX_LIST = 64 * 2**20  # bytes
_FORMAT = 1
_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same archive
_GIB = 2**30
_OURS = ("rlpyt.", "torch.nn.", "torch.optim.")  # there is more in torch: what loads, what runs


def _add_pack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")
    parser.add_argument("file", type=Path, metavar="FILE", help="the archive, new: run.zip")


def _pack(args: argparse.Namespace, overrides: list[str]) -> int:
    run_dir: Path = find_run(args.run_dir)
    path: Path = args.file
    if path.exists():
        raise RlpytError("usage", f"{path} is there already", hint="choose another name")
    temporary = temporary_path(path)
    try:
        with RunLock(run_dir):  # a run that goes on would change its files meanwhile
            files = _write(run_dir, temporary)
        temporary.rename(path)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror}"
        raise RlpytError("directory", what, where=str(error.filename or run_dir)) from error
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{len(files)} files of {run_dir} are in {path}, {path.stat().st_size:,} bytes")
    print(f"unpack it with `rlpyt unpack {path} DIR`")
    return 0


def _write(run_dir: Path, path: Path) -> dict[str, dict[str, Any]]:
    """The archive: nothing is compressed, so that no size in it looks like a bomb's."""
    files: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for name in sorted(_names(run_dir)):
            digest, size = hashlib.sha256(), 0
            with (
                (run_dir / name).open("rb") as source,
                archive.open(_info(name), "w", force_zip64=True) as target,
            ):
                while chunk := source.read(2**20):
                    digest.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
            files[name] = {"size": size, "sha256": digest.hexdigest()}
        content = json.dumps({"format": _FORMAT, "files": files}, indent=1, sort_keys=True)
        archive.writestr(_info(_LIST), f"{content}\n")
    return files


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _names(run_dir: Path) -> Iterator[str]:
    """Of all files but locks and what is being written.

    Raises:
        RlpytError: ``archive``, for links and special files, which no archive of ours has.
    """
    for path in run_dir.rglob("*"):
        name = path.relative_to(run_dir).as_posix()
        if any(part == ".lock" or part.startswith(".tmp-") for part in name.split("/")):
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            what = f"{name} is a link or a special file"
            raise RlpytError("archive", what, where=str(run_dir), hint="take it away, or copy it")
        if path.is_file():
            yield name


def _add_unpack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what rlpyt pack wrote")
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory, new")
    parser.add_argument(
        "--trust", action="store_true", help="also where its settings name code that is not rlpyt's"
    )
    parser.add_argument(
        "--max-gib", type=positive, default=64, metavar="N", help="at most so much (default 64)"
    )


def _unpack(args: argparse.Namespace, overrides: list[str]) -> int:
    directory: Path = args.directory
    if directory.exists() or directory.is_symlink():
        hint = "choose another directory"
        raise RlpytError("directory", f"{directory} is there already", hint=hint)
    limits = ArchiveLimits(total_bytes=args.max_gib * _GIB)
    with unpacked(args.file, directory.absolute().parent, limits) as folder:
        _verify(folder, args.file)
        if not args.trust:
            _refuse_code(_code_named(folder / "params.json"), args.file)
        try:
            folder.rename(directory)
        except OSError as error:
            raise RlpytError("directory", f"cannot make {directory}: {error.strerror}") from error
    print(f"{directory} holds the run; evaluate it with `rlpyt eval {directory}`")
    return 0


def _verify(folder: Path, path: Path) -> None:
    """Raise unless the files are those of the list, which is taken away."""
    listed = folder / _LIST
    try:
        if listed.stat().st_size > _MAX_LIST:
            raise ValueError("it is too long")
        content = json.loads(listed.read_bytes())
        files = {
            str(name): (file["size"], file["sha256"]) for name, file in content["files"].items()
        }
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']!r}, not {_FORMAT}")
    except FileNotFoundError as error:
        hint = "give what `rlpyt pack` wrote"
        raise RlpytError("archive", f"it has no {_LIST}", where=str(path), hint=hint) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RlpytError("archive", f"{_LIST} is damaged: {error}", where=str(path)) from error
    listed.unlink()
    found = {
        each.relative_to(folder).as_posix(): each for each in folder.rglob("*") if each.is_file()
    }
    for name in sorted(files.keys() ^ found.keys()):
        what = f"{name!a} is {'not there' if name in files else 'in no list'}"
        raise RlpytError("archive", what, where=str(path), hint="get the archive again")
    for name, (size, sha256) in files.items():
        with found[name].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if (found[name].stat().st_size, digest) != (size, sha256):
            what = f"{name!a} is damaged: SHA-256 {digest}, not {sha256}"
            raise RlpytError("archive", what, where=str(path), hint="get the archive again")


def _refuse_code(names: list[str], path: Path) -> None:
    """Raise where there are any: commands on the run would import and call them."""
    if names:
        shown = ", ".join(ascii(name) for name in names[:5]) + ", ..." * (len(names) > 5)
        what = f"its settings name code that is not rlpyt's: {shown}"
        hint = "rlpyt eval would call it; where you trust who packed the run, give --trust"
        raise RlpytError("archive", what, where=str(path), hint=hint)


def _code_named(path: Path) -> list[str]:
    """What in the settings is not ours and would be imported: ``module:name``, and classes."""
    try:
        settings = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    found: dict[str, None] = {}

    def look(node: Any, key: str) -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                look(value, name)
        elif isinstance(node, list):
            for value in node:
                look(value, key)
        elif isinstance(node, str):
            is_class = key == "class" and not node.startswith("rlpyt.")
            module, colon, _name = node.partition(":")
            is_foreign = bool(colon) and not f"{module}.".startswith(_OURS)
            if is_class or (is_foreign and module.replace(".", "").isidentifier()):
                found[node] = None

    if isinstance(settings, dict):  # "extra" was noted, and is never built
        look({name: value for name, value in settings.items() if name != "extra"}, "")
    return list(found)


PACK = Command(
    summary="a run directory as one archive",
    description=(
        "Put the run in RUN_DIR, which has ended, into FILE, a zip, with the SHA-256 of each file."
    ),
    examples="example:\n  rlpyt pack data/cartpole cartpole.zip",
    add_arguments=_add_pack_arguments,
    run=_pack,
)
"""``rlpyt pack``."""

UNPACK = Command(
    summary="the run in an archive of rlpyt pack",
    description=(
        "Make DIR of what is in FILE. Names that lead out of it, links, bombs and damaged files\n"
        "are refused, and then nothing is left. A run's settings name the environment and other\n"
        "code that `rlpyt eval` calls: where that is not rlpyt's own, it is refused\n"
        "without --trust."
    ),
    examples="example:\n  rlpyt unpack cartpole.zip data/theirs",
    add_arguments=_add_unpack_arguments,
    run=_unpack,
)
"""``rlpyt unpack``."""
