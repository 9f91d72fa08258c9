"""F46: nothing grows, however often samplers come and go, or workers die.

``RLPYT_SOAK_MINUTES`` sets how long the long one kills workers.
"""

import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from post_conditions import AssertClean, descendants
from small_runs import KINDS, sampling
from test_worker_restart import killing, recorded_warnings

pytestmark = pytest.mark.faults("F46")

MINUTES = float(os.environ.get("RLPYT_SOAK_MINUTES", "2"))


@dataclass(frozen=True)
class Holdings:
    """What this process has."""

    files: int
    threads: int
    maps: int  # shared blocks mapped
    processes: int
    memory: float  # resident, MB

    @staticmethod
    def now() -> "Holdings":
        gc.collect()
        own = Path("/proc/self")
        pages = int((own / "statm").read_text().split()[1])
        return Holdings(
            files=len(list((own / "fd").iterdir())),
            threads=len(list((own / "task").iterdir())),
            maps=(own / "maps").read_text().count("memfd:rlpyt"),
            processes=len(descendants()),
            memory=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        )

    def assert_no_more_than(self, before: "Holdings", memory: float) -> None:
        """Nothing grew, and the memory by no more than ``memory``, a fraction."""
        assert self.memory <= before.memory * (1 + memory), (before, self)
        same = {**vars(self), "memory": before.memory}
        assert same == vars(before)


def come_and_go(cycles: int) -> None:
    kinds = list(KINDS)
    for cycle in range(cycles):
        with sampling(kinds[cycle % len(kinds)]) as made:
            made.obtain_samples(0)


def test_samplers_come_and_go(assert_clean: AssertClean):
    come_and_go(8)
    before = Holdings.now()
    come_and_go(20)
    Holdings.now().assert_no_more_than(before, 0.02)
    assert_clean()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_samplers_come_and_go(assert_clean: AssertClean):
    come_and_go(50)
    before = Holdings.now()
    come_and_go(1000)
    Holdings.now().assert_no_more_than(before, 0.02)
    assert_clean()


def sample_under_fire(seconds: float, every: float) -> tuple[int, list[Holdings]]:
    """Sample while a worker is killed now and then; how many, and what there was on the way."""
    restart = {"on_worker_failure": "restart", "max_restarts": 10**9}
    found, itr = [], 0
    start = time.monotonic()
    with recorded_warnings() as warned, sampling("cpu", pause=0.001, **restart) as made:
        with killing([every] * int(seconds / every)) as killed:
            while time.monotonic() < start + seconds:
                made.obtain_samples(itr)
                itr += 1
                if itr % 50 == 0:
                    warned.clear()
                    found.append(Holdings.now())
        made.obtain_samples(itr)
        assert made.times().restarts >= len(killed) - 1
        found.append(Holdings.now())
    return len(killed), found


def test_workers_that_are_killed(assert_clean: AssertClean):
    before = Holdings.now()
    n_killed, _found = sample_under_fire(5.0, 0.5)
    assert n_killed >= 5
    after = Holdings.now()
    assert (after.files, after.threads, after.maps) == (before.files, before.threads, before.maps)
    assert_clean()


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 300)
def test_workers_that_are_killed_all_the_time(assert_clean: AssertClean):
    n_killed, found = sample_under_fire(MINUTES * 60, 1.0)
    assert n_killed >= MINUTES * 60 * 0.7
    early, late = found[len(found) // 5], found[-1]
    assert late.memory <= 1.02 * early.memory, (early, late)
    assert late.files <= early.files
    assert late.threads <= early.threads  # the one that kills has ended
    assert_clean()
