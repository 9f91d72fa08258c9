"""What every test gets: a fixed global generator, one thread, and a look at what it left behind."""

import multiprocessing
import multiprocessing.forkserver
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_python import server_pid

_HELPERS = ("resource_tracker", "forkserver", "compile_worker")  # outlive a test on purpose


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files; review the diff"
    )


def _read(path: Path) -> str:
    """Nothing of a thread or a process that has just ended."""
    try:
        return path.read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _children() -> dict[int, str]:
    """Process id to command line of this process's children; Linux only, else the known ones."""
    found = {child.pid or 0: child.name for child in multiprocessing.active_children()}
    for listing in Path("/proc/self/task").glob("*/children"):
        for pid in _read(listing).split():
            text = _read(Path(f"/proc/{pid}/cmdline"))
            if not any(word in text for word in _HELPERS):
                found.setdefault(int(pid), text.replace("\0", " ") or "(ended, not waited for)")
    return {pid: command for pid, command in found.items() if pid != server_pid()}


@pytest.fixture(scope="session", autouse=True)
def processes_need_not_import() -> Iterator[None]:
    """The fork server imports what ranks and learners take a second or two for, each of them."""
    preload = multiprocessing.forkserver.set_forkserver_preload

    def with_more(names: list[str]) -> None:
        preload([*names, "torch._dynamo", "rlpyt.cli.main"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing.forkserver, "set_forkserver_preload", with_more)
        yield


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Fail a test that leaves processes or another number of threads; seed torch, and restore it.

    The seed makes test data repeatable and tests independent of their order; that the library
    itself never draws from the global generator is a test of its own.
    """
    torch.set_num_threads(1)
    before, rng_state = _children(), torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(rng_state)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left = {pid: command for pid, command in _children().items() if pid not in before}
    assert not left, f"the test left child processes: {left}"
    assert threads == 1, f"the test left torch with {threads} threads"


@pytest.fixture(scope="session")
def apart() -> Iterator[Callable[..., Any]]:
    """``apart(function, *args)`` in another process: once jax has run, this one must not fork."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(os.getpid).result()
        yield lambda function, *args: pool.submit(function, *args).result()
