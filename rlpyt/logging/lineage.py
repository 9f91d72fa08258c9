"""``lineage.json`` of a run directory: what a run is besides its settings from the start on: a fork
of another, gone back to an earlier checkpoint, or continued with other settings.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlpyt.logging.files import directory_error, write_atomic
from rlpyt.utils.config import config_value
from rlpyt.utils.errors import RlpytError

__all__ = ["LINEAGE", "add_event", "read_lineage"]

LINEAGE = "lineage.json"
"""The file's name in a run directory."""


def add_event(run_dir: Path, event: str, **details: Any) -> None:
    """Append an ``event`` with its ``details``, data for JSON.

    Raises:
        RlpytError: ``directory``, where the file cannot be read or written.
    """
    date = datetime.now(UTC).isoformat(timespec="seconds")
    events = [*read_lineage(run_dir), {"event": event, "date": date, **details}]
    content = json.dumps({"format": 1, "events": config_value(events)}, indent=2)
    try:
        write_atomic(run_dir / LINEAGE, f"{content}\n".encode())
    except OSError as error:
        raise directory_error(run_dir / LINEAGE, error) from error


def read_lineage(run_dir: Path) -> list[Mapping[str, Any]]:
    """What has happened to the run, the first first; [] without the file.

    Raises:
        RlpytError: ``directory``, where it cannot be read as that.
    """
    path = run_dir / LINEAGE
    try:
        events = json.loads(path.read_bytes())["events"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{path} cannot be read: {error}"
        raise RlpytError("directory", what, hint="restore it, or take it away") from error
    if not (isinstance(events, list) and all(isinstance(each, dict) for each in events)):
        raise RlpytError("directory", f"{path} holds no events", hint="restore it")
    return events
