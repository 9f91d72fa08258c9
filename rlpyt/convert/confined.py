"""A checkpoint of others read in a process that is shut in (:mod:`rlpyt.convert.child`): what comes
back are tensors and numbers.
"""

import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, final

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from rlpyt.convert import child
from rlpyt.utils.errors import RlpytError

__all__ = ["ForeignFile", "read_confined"]

_SECONDS = 120  # of the clock and of the processor
_PATIENCE = 5.0  # seconds beyond, for the process outside
_LEAST_MEMORY: Final = 2 * 2**30  # bytes, of which torch itself takes a part
_MAX_HEADER: Final = 16 * 2**20  # bytes
_MESSAGE = 2000  # letters of an error that are looked at


@final
@dataclass(frozen=True)
class ForeignFile:
    """The tensors and numbers in a file, by the keys on their way joined by "/"."""

    path: Path
    tensors: dict[str, Tensor]
    numbers: dict[str, float]


def read_confined(
    path: Path, *, run_code: bool = False, confined: bool = True, seconds: int = _SECONDS
) -> ForeignFile:
    """What ``torch.save`` has written to ``path``: nested dicts of tensors and numbers.

    Args:
        path: the file.
        run_code: let the file call any code there is, which may do whatever the confinement
            leaves it; else only tensors and plain containers are made of it.
        confined: False: where this system cannot shut a process in, read tensors and plain
            containers all the same. Never with ``run_code``.
        seconds: that it may take.

    Raises:
        RlpytError: ``convert``, where the file is not that, or takes too long or too much memory;
            ``sandbox``, where this system cannot shut a process in.
    """
    if run_code and not confined:
        what = "code of the file would run with all of your rights"
        hint = "leave out --allow-pickle, or --no-sandbox"
        raise RlpytError("sandbox", what, where=str(path), hint=hint)
    with (
        tempfile.TemporaryFile() as copy,  # the process inside cannot reach the file itself
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        try:
            with path.open("rb") as file:
                shutil.copyfileobj(file, copy)
        except OSError as error:
            raise RlpytError("convert", f"cannot read {path}: {error.strerror}") from error
        size = copy.tell()
        copy.seek(0)
        request = {
            "run_code": run_code,
            "confined": confined,
            "seconds": seconds,
            "memory": _LEAST_MEMORY + 6 * size,
            "output": 4 * size + _MAX_HEADER,
            "path": [folder for folder in sys.path if Path(folder).is_absolute()],
        }
        code = _run(request, copy, output, errors)
        errors.seek(0)
        _check(path, code, _last_line(errors), seconds)
        output.seek(0)
        return _parsed(path, output.read())


def _run(request: dict[str, Any], source: IO[bytes], output: IO[bytes], errors: IO[bytes]) -> int:
    """The exit code of the process, of which nothing is left."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-B", child.__file__, json.dumps(request)],
        stdin=source,
        stdout=output,
        stderr=errors,
        cwd="/",
        env={"OMP_NUM_THREADS": "1"},  # nothing of ours: no token, no path
        start_new_session=True,
    )
    try:
        return process.wait(request["seconds"] + _PATIENCE)
    except subprocess.TimeoutExpired:
        return 128 + signal.SIGALRM
    finally:
        if process.poll() is None:
            process.terminate()  # so that it kills the process inside
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _last_line(file: IO[bytes]) -> str:
    """The end of what the process said, printable: the file may have had it say anything."""
    file.seek(max(0, file.seek(0, 2) - _MESSAGE))
    lines = file.read().decode("ascii", errors="replace").strip().splitlines()
    return "".join(letter if letter.isprintable() else "?" for letter in (lines or [""])[-1])


def _check(path: Path, code: int, said: str, seconds: int) -> None:
    if code == 0:
        return
    where = str(path)
    if code == child.UNCONFINED:
        what = f"this system cannot shut a process in ({said}): the file has not been read"
        hint = "allow user namespaces, or read tensors alone with --no-sandbox"
        raise RlpytError("sandbox", what, where=where, hint=hint)
    if code == child.REFUSED:
        what = f"it holds more than tensors in dicts, or is damaged: {said}"
        hint = "pickle is not a supported format; --allow-pickle runs the file's code, shut in"
        raise RlpytError("convert", what, where=where, hint=hint)
    if code in (128 + signal.SIGKILL, 128 + signal.SIGALRM, -signal.SIGALRM, 128 + signal.SIGXCPU):
        what = f"reading it has taken {seconds} seconds, and was ended"
        raise RlpytError("convert", what, where=where, hint="do not trust the file")
    what = f"the process that read it has ended with code {code}: {said}"
    raise RlpytError("convert", what, where=where, hint="do not trust the file")


def _parsed(path: Path, content: bytes) -> ForeignFile:
    """What the process has written, which the file may have made up: safetensors, and numbers."""
    length = int.from_bytes(content[:8], "little")
    try:
        if not 2 <= length <= min(_MAX_HEADER, len(content) - 8):
            raise ValueError(f"a header of {length} bytes")
        tensors = load(content)
        metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        numbers = json.loads(metadata.get("numbers", "{}"))
        plain = {
            str(name): value
            for name, value in numbers.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
    except (ValueError, AttributeError, TypeError, RecursionError, SafetensorError) as error:
        what = f"the process that read it has not written tensors: {error}"
        raise RlpytError("convert", what, where=str(path), hint="do not trust the file") from error
    return ForeignFile(path, tensors, plain)
