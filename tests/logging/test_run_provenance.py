import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlpyt.logging import logger as logger_module
from rlpyt.logging.logger import Logger
from rlpyt.logging.provenance import add_session, read_sessions
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.git import Diff
from rlpyt.utils.provenance import Session


def session(text: bytes = b"", seed: int = 0) -> Session:
    """With ``text`` as the user's diff, where there is any."""
    diffs, diff = {}, None
    if text:
        found = Diff(content=text, size=len(text), sha256=hashlib.sha256(text).hexdigest())
        diffs = {"user": found}
        diff = {"bytes": found.size, "sha256": found.sha256, "whole": True}
    return Session(record={"seed": seed, "git": {"user": {"diff": diff}}}, diffs=diffs)


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[Logger]:
    made = Logger(tmp_path, "ppo", 0, tensorboard=False, console=False)
    yield made
    made.close()


def files(run_dir: Path) -> dict[str, Any]:
    return [
        found["git"]["user"]["diff"] and found["git"]["user"]["diff"]["file"]
        for found in read_sessions(run_dir)
    ]


def test_sessions_are_kept_and_share_their_diffs(tmp_path: Path):
    assert read_sessions(tmp_path) == []
    for number, text in enumerate((b"", b"one", b"one", b"two", b"", b"one")):
        add_session(tmp_path, session(text, seed=number))
    assert [found["seed"] for found in read_sessions(tmp_path)] == list(range(6))
    assert files(tmp_path) == [None, "git.diff", "git.diff", "git_2.diff", None, "git.diff"]
    assert (tmp_path / "git.diff").read_bytes() == b"one"
    assert (tmp_path / "git_2.diff").read_bytes() == b"two"


def test_a_run_goes_on_where_what_was_is_unreadable(tmp_path: Path):
    (tmp_path / "provenance.json").write_text("{")
    with pytest.raises(RlpytError, match=r"provenance\.json cannot be read"):
        read_sessions(tmp_path)
    add_session(tmp_path, session(seed=5))
    first, second = read_sessions(tmp_path)
    assert "cannot be read" in first["problem"]
    assert second["seed"] == 5
    (tmp_path / "provenance.json").write_text(json.dumps({"sessions": 3}))
    with pytest.raises(RlpytError, match="holds no sessions"):
        read_sessions(tmp_path)


def test_a_full_disk_is_a_warning(logger: Logger, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(logger_module, "add_session", full)
    with pytest.warns(RuntimeWarning, match=r"provenance\.json of .* No space left"):
        logger.log_session(session())
