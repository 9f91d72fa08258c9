import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from rlpyt.utils import git as git_module
from rlpyt.utils.git import read_repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    """As a person uses it, with an empty home."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{who}_{what}": "x"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        },
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *words], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "my project"
    (root / "package").mkdir(parents=True)
    git(root, "init", "-q", "-b", "trunk")
    (root / "train.py").write_text("a = 1\n")
    (root / "weights.bin").write_bytes(bytes(range(256)))
    (root / ".gitignore").write_text("*.log\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_clean_repository_seen_from_below(repository: Path):
    found = read_repository(repository / "package")
    assert found.root == repository
    assert found.commit == git(repository, "rev-parse", "HEAD").strip()
    assert found.branch == "trunk"
    assert (found.diff, found.untracked, found.n_untracked, found.problem) == (None, {}, 0, None)


def test_a_detached_head_has_no_branch(repository: Path):
    git(repository, "checkout", "-q", "--detach")
    found = read_repository(repository)
    assert found.branch is None
    assert found.commit is not None


def test_the_diff_gives_the_files_back(repository: Path, tmp_path: Path):
    """Staged or not, text or binary, whatever the user has set for reading diffs."""
    for name, value in (("diff.noprefix", "true"), ("diff.context", "0"), ("color.ui", "always")):
        git(repository, "config", name, value)
    (repository / "train.py").write_text("a = 2\n")
    (repository / "weights.bin").write_bytes(bytes(reversed(range(256))))
    (repository / "package" / "new.py").write_text("b = 1\n")
    git(repository, "add", "package/new.py")
    diff = read_repository(repository / "package").diff
    assert diff is not None
    assert diff.is_whole
    assert diff.sha256 == hashlib.sha256(diff.content).hexdigest()
    (tmp_path / "git.diff").write_bytes(diff.content)
    git(tmp_path, "clone", "-q", str(repository), "then")
    git(tmp_path / "then", "apply", str(tmp_path / "git.diff"))
    for name in ("train.py", "weights.bin", "package/new.py"):
        assert (tmp_path / "then" / name).read_bytes() == (repository / name).read_bytes()


def test_a_large_diff_is_cut_and_hashed_whole(repository: Path, monkeypatch: pytest.MonkeyPatch):
    (repository / "train.py").write_text("".join(f"a{i} = 1\n" for i in range(20_000)))
    whole = read_repository(repository).diff
    monkeypatch.setattr(git_module, "_MAX_DIFF", 100)
    cut = read_repository(repository).diff
    assert whole is not None
    assert cut is not None
    assert cut.content == whole.content[:100]
    assert (cut.size, cut.sha256, cut.is_whole) == (whole.size, whole.sha256, False)


def test_untracked_files_are_named_and_hashed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(git_module, "_MAX_HASHED", 10)
    secret = tmp_path / "secret"
    secret.write_text("password")
    (repository / "my env.py").write_text("x\n")
    (repository / "ü.py").write_text("y\n")
    (repository / "large").write_text("12345678901")
    (repository / "ignored.log").write_text("z")
    (repository / "link").symlink_to(secret)
    found = read_repository(repository)
    assert found.untracked == {
        "large": "11 bytes",
        "link": hashlib.sha256(str(secret).encode()).hexdigest(),
        "my env.py": hashlib.sha256(b"x\n").hexdigest(),
        "ü.py": hashlib.sha256(b"y\n").hexdigest(),
    }
    assert found.n_untracked == 4
    monkeypatch.setattr(git_module, "_MAX_UNTRACKED", 1)
    found = read_repository(repository)
    assert (len(found.untracked), found.n_untracked) == (1, 4)


def test_runs_are_no_source(repository: Path):
    for name in (
        "data/run_0/params.json",
        "data/run_0/checkpoints/x",
        "grid/queue.sqlite",
        "grid/a",
    ):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("{}")
    (repository / "data" / "notes.txt").write_text("mine")
    (repository / "params.json").write_text("{}")  # the whole repository is no run
    assert set(read_repository(repository).untracked) == {"data/notes.txt", "params.json"}


@pytest.mark.parametrize("place", ["nothing", "nowhere", "unborn"])
def test_what_is_no_repository_is_said(place: str, tmp_path: Path):
    folder = tmp_path / place
    if place != "nowhere":
        folder.mkdir()
    if place == "unborn":
        git(folder, "init", "-q", "-b", "trunk")
    found = read_repository(folder)
    said = {"nothing": "not a git repository", "nowhere": "no directory", "unborn": "no commit yet"}
    assert said[place] in str(found.problem)
    assert (found.root is None) == (place != "unborn")
    assert found.commit is found.diff is None


def test_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_repository(repository).problem == "git is not installed"


def test_a_slow_git_is_ended_with_what_it_started(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "bin").mkdir()
    executable(tmp_path / "bin" / "git", f"sleep 60 & echo $! > '{tmp_path}/pid'; wait")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    start = time.monotonic()
    found = read_repository(repository, seconds=0.5)
    assert time.monotonic() - start < 5
    assert found.problem == "git rev-parse took too long"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nothing_of_the_repository_is_run_or_changed(repository: Path, tmp_path: Path):
    canary = tmp_path / "canary"
    program = executable(tmp_path / "program", f"touch '{canary}'; cat \"$1\" 2>/dev/null")
    for name in ("core.fsmonitor", "diff.external", "diff.mine.textconv", "core.pager"):
        git(repository, "config", name, str(program))
    git(repository, "config", "core.hooksPath", str(tmp_path))
    executable(tmp_path / "post-index-change", f"touch '{canary}'")
    (repository / ".gitattributes").write_text("*.py diff=mine\n")
    git(repository, "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "add", ".")
    (repository / "train.py").write_text("a = 2\n")
    canary.unlink(missing_ok=True)
    os.utime(repository / "weights.bin")  # git would like to note that in its index
    before = (repository / ".git" / "index").read_bytes()
    found = read_repository(repository)
    assert found.diff is not None
    assert b"+a = 2" in found.diff.content
    assert not canary.exists()
    assert (repository / ".git" / "index").read_bytes() == before


def test_the_repository_of_a_hook_is_not_taken(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    (tmp_path / "other").mkdir()
    assert "not a git repository" in str(read_repository(tmp_path / "other").problem)
