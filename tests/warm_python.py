"""Python programs that begin with torch and rlpyt imported, which takes a new one seconds.

``start(words)`` is ``subprocess.Popen([python, *words])``, but for that: a server imports them, and
forks. What it forks has arguments, an environment, files and a folder of its own, runs as
``__main__``, ends as any interpreter does, and is a child of the test's process.

Not for tests of what happens while Python starts, or of what is imported.
"""

import atexit
import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]

_SUBREAPER, _IS_SUBREAPER = 36, 37  # prctl: what loses its parent becomes this process's child
_MESSAGE = 1 << 18


@cache
def _server() -> tuple[socket.socket, int]:
    """A socket to this process's server, which ends with it, and the server's process id."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environ = {name: text for name, text in os.environ.items() if not name.startswith("OMP_")}
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env={**environ, "PYTHONPATH": _joined(str(ROOT), environ)},
        start_new_session=True,
    )
    theirs.close()
    atexit.register(ours.close)
    process.returncode = 0  # nobody waits for it
    return ours, process.pid


def server_pid() -> int | None:
    """Process id of the server, if there is one."""
    return _server()[1] if _server.cache_info().currsize else None


def _joined(first: str, environ: dict[str, str]) -> str:
    """PYTHONPATH with ``first`` before what it has."""
    return os.pathsep.join([first, *filter(None, [environ.get("PYTHONPATH")])])


def start(words: Sequence[str | Path], **options: Any) -> "Program | subprocess.Popen[str]":
    """Run Python with ``words`` for arguments: ``-m MODULE``, ``-c CODE`` or a script, and more.

    Args:
        words: arguments of Python.
        options: those of ``subprocess.Popen`` that :class:`Program` has.
    """
    if sys.platform == "linux":
        return Program(words, **options)
    return subprocess.Popen([sys.executable, *map(str, words)], text=True, **options)


class Program:
    """A program that runs: the part of ``subprocess.Popen`` that tests need."""

    def __init__(
        self,
        words: Sequence[str | Path],
        *,
        env: dict[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.returncode: int | None = None
        request = {
            "words": [str(word) for word in words],
            "environ": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
            "session": start_new_session,
        }
        null = os.open(os.devnull, os.O_RDONLY)
        fds, pipes = [{None: 0, subprocess.DEVNULL: null}.get(stdin, stdin)], []
        for n, given in enumerate((stdout, stderr), 1):
            pipes.append(os.pipe() if given == subprocess.PIPE else (-1, -1))
            special = {None: n, subprocess.PIPE: pipes[-1][1], subprocess.STDOUT: fds[-1]}
            fds.append(special.get(given, given))
        self.pid = _forked(request, fds)
        os.close(null)
        for _read, write in pipes:
            if write >= 0:
                os.close(write)
        self.stdout, self.stderr = [
            os.fdopen(read, encoding="utf-8") if read >= 0 else None for read, _write in pipes
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self.stdout, self.stderr):
            if file is not None:
                file.close()
        self.wait()

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(0.005)
        return code

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed, on stderr as much as a pipe holds, and its end within ``timeout``."""
        found = ["" if file is None else file.read() for file in (self.stdout, self.stderr)]
        self.wait(timeout)
        self.__exit__()
        return found[0], found[1]


def _forked(request: dict[str, Any], fds: list[int]) -> int:
    """The process id of what the server has forked, by now a child of this process."""
    control, _pid = _server()
    prctl, before = ctypes.CDLL(None).prctl, ctypes.c_int()
    prctl(_IS_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(control, [json.dumps(request).encode()], fds)
        pid, adopted = control.recv(_MESSAGE), control.recv(_MESSAGE)
        assert adopted == b"."
    finally:
        prctl(_SUBREAPER, before.value, 0, 0, 0)
    return int(pid)


# --- the server ----------------------------------------------------------------------------------


def _serve(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork for each request; return in the child with it, and with None where no more can come.

    The child's parent ends at once, so that the process that asked inherits it.
    """
    while True:
        message, fds, _flags, _address = socket.recv_fds(control, _MESSAGE, 3)
        if not message:
            return None
        parent = os.fork()
        if parent == 0:
            child = os.fork()
            if child == 0:
                control.close()
                return json.loads(message), fds
            control.send(str(child).encode())
            os._exit(0)
        os.waitpid(parent, 0)
        control.send(b".")
        for fd in fds:
            os.close(fd)


def _become(request: dict[str, Any], fds: list[int], library: list[str]) -> None:
    """Be the program that was asked for."""
    from multiprocessing import process

    if request["session"]:
        os.setsid()
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    for file in (sys.stdout, sys.stderr):
        file.reconfigure(line_buffering=file.isatty() or file is sys.stderr)  # type: ignore[union-attr]
    os.chdir(request["cwd"])
    process.ORIGINAL_DIR = request["cwd"]  # where workers look for a script
    os.environ.clear()
    os.environ.update(request["environ"])
    words = request["words"]
    here = {"-m": request["cwd"], "-c": ""}
    folder = here[words[0]] if words[0] in here else str(Path(words[0]).resolve().parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [folder, *paths, *library]
    sys.orig_argv = [sys.executable, *words]
    sys.argv = [words[0], *words[2:]] if words[0] in here else words
    if words[0] == "-m":
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(words[1], "<string>", "exec"), vars(main))
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    given = os.environ["PYTHONPATH"].split(os.pathsep)
    own = [path for path in sys.path if path not in given]
    gc.freeze()
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _become(*asked, own)
