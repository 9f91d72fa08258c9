"""Which processes run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlpyt.utils.processes import ProcessIdentity, is_alive


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_has_ended_is_not_alive_though_nobody_has_asked_for_it():
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "print(1, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        identity = ProcessIdentity.of(child.pid)
        assert is_alive(child.pid)
        assert identity.is_running
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        os.kill(child.pid, 0)
        assert not is_alive(child.pid)
        assert not identity.is_running
    assert not is_alive(child.pid)
    assert is_alive(os.getpid())


def test_numbers_that_no_process_has_are_not_alive():
    """A damaged file may name any number; 0 and below are groups of processes to the system."""
    for number in (0, -1, 2**31, 2**70):
        assert not is_alive(number)
