"""``provenance.json`` of a run directory: what each session of the run was started from, and the
uncommitted changes of then as ``git.diff``.
"""

from pathlib import Path
from typing import Any

from rlpyt.logging.files import read_entries, write_atomic, write_entries
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.provenance import Session

__all__ = ["PROVENANCE", "add_session", "read_sessions"]

PROVENANCE = "provenance.json"
"""The file's name in a run directory."""


def add_session(run_dir: Path, session: Session) -> None:
    """Append ``session`` to those that the run has had. A diff is written once: sessions with the
    same share the file.

    Raises:
        OSError: where it cannot be written.
    """
    try:
        sessions = read_sessions(run_dir)
    except RlpytError as error:  # of a run that goes on
        sessions = [{"problem": f"of the sessions before: {error.what}"}]
    written = {
        diff["sha256"]: diff["file"]
        for before in sessions
        for found in before.get("git", {}).values()
        if (diff := found["diff"]) is not None
    }
    record = dict(session.record)
    record["git"] = {name: dict(found) for name, found in record["git"].items()}
    for name, diff in session.diffs.items():
        file_name = written.get(diff.sha256) or _free_name(run_dir, name)
        if diff.sha256 not in written:
            write_atomic(run_dir / file_name, diff.content)
        record["git"][name]["diff"] = {"file": file_name, **record["git"][name]["diff"]}
    write_entries(run_dir / PROVENANCE, "sessions", [*sessions, record])


def read_sessions(run_dir: Path) -> list[dict[str, Any]]:
    """What the run was started from, the first time and at each resumption; [] without the file.

    Raises:
        RlpytError: where the file cannot be read as that.
    """
    return read_entries(run_dir / PROVENANCE, "sessions")


def _free_name(run_dir: Path, name: str) -> str:
    """``git.diff`` of the user's repository, ``git_rlpyt.diff`` of another; of a later session with
    a number.
    """
    stem, number = "git" if name == "user" else f"git_{name}", 1
    file_name = f"{stem}.diff"
    while (run_dir / file_name).exists():
        number += 1
        file_name = f"{stem}_{number}.diff"
    return file_name
