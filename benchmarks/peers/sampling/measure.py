"""The stopwatch: so many seconds of warm-up, so many of measurement."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["measure"]


def measure(advance: Callable[[], int], *, warmup: float, seconds: float) -> dict[str, Any]:
    """Call ``advance``, which returns a number of transitions, for ``seconds`` after ``warmup``.

    ``cpu_s`` is the processor time of all processes of this session, ``None`` where the system does
    not tell.
    """
    _run(advance, warmup)
    cpu = _session_cpu_seconds()
    steps, wall = _run(advance, seconds)
    after = _session_cpu_seconds()
    return {
        "steps": steps,
        "wall_s": wall,
        "steps_per_s": steps / wall,
        "cpu_s": None if cpu is None or after is None else after - cpu,
    }


def _run(advance: Callable[[], int], seconds: float) -> tuple[int, float]:
    steps, start = 0, time.perf_counter()
    while True:
        steps += advance()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return steps, elapsed


def _session_cpu_seconds() -> float | None:
    session, ticks = os.getsid(0), 0
    listings = list(Path("/proc").glob("[0-9]*/stat"))
    for listing in listings:
        try:
            # After the command in parentheses: state, parent, group, session; user, system ticks.
            fields = listing.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) == session:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") if listings else None
