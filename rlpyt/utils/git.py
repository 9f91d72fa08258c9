"""What git knows of a folder: commit, uncommitted changes, files it does not track. Read only.

Nothing of the repository is run or changed: no hooks, no pager, no file system monitor, no external
diff programs, no locks, no network.
"""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, final

__all__ = ["Diff", "Repository", "read_repository"]

_SECONDS = 5.0  # for everything that is asked of one repository
_MAX_DIFF = 8 * 2**20  # bytes of a diff that are kept
_MAX_UNTRACKED = 500  # files that are hashed
_MAX_HASHED = 4 * 2**20  # bytes of a file, for its content to be hashed
# A folder that holds one of these is a run's, or a launcher's: what is below is output.
_OUTPUT = frozenset(
    {"debug.log", "experiments_tree.txt", "params.json", "progress.csv", "queue.sqlite"}
)
_SAFE = (
    "--no-pager",
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.quotePath=true"),
)
_DIFF = (
    *("diff", "HEAD", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3"),
    "--ignore-submodules=dirty",
)
_UNTRACKED = ("ls-files", "--others", "--exclude-standard", "-z")
_CHUNK = 2**16  # bytes
# Of whoever started this process, such as a hook: they would lead to another repository.
_NOT_PASSED_ON = frozenset(
    {
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_EXTERNAL_DIFF",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)


@final
@dataclass(frozen=True, kw_only=True)
class Diff:
    """Changes of tracked files against the commit, as ``git apply`` takes them."""

    content: bytes  # at most 8 MiB
    size: int  # bytes in all
    sha256: str  # of all

    @property
    def is_whole(self) -> bool:
        """Whether ``content`` is all of it."""
        return len(self.content) == self.size


@final
@dataclass(frozen=True, kw_only=True)
class Repository:
    """A folder as git sees it."""

    root: Path | None = None  # None: no repository, or git could not be asked
    commit: str | None = None  # None: before the first commit
    branch: str | None = None  # None: detached
    diff: Diff | None = None  # None: nothing is changed
    untracked: dict[str, str] = field(default_factory=dict)  # path below root to SHA-256; see below
    n_untracked: int = 0  # those beyond 500 are counted only
    problem: str | None = None  # why something is not known


@final
class _GitError(Exception):
    """Git is missing, slow, or says no."""


def read_repository(folder: Path, seconds: float = _SECONDS) -> Repository:
    """Look at the repository that ``folder`` is in. Never raises, and takes ``seconds`` at most.

    Of untracked files, without those that are ignored and those in directories of runs, only names
    and hashes are kept: a large file's hash is ``"<size> bytes"``, a link's its target's.
    """
    deadline = time.monotonic() + seconds
    found = Repository()
    try:
        if not folder.is_dir():
            raise _GitError(f"there is no directory {folder}")
        found = _head(folder, deadline)
        if found.root is None or found.commit is None:
            return found
        diff = _git(found.root, _DIFF, deadline)
        names = os.fsdecode(_git(found.root, _UNTRACKED, deadline).content).split("\0")[:-1]
        untracked = _without_output(names)
        return replace(
            found,
            diff=diff if diff.size else None,
            untracked={name: _digest(found.root / name) for name in untracked[:_MAX_UNTRACKED]},
            n_untracked=len(untracked),
        )
    except (_GitError, OSError) as error:
        return replace(found, problem=str(error))


def _head(folder: Path, deadline: float) -> Repository:
    """Where the repository is, and what is checked out."""
    top = os.fsdecode(_git(folder, ("rev-parse", "--show-toplevel"), deadline).content)
    root = Path(top.removesuffix("\n"))
    names = ("rev-parse", "HEAD", "--symbolic-full-name", "HEAD")
    try:
        commit, branch = os.fsdecode(_git(root, names, deadline).content).split()
    except _GitError:
        return Repository(root=root, problem="there is no commit yet")
    branch = branch.removeprefix("refs/heads/")
    return Repository(root=root, commit=commit, branch=None if branch == "HEAD" else branch)


def _git(folder: Path, words: tuple[str, ...], deadline: float) -> Diff:
    """What ``git`` answers there, until ``deadline`` of the monotonic clock."""
    seconds = deadline - time.monotonic()
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    # By its path: while subprocess searches for it, Python forgets which warnings it has shown.
    program = shutil.which("git")
    if program is None:
        raise _GitError("git is not installed")
    command = [program, "-C", str(folder), *_SAFE, *words]
    with tempfile.TemporaryFile() as complaint:
        process = subprocess.Popen(
            command,
            env=environ | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaint,
            start_new_session=True,  # Ctrl-C is the run's; what git starts ends with it
        )
        timer = threading.Timer(max(0.0, seconds), _kill, (process,))
        timer.start()
        with process:
            assert process.stdout is not None
            try:
                answer = _hashed(process.stdout)
                process.wait()
            finally:
                _kill(process)
                timer.cancel()
                timer.join()
        complaint.seek(0)
        said = complaint.read(_CHUNK).decode(errors="replace").strip()
    if process.returncode == -signal.SIGKILL:
        raise _GitError(f"git {words[0]} took too long")
    if process.returncode:
        raise _GitError(said.partition("\n")[0].removeprefix("fatal: ") or "git failed")
    return answer


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _hashed(stream: IO[bytes]) -> Diff:
    digest, kept, size = hashlib.sha256(), bytearray(), 0
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        kept += chunk[: _MAX_DIFF - len(kept)]
        size += len(chunk)
    return Diff(content=bytes(kept), size=size, sha256=digest.hexdigest())


def _without_output(names: list[str]) -> list[str]:
    """Those that are not below the directory of a run."""
    paths = [PurePosixPath(name) for name in names]
    outputs = {path.parent for path in paths if path.name in _OUTPUT} - {PurePosixPath(".")}
    return [
        name for name, path in zip(names, paths, strict=True) if outputs.isdisjoint(path.parents)
    ]


def _digest(path: Path) -> str:
    """SHA-256 of a file's content, or of where a link points to."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
        if not stat.S_ISREG(status.st_mode):
            return "no file"
        if status.st_size > _MAX_HASHED:
            return f"{status.st_size} bytes"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"not readable: {error.strerror}"
