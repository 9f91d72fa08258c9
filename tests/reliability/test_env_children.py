"""F11: what environments start ends with them."""

import os
import time

import pytest
from post_conditions import (
    AssertClean,
    command_line,
    descendants,
    is_alive,
    slowness,
    wait_until,
    workers,
)
from small_runs import B, runner, sampling, train

from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.faults("F11")


def stubborn() -> list[int]:
    """Children that environments have started."""
    return [pid for pid in descendants() if "SIG_IGN" in command_line(pid)]


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_children_end_with_the_sampler(kind, assert_clean: AssertClean):
    with sampling(kind, starts="child", workers=True) as made:
        made.obtain_samples(0)
        wait_until(lambda: len(stubborn()) == B, 5, "a child of each")
        assert {os.getpgid(pid) for pid in stubborn()} == set(workers())
    assert_clean()


@pytest.mark.parametrize("fault", ["kill", "lock", "raise", "os._exit"])
def test_children_end_with_a_worker_that_is_lost(fault, tmp_path, assert_clean: AssertClean):
    made = runner(
        "cpu", fault=f"{fault} in step", starts="child", workers=True, victim=2, worker_timeout=1.0
    )
    with pytest.raises(RlpytError) as caught:
        train(made, tmp_path)
    assert_clean(tmp_path / "run_0", f"failed({caught.value.code})", caught.value)


def test_children_end_with_a_worker_that_is_replaced(tmp_path, assert_clean: AssertClean):
    once = str(tmp_path / "once")
    settings = {"fault": "kill in step", "once": once, "on_worker_failure": "restart"}
    with sampling("cpu", starts="child", workers=True, **settings) as made:
        with pytest.warns(RuntimeWarning, match="it is replaced"):
            made.obtain_samples(0)
        wait_until(lambda: len(stubborn()) == B, 5, "none of the lost one")
        assert {os.getpgid(pid) for pid in stubborn()} == set(workers())
    assert_clean()


def test_threads_do_not_keep_a_worker(assert_clean: AssertClean):
    with sampling("cpu", starts="threads", workers=True) as made:
        made.obtain_samples(0)
        running = workers()
        start = time.monotonic()
    assert time.monotonic() - start < 3 * slowness()
    assert not any(is_alive(pid) for pid in running)
    assert_clean()
