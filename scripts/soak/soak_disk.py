"""A disk that can be full: a file system in memory, in a user namespace of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SmallDisk", "small_disk"]


@dataclass
class SmallDisk:
    """Mounted as long as a shell in its namespace lives; ``path`` leads there from outside."""

    path: Path

    def fill(self) -> None:
        """To the last byte."""
        with (self.path / "filler").open("wb") as file:
            try:
                while True:
                    file.write(bytes(2**20))
                    file.flush()
            except OSError:
                return

    def free(self) -> None:
        """As before."""
        (self.path / "filler").unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A tmpfs of ``size`` over ``folder``, which only its namespace sees there.

    Raises:
        RuntimeError: where the system grants no user namespaces.
    """
    shell = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    try:
        shell.stdin.write(f"mount -t tmpfs -o size={size} tmpfs '{folder}'; echo $?\n")
        shell.stdin.flush()
        if shell.stdout.readline().strip() != "0":
            raise RuntimeError("no user namespace with mounts is granted here")
        yield SmallDisk(Path(f"/proc/{shell.pid}/root{folder}"))
    finally:
        shell.kill()
        shell.communicate()
