"""The end of what a run has printed, as text that is safe to show."""

import os
import re
from pathlib import Path

from rlpyt.launch.child import OUTPUT_FILE

__all__ = ["output_tail"]

_TAIL = 64 * 1024  # bytes
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def output_tail(run_dir: Path) -> str:
    """The last lines of ``output.log``, or of ``debug.log`` where a run has no other, without what
    moves a terminal's cursor or colours it; "" where there is neither.
    """
    for name in (OUTPUT_FILE, "debug.log"):
        try:
            with (run_dir / name).open("rb") as file:
                start = max(0, file.seek(0, os.SEEK_END) - _TAIL)
                file.seek(start)
                text = file.read(_TAIL).decode(errors="replace")
        except OSError:
            continue
        lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
        shown = [_CONTROLS.sub("", line.rpartition("\r")[2] or line) for line in lines]
        return "\n".join(shown[1:] if start else shown).rstrip("\n")
    return ""
