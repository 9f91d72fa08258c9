"""A file system of a few MB of its own, in a user namespace: no privileges are needed, and nobody
else sees it. It can be full, and it can be read-only, for root too.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class SmallDisk:
    """Mounted, as long as a shell in its namespace lives; ``path`` leads there from outside."""

    shell: "subprocess.Popen[str]"
    path: Path

    def do(self, command: str) -> str:
        """Run ``command`` in the namespace; its last line of output."""
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f"{command}; echo $?\n")
        self.shell.stdin.flush()
        return self.shell.stdout.readline().strip()

    def fill(self) -> None:
        """To the last byte."""
        self.do(f"cat /dev/zero > {self._inside}/filler 2> /dev/null")

    def free(self) -> None:
        (self.path / "filler").unlink()

    def make_read_only(self) -> None:
        assert self.do(f"mount -o remount,ro {self._inside}") == "0"

    def cover_read_only(self, folder: str) -> None:
        """Nothing can be written to ``folder`` from now on, by anybody."""
        mount = f"mount -t tmpfs -o ro,size=64k tmpfs {self._inside}/{folder}"
        assert self.do(mount) == "0"

    def uncover(self, folder: str) -> None:
        assert self.do(f"umount {self._inside}/{folder}") == "0"

    @property
    def _inside(self) -> str:
        return "/" + str(self.path).split("/root/", 1)[1]


@contextmanager
def small_disk(folder: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """A tmpfs of ``size``; skips the test where the system grants no user namespaces."""
    shell = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    disk = SmallDisk(shell, Path(f"/proc/{shell.pid}/root{folder}"))
    try:
        try:
            is_mounted = disk.do(f"mount -t tmpfs -o size={size} tmpfs {folder}") == "0"
        except BrokenPipeError:
            is_mounted = False
        if not is_mounted:
            pytest.skip("user namespaces with mounts are not granted here")
        yield disk
    finally:
        shell.kill()
        shell.communicate()
