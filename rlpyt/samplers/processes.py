"""Worker processes: what they inherit, and how they are started."""

import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pickle import PicklingError
from typing import Literal, get_args

from rlpyt.utils.errors import RlpytError

__all__ = [
    "StartMethod",
    "cannot_send",
    "cannot_start",
    "check_descriptors",
    "check_start_method",
    "process_context",
    "start_process",
]

StartMethod = Literal["forkserver", "spawn"]
"""How workers start: from a helper that has imported everything, or each anew."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DESCRIPTORS = 8  # that a worker takes while it starts
_SPARE_DESCRIPTORS = 32  # for blocks, logs, and the rest of the program
_HELD_BACK = {signal.SIGINT, signal.SIGTERM}
_PRELOADED = "rlpyt.samplers.worker"  # by the fork server: imported once, not by each worker


def process_context(method: StartMethod) -> ForkServerContext | SpawnContext:
    """The context that starts processes by ``method``."""
    if method == "spawn":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    return context


def start_process(process: BaseProcess, *, torch_threads: int) -> None:
    """Start ``process``; its libraries have ``torch_threads`` threads, and no signal ends it before
    it has said what it does with signals.

    Raises:
        RlpytError: ``config``, for settings that cannot be sent to another process; ``worker``,
            where the system allows no more processes.
    """
    try:
        with _signals_held_back(), _threads(torch_threads):
            process.start()
    except (AttributeError, TypeError, PicklingError) as error:
        raise cannot_send(error) from error
    except (EOFError, OSError) as error:
        raise cannot_start(error) from error


def cannot_send(error: Exception) -> RlpytError:
    """What a user is told when pickle refuses something that a worker is to have."""
    what = f"the sampler's settings cannot be sent to a worker process: {error}"
    hint = 'name environments and classes at the top level of a module, or as "module:name"'
    return RlpytError("config", what, hint=hint)


def cannot_start(error: Exception) -> RlpytError:
    """What a user is told when the system refuses a process."""
    what = f"cannot start a worker process: {error}"
    hint = "use fewer workers (sampler.n_workers), or raise the limits (ulimit -n, ulimit -u)"
    return RlpytError("worker", what, hint=hint)


def check_start_method(name: str, method: str) -> None:
    """Raise where setting ``name`` is no StartMethod."""
    if method not in get_args(StartMethod):
        raise RlpytError(
            "config",
            f"{name}={method!r}",
            hint='use "forkserver" or "spawn": a fork copies locks and device contexts that do not '
            "survive it",
        )


def check_descriptors(n_workers: int) -> None:
    """Raise where the process may not open as many files as the workers take."""
    open_now = len(os.listdir("/dev/fd"))
    needed = open_now + _DESCRIPTORS * n_workers + _SPARE_DESCRIPTORS
    limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and needed > limit:
        raise RlpytError(
            "worker",
            f"{n_workers} workers need {needed} open files, the limit is {limit}",
            hint="raise it with `ulimit -n`, or use fewer workers (sampler.n_workers)",
        )


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A child starts with them blocked, until it has said what it does with them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """A child's libraries start no more threads than planned: they read this as they are loaded."""
    unset = [name for name in _THREAD_VARIABLES if name not in os.environ]
    for name in unset:
        os.environ[name] = str(n)
    try:
        yield
    finally:
        for name in unset:
            os.environ.pop(name, None)
