"""A disk that can be full: a file system in memory, in a namespace of mounts of our own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

__all__ = ["SmallDisk", "in_a_namespace", "small_disk"]


def in_a_namespace(words: list[str]) -> NoReturn:
    """Become the script once more, with ``words``, where what it mounts is its own.

    SQLite looks at paths with every link resolved, which from outside of a namespace leads past
    what is mounted in it: who works on the small disk has to live beside it.
    """
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    os.execvp(unshare[0], [*unshare, sys.executable, *words])


@dataclass
class SmallDisk:
    """A folder that takes so much and no more."""

    path: Path

    def fill(self) -> None:
        """To the last byte."""
        with (self.path / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while True:  # without a buffer: what stood in it would be written at the end again
                file.write(bytes(2**20))

    def free(self) -> None:
        """As before."""
        (self.path / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A tmpfs of ``size`` over ``folder``, for the processes of this namespace.

    Raises:
        RuntimeError: where the system grants no mounts.
    """
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{folder}: nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
