"""``lineage.json`` of a run directory: what has happened to the run that its settings do not tell.
It was forked from another, went back to an earlier checkpoint, or was continued with other
settings.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlpyt.logging.files import directory_error, read_entries, write_entries
from rlpyt.utils.config import config_value

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
    try:
        write_entries(run_dir / LINEAGE, "events", config_value(events))
    except OSError as error:
        raise directory_error(run_dir / LINEAGE, error) from error


def read_lineage(run_dir: Path) -> list[dict[str, Any]]:
    """What has happened to the run, the first first; [] without the file.

    Raises:
        RlpytError: ``directory``, where it cannot be read as that.
    """
    return read_entries(run_dir / LINEAGE, "events")
