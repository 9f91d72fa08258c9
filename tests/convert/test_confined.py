"""What reads a pickle is shut in: no code runs unasked, and asked to, it reaches nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from payloads import save_payload

from rlpyt.convert import child, confined
from rlpyt.convert.confined import read_confined
from rlpyt.utils.errors import RlpytError

_SPACES = ("ipc", "mnt", "net", "pid", "user")
_TRY = """
import ctypes, errno, os, socket
result = {{}}
def attempt(name, action):
    try:
        action()
    except MemoryError:
        result[name] = errno.ENOMEM
    except (OSError, AttributeError) as error:
        result[name] = error.errno
    else:
        result[name] = 0
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
attempt("write", lambda: open({folder!r} + "/canary", "w"))
attempt("link", lambda: os.symlink("x", {folder!r} + "/canary"))
attempt("change", lambda: open({folder!r} + "/theirs", "r+"))
attempt("remove", lambda: os.unlink({folder!r} + "/theirs"))
attempt("internet", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
attempt("unix", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
attempt("kill", lambda: os.kill({pid}, 0))
attempt("remount", lambda: call("mount", b"none", b"/", None, 0x20 | 0x1000, None))
def again():
    call("unshare", 0x10000000 | 0x20000)
    call("mount", b"none", b"/", None, 0x20 | 0x1000, None)
attempt("memory", lambda: bytearray({memory}))  # never touched: it takes none where it is allowed
attempt("fill the disk", lambda: [os.write(2, bytes(2**20)) for _ in range(64)])
for kind in {spaces}:
    place = "/proc/self/ns/" + kind
    result["space of " + kind] = os.stat(place).st_ino if os.path.exists(place) else 0
if os.path.exists("/proc/self/status"):
    lines = open("/proc/self/status").read().splitlines()
    rights = [line.split() for line in lines if line.startswith("Cap")]
    result["rights"] = sum(int(bits, 16) for name, bits in rights)
result["processes"] = sum(name.isdecimal() for name in os.listdir("/proc"))
result["secrets"] = sum("SECRET" in name for name in os.environ)
attempt("remount in a namespace of its own", again)
"""


def _sandbox_problem() -> str:
    """Why this system cannot shut a process in; "" where it can."""
    code = "import sys; sys.path[:0] = [sys.argv[1]]; import child; child._leave_the_system()"
    words = [sys.executable, "-I", "-c", code, str(Path(child.__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


PROBLEM = _sandbox_problem()
needs_sandbox = pytest.mark.skipif(bool(PROBLEM), reason=f"no sandbox here: {PROBLEM}")


@needs_sandbox
def test_tensors_and_numbers_come_out(tmp_path: Path) -> None:
    tensor = torch.randn(3, 4)
    content = {"a": {"b": tensor, "c": tensor.t()}, "n": 3, "half": 0.5, "text": "x", 7: tensor[0]}
    torch.save(content, tmp_path / "a.pt")
    found = read_confined(tmp_path / "a.pt")
    assert found.numbers == {"n": 3, "half": 0.5}
    assert found.tensors.keys() == {"a/b", "a/c", "7"}
    assert torch.equal(found.tensors["a/b"], tensor)
    assert torch.equal(found.tensors["a/c"], tensor.t())


@needs_sandbox
@pytest.mark.faults("F37")
def test_code_is_not_run_unasked(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = save_payload(tmp_path / "a.pt", f"open({str(canary)!r}, 'w')", w=torch.ones(1))
    with pytest.raises(RlpytError) as caught:
        read_confined(path)
    assert caught.value.code == "convert"
    assert "eval" in caught.value.what  # what it would have called
    assert "pickle is not a supported format" in caught.value.hint
    assert not canary.exists()


@needs_sandbox
@pytest.mark.faults("F37")
def test_code_that_is_let_run_reaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    theirs = tmp_path / "theirs"
    theirs.write_text("x")
    memory = confined._LEAST_MEMORY + 2**30
    code = _TRY.format(folder=str(tmp_path), pid=os.getpid(), memory=memory, spaces=_SPACES)
    path = save_payload(tmp_path / "a.pt", code, w=torch.ones(2))
    found = read_confined(path, run_code=True)
    result = {name.removeprefix("payload/"): number for name, number in found.numbers.items()}
    for kind in _SPACES:
        ours = os.stat(f"/proc/self/ns/{kind}").st_ino
        assert result.pop(f"space of {kind}") != ours, kind
    read_only, not_permitted, no_process, no_memory, too_large = 30, 1, 3, 12, 27
    assert result.pop("processes") <= 1
    assert not result.pop("rights", 0)  # of any set of capabilities, the bounding one too
    assert result == {
        "write": read_only,
        "link": read_only,
        "change": read_only,
        "remove": read_only,
        "internet": not_permitted,
        "unix": not_permitted,
        "kill": no_process,
        "remount": not_permitted,
        "remount in a namespace of its own": not_permitted,
        "secrets": 0,
        "memory": no_memory,
        "fill the disk": too_large,
    }
    assert theirs.read_text() == "x"
    assert torch.equal(found.tensors["w"], torch.ones(2))  # what was asked for


@needs_sandbox
@pytest.mark.faults("F37")
def test_code_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import os, time; os.fork(); os.getpid() == 1 or os.setsid(); time.sleep(600)"
    path = save_payload(tmp_path / "a.pt", code)
    start = time.monotonic()
    with pytest.raises(RlpytError, match="has taken 8 seconds, and was ended"):
        read_confined(path, run_code=True, seconds=8)
    assert time.monotonic() - start < 8 + confined._PATIENCE


def test_without_a_sandbox_nothing_is_read(tmp_path: Path, monkeypatch) -> None:
    """On a system that has none: here, one with a kernel for an unknown processor."""
    program = tmp_path / "child.py"
    text = Path(child.__file__).read_text().replace("platform.machine()", "'abacus'")
    program.write_text(text)
    monkeypatch.setattr(child, "__file__", str(program))
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(RlpytError) as caught:
        read_confined(tmp_path / "a.pt")
    assert caught.value.code == "sandbox"
    assert "the file has not been read" in caught.value.what
    assert "--no-sandbox" in caught.value.hint


def test_code_never_runs_outside_of_one(tmp_path: Path) -> None:
    path = save_payload(tmp_path / "a.pt", f"open({str(tmp_path / 'canary')!r}, 'w')")
    with pytest.raises(RlpytError, match="with all of your rights"):
        read_confined(path, run_code=True, confined=False)
    with pytest.raises(RlpytError, match="holds more than tensors"):
        read_confined(path, confined=False)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", [b"", b"12345678x", (10**6).to_bytes(8, "little") + b"{}"])
def test_what_comes_back_is_not_trusted(content: bytes) -> None:
    with pytest.raises(RlpytError, match="has not written tensors"):
        confined._parsed(Path("a.pt"), content)


def test_what_is_said_is_printable(tmp_path: Path) -> None:
    path = tmp_path / "errors"
    path.write_bytes(b"first\n\x1b[2Jlast \x07\n")
    with path.open("rb") as file:
        assert confined._last_line(file) == "?[2Jlast ?"
