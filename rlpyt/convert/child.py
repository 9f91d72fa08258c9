"""The process that reads a pickle: a program of its own, which has been shut in before it reads.

Its standard input is the file, its standard output the tensors in it as safetensors, and the last
line of its standard error why there are none. It imports nothing of rlpyt: it is run by its path.

What shuts it in, on Linux: a network without any interface and a filter without sockets; every
file system read-only; processes, semaphores and shared memory of its own; no capabilities, and no
way to get any; limits of memory, processor time and size. The process that was started keeps
outside, and ends the one inside when its time is over or it is asked to end.
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from typing import Any

__all__ = ["REFUSED", "UNCONFINED", "main"]

REFUSED = 3
"""Exit code where the file is not what it should be."""

UNCONFINED = 4
"""Exit code where this system cannot shut a process in: nothing has been read then."""

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000  # 442 on all architectures
_READ_ONLY, _NO_DEVICES = 1 | 2, 4  # the first without set-user-id too
_DEVICES = (b"/dev/null", b"/dev/urandom")  # that torch opens
_SET_DEATH_SIGNAL, _DROP_BOUND, _SET_SECCOMP, _NO_NEW_PRIVILEGES = 1, 24, 22, 38
_CAPABILITY_VERSION = 0x20080522
_EPERM = 1
# Of this machine: the kernel's name of the architecture, and the numbers of capset and of the calls
# that are refused: socket, io_uring_setup (which opens sockets too).
_NUMBERS = {
    "x86_64": (0xC000003E, 126, (41, 425)),
    "aarch64": (0xC00000B7, 91, (198, 425)),
}
_MAX_DEPTH = 16
_MAX_TENSORS = 20_000


def main() -> int:
    """Read standard input as the argument says, a JSON object; return the exit code."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    if request["confined"]:
        try:
            _leave_the_system()
        except (OSError, KeyError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return UNCONFINED
        inside = os.fork()  # the first of the new space of process ids
        if inside:
            return _watch(inside, request["seconds"])
        try:
            _give_up_rights()
        except OSError as error:
            print(error, file=sys.stderr)
            return UNCONFINED
    else:
        signal.alarm(request["seconds"])
    _limit(request)
    sys.path[:] = request["path"]
    return _convert(bool(request["run_code"]))


def _watch(inside: int, seconds: int) -> int:
    """Wait for the process inside, and kill it, with all that it started, when time is over."""

    def end(_signum: int, _frame: object) -> None:
        os.kill(inside, signal.SIGKILL)

    _call("prctl", _SET_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(signum, end)
    signal.alarm(seconds)
    _pid, status = os.waitpid(inside, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _call(name: str, *arguments: Any) -> int:
    """A function of the C library.

    Raises:
        OSError: where it fails.
    """
    result: int = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _leave_the_system() -> None:
    """Users, network, mounts, processes and shared memory of its own; all files read-only."""
    _NUMBERS[platform.machine()]
    user, group = os.getuid(), os.getgid()
    _call("unshare", _NEWUSER | _NEWNET | _NEWNS | _NEWPID | _NEWIPC)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    for device in _DEVICES:  # each a mount of its own, so that it may stay one
        _call("mount", device, device, None, _MS_BIND, None)
    _set_attributes(b"/", _AT_RECURSIVE, _READ_ONLY | _NO_DEVICES, 0)
    for device in _DEVICES:
        _set_attributes(device, 0, 0, _NO_DEVICES)


def _set_attributes(path: bytes, flags: int, added: int, removed: int) -> None:
    attributes = ctypes.create_string_buffer(struct.pack("<4Q", added, removed, 0, 0), 32)
    _call("syscall", _MOUNT_SETATTR, _AT_FDCWD, path, flags, attributes, 32)


def _give_up_rights() -> None:
    """Processes of its own in sight; no capability in this or any space of users; no sockets."""
    architecture, capset, refused = _NUMBERS[platform.machine()]
    _call("prctl", _SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    # Over the old one, that shows the processes outside and their environments; where a fresh one
    # is not allowed, nothing.
    try:
        _call("mount", b"proc", b"/proc", b"proc", _READ_ONLY | _NO_DEVICES, None)
    except OSError:
        _call("mount", b"none", b"/proc", b"tmpfs", _READ_ONLY | _NO_DEVICES, None)
    for capability in range(64):
        try:
            _call("prctl", _DROP_BOUND, capability, 0, 0, 0)
        except OSError:
            break  # there are no more
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION, 0), 8)
    _call("syscall", capset, header, ctypes.create_string_buffer(24))
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _install_filter(architecture, refused)


def _install_filter(architecture: int, refused: tuple[int, ...]) -> None:
    """Let the kernel refuse these system calls, and all of another architecture's."""
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    allow, fail, kill = 0x7FFF0000, 0x00050000 | _EPERM, 0x80000000
    rest = len(refused)
    program = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, architecture),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),  # the call
        (at_least, rest + 1, 0, 0x40000000),  # x32's
        *((equal, rest - place, 0, number) for place, number in enumerate(refused)),
        (answer, 0, 0, allow),
        (answer, 0, 0, fail),
    ]
    code = b"".join(struct.pack("<HBBI", *line) for line in program)
    lines = ctypes.create_string_buffer(code, len(code))
    whole = struct.pack("@HP", len(program), ctypes.addressof(lines))
    _call("prctl", _SET_SECCOMP, 2, ctypes.create_string_buffer(whole, len(whole)), 0, 0)


def _limit(request: dict[str, Any]) -> None:
    """Of memory, processor time, and the size of what is written."""
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, request["seconds"]),
        (resource.RLIMIT_DATA, request["memory"]),
        (resource.RLIMIT_FSIZE, request["output"]),
        (resource.RLIMIT_NOFILE, 256),
    ):
        _soft, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _convert(run_code: bool) -> int:
    """From standard input to standard output."""
    import pickle  # only here, for the error that torch gives

    import torch
    from safetensors.torch import save

    tensors: dict[str, Any] = {}
    numbers: dict[str, Any] = {}
    try:
        with os.fdopen(0, "rb") as file:
            loaded = torch.load(file, map_location="cpu", weights_only=not run_code)
        _collect(loaded, (), tensors, numbers)
        plain = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        content = save(plain, metadata={"numbers": json.dumps(numbers)})
    except pickle.UnpicklingError as error:
        print(_why(str(error)), file=sys.stderr)
        return REFUSED
    except (ValueError, RuntimeError, EOFError, MemoryError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return REFUSED
    with os.fdopen(1, "wb") as output:
        output.write(content)
    return 0


def _why(text: str) -> str:
    """What was found, of torch's long text."""
    lines = text.partition("WeightsUnpickler error:")[2].strip() or text.strip()
    return (lines.splitlines() or ["no pickle"])[0]


def _collect(
    node: Any, path: tuple[str, ...], tensors: dict[str, Any], numbers: dict[str, Any]
) -> None:
    """Every tensor and number of nested dicts, by the keys on its way joined by "/"; all else is
    left out.
    """
    import torch

    if len(path) > _MAX_DEPTH or len(tensors) > _MAX_TENSORS:
        raise ValueError(f"more than {_MAX_TENSORS} tensors, or {_MAX_DEPTH} dicts in one another")
    name = "/".join(path)
    if isinstance(node, torch.Tensor):
        tensors[name or "tensor"] = node
    elif isinstance(node, dict):
        for key, value in node.items():
            _collect(value, (*path, str(key)), tensors, numbers)
    elif isinstance(node, bool | int | float):
        numbers[name] = node


if __name__ == "__main__":
    sys.exit(main())
