"""Freed memory stays with the process."""

import subprocess
import sys

import pytest
from warm_python import start

from rlpyt.utils import memory

PROGRAM = """
import resource, sys
import torch
from rlpyt.utils.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():  # as a gradient step: arrays of 40 MB, all freed at its end
    arrays = [torch.ones(10_000_000) for _ in range(6)]

for _ in range(3):
    work()
before = faults()
for _ in range(5):
    work()
print(faults() - before)
"""


def page_faults(mode: str) -> int:
    """Pages that came anew in five rounds of 240 MB."""
    out, _err = start(["-c", PROGRAM, mode], stdout=subprocess.PIPE).communicate()
    return int(out)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_does_not_come_anew():
    assert page_faults("keep") < 500 < page_faults("default")


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed_memory() is False
