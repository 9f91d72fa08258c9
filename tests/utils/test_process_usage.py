"""What processes use."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlpyt.utils.process_usage import ProcessUsage

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# A parent that sleeps, and a child that computes and holds 64 MiB.
CHILD = "x = bytearray(1 << 26)\nwhile True: pass"
PARENT = (
    "import subprocess, sys\n"
    f"child = subprocess.Popen([sys.executable, '-c', {CHILD!r}])\n"
    "print(child.pid, flush=True)\n"
    "sys.stdin.read()\n"
    "child.kill()\nchild.wait()"
)


def test_a_process_with_what_it_has_started():
    with subprocess.Popen(
        [sys.executable, "-S", "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        usage = ProcessUsage()
        time.sleep(0.3)
        assert usage.look([parent.pid])[parent.pid].cpu is None
        time.sleep(0.6)
        found = usage.look([parent.pid, 2**30])
        parent.communicate("")
    assert set(found) == {parent.pid}
    cpu, memory = found[parent.pid]
    assert cpu is not None
    assert 5 < cpu < 150  # the machine may be busy
    assert 1 << 26 < memory < 1 << 28
    assert usage.look([parent.pid]) == {}
    assert usage.look([]) == {}
