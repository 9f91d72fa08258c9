"""Environments in which something goes wrong, for real, at a place that a test names."""

import ctypes
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rlpyt.utils.seed import Stream, seed_int

RUN_SEED = 0


class SimulatorError(Exception):
    """What a user's simulator may raise; it needs two arguments, as some do."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(what, code)


def episode_length(env_index: int, episode: int) -> int:
    """Steps of an episode of :class:`Faulty` in a run with seed ``RUN_SEED``."""
    return _length(seed_int(RUN_SEED, Stream.ENV, env_index, episode))


def _length(seed: int) -> int:
    return 5 + seed % 4


class Faulty(gymnasium.Env):
    """A seeded walk in episodes of 5 to 8 steps, and ``fault``, ``"<what> in <method>"``, at step
    ``at`` of episode ``episode`` of environment ``victim``; in all episodes if that is -1.

    The victim is found by its seed, so that a replayed capsule finds it too. With ``once``, a path,
    only the first to make that file is struck, and writes its process's number; with ``workers``
    only an environment in a worker process.
    """

    def __init__(
        self,
        fault: str = "",
        victim: int = 0,
        episode: int = 0,
        at: int = 3,
        once: str = "",
        workers: bool = False,
        pause: float = 0.0,  # seconds that each step takes
        same_buffer: bool = False,  # return one array, changed in place
        starts: str = "",  # "child", "threads", or the path of a file for the child's number
        continuous: bool = False,
    ) -> None:
        self.what, _, self.where = fault.partition(" in ")
        self.victim_seed = seed_int(RUN_SEED, Stream.ENV, victim, episode) if victim >= 0 else None
        self.at, self.once, self.workers, self.pause = at, once, workers, pause
        self.same_buffer = same_buffer
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        box = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = box if continuous else spaces.Discrete(2)
        self.struck, self.t = False, 0
        self.x = np.zeros(3, np.float32)
        self._start(starts)
        self._maybe("__init__")

    def _start(self, starts: str) -> None:
        if self.workers and multiprocessing.parent_process() is None:
            return
        if starts and starts != "threads":
            child = subprocess.Popen([sys.executable, "-S", "-c", STUBBORN_CHILD])
            if starts != "child":
                with Path(starts).open("a") as file:
                    file.write(f"{child.pid}\n")
        if starts == "threads":
            for daemon in (True, False):
                threading.Thread(target=_forever, daemon=daemon).start()

    def _maybe(self, method: str) -> Any:
        """What the fault returns, where this is the place for it and it returns."""
        if method != self.where or (method == "step" and self.t != self.at):
            return None
        if method != "__init__" and not self.struck:
            return None
        if self.workers and multiprocessing.parent_process() is None:
            return None
        if self.once and not _first(self.once):
            return None
        return FAULTS[self.what]()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.struck = self.struck if self.where == "close" else False
        self.struck |= self.victim_seed in (None, seed)
        self.length, self.t = _length(seed), 0
        self.x[:] = self.np_random.standard_normal(3)
        bad = self._maybe("reset")
        return self._observation() if bad is None else bad, {}

    def step(self, action):
        if self.pause:
            time.sleep(self.pause)
        self.t += 1
        self.x += self.np_random.standard_normal(3).astype(np.float32) + np.float32(np.sum(action))
        bad = self._maybe("step")
        observation, reward = self._observation(), float(self.x.mean())
        if isinstance(bad, dict):
            reward = bad["reward"]
        elif bad is not None:
            observation = bad
        over = self.t == self.length
        return observation, reward, over and self.t % 2 == 0, over and self.t % 2 == 1, {}

    def _observation(self):
        return self.x if self.same_buffer else self.x.copy()

    def close(self) -> None:
        self._maybe("close")


class NotMadeAgain(Faulty):
    """As :class:`Faulty`; once it has been struck, none can be made any more."""

    def _start(self, starts: str) -> None:
        super()._start(starts)
        if Path(self.once).exists():
            raise ValueError("the simulator\nis gone")


# Knows no mercy: ignores all that can be ignored.
STUBBORN_CHILD = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(1000)
"""


def _forever() -> None:
    while True:
        time.sleep(0.05)


def _first(path: str) -> bool:
    """Whether this is the first to come by; then the file ``path`` has this process's number."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    os.write(fd, f"{os.getpid()}\n".encode())
    os.close(fd)
    return True


def _raise(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


def _kill(signum: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signum)


def _busy() -> None:
    while True:
        pass


def _deaf() -> None:
    """Hangs, and does not care what it is told."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        with suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1000)


def _locked() -> None:
    """Hangs in C, lets no other Python run, and no signal gets it out."""
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):  # the second time waits for the first to let go
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)


def _hungry() -> None:
    """Wants more memory than it may have."""
    limit = 1 << 30
    with Path("/proc/self/statm").open() as file:
        limit += int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    np.ones(1 << 28)  # 2 GB


def _bad(*values: float, dtype: Any = np.float32) -> Callable[[], Any]:
    return lambda: np.array(values, dtype)


FAULTS: dict[str, Callable[[], Any]] = {
    "raise": _raise(ValueError("the simulator\nis gone")),
    "raise own": _raise(SimulatorError("no contact", 7)),
    "raise base": _raise(GeneratorExit("stop")),
    "exit": lambda: sys.exit(4),
    "exit 0": lambda: sys.exit(0),
    "os._exit": lambda: os._exit(3),
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "kill": _kill(signal.SIGKILL),
    "stop": _kill(signal.SIGSTOP),
    "wait": lambda: time.sleep(30),  # for somebody outside
    "sleep": lambda: time.sleep(1000),
    "busy": _busy,
    "deaf": _deaf,
    "lock": _locked,
    "hungry": _hungry,
    "nan": _bad(0, np.nan, 0),
    "inf": _bad(0, 0, -np.inf),
    "shape": _bad(0, 0, 0, 0, 0),
    "dtype": _bad(0, 0, 0, dtype=np.float64),
    "object": _bad(0, 0, None, dtype=object),
    "nan reward": lambda: {"reward": float("nan")},
    "inf reward": lambda: {"reward": float("inf")},
    "array reward": lambda: {"reward": np.zeros(1)},
    "no reward": lambda: {"reward": None},
}


class FaultyDict(Faulty):
    """The same with a dictionary for observation, of which ``fault`` may spoil the keys."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        plain = self.observation_space
        self.observation_space = spaces.Dict(
            x=plain, goal=spaces.Discrete(4), near=spaces.Box(-1, 1, (1,), np.float32)
        )

    def _observation(self):
        found = {"x": self.x.copy(), "goal": 1, "near": np.zeros(1, np.float32)}
        if self.struck and self.t == self.at:
            if self.what == "missing key":
                del found["goal"]
            if self.what == "extra key":
                found["more"] = 1
            if self.what == "outside":
                found["goal"] = 4
        return found

    def _maybe(self, method: str) -> Any:
        return super()._maybe(method) if self.what in FAULTS else None
