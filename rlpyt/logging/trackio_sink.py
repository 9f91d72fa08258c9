"""Trackio."""

import os
import secrets
from collections.abc import Mapping
from types import ModuleType
from typing import Any, final

from rlpyt.logging.remote import RunLabel

__all__ = ["TrackioService"]


@final
class TrackioService:
    """One run in Trackio, in the project ``TRACKIO_PROJECT`` (``rlpyt``).

    Trackio reads its own variables: by default it keeps runs on this machine, in ``TRACKIO_DIR``;
    with ``TRACKIO_SPACE_ID`` or ``TRACKIO_SERVER_URL`` it sends them.
    """

    name = "Trackio"

    def __init__(self, trackio: ModuleType, label: RunLabel) -> None:
        """``trackio`` is the package; nothing is sent yet."""
        self._trackio = trackio
        self._label = label
        self._run: Any = None

    def begin(self, settings: Mapping[str, Any], run_id: str | None) -> str:
        """Begin, or continue the run of the name ``run_id``: Trackio knows runs by their names."""
        run_id = run_id or f"{self._label}-{secrets.token_hex(4)}"
        self._run = self._trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "rlpyt"),
            name=run_id,
            group=self._label.name,
            config=dict(settings),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return run_id

    def write(self, values: Mapping[str, float], step: int) -> None:
        """One row of the run."""
        self._run.log(dict(values), step=step)

    def close(self, *, success: bool) -> None:
        """Finish; Trackio knows no other end."""
        self._run.finish()
