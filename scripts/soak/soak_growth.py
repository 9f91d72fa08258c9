"""Whether processes grow: memory and descriptors over their lives."""

import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import theilslopes
from soak_faults import descendants

__all__ = ["Growth"]

LONG = 300.0  # seconds that a process must have been looked at
EARLY = 0.4  # of a life, in which replays fill and buffers are made
LEAST_MB_PER_HOUR = 1.0
LOOK_EVERY = 5.0


class Growth:
    """Measurements of every process below a launcher, and of itself."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, list[tuple[float, float, int]]] = defaultdict(list)
        self._last = -LOOK_EVERY

    def look(self, launcher: int) -> None:
        """Every few seconds: of each process the time, the resident MB and the descriptors."""
        now = time.monotonic()
        if now - self._last < LOOK_EVERY:
            return
        self._last = now
        for pid in {launcher, *descendants(launcher)}:
            with suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                resident = next(line for line in lines if line.startswith("VmRSS"))
                files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
                self._seen[pid].append((now, int(resident.split()[1]) / 1024, files))

    def slopes(self) -> list[float]:
        """MB an hour, of each process that lived long, by the medians of all pairs."""
        found = []
        for rows in self._seen.values():
            times, memory, _files = np.array(rows).T
            if times[-1] - times[0] >= LONG:
                late = times >= times[0] + EARLY * (times[-1] - times[0])
                found.append(float(theilslopes(memory[late], times[late] / 3600).slope))
        return found

    def more_descriptors(self) -> list[int]:
        """How many more a process had at the end of its life than in the middle of it."""
        found = []
        for rows in self._seen.values():
            if rows[-1][0] - rows[0][0] >= LONG:
                files = [count for _time, _memory, count in rows]
                middle = files[len(files) // 3 : 2 * len(files) // 3]
                found.append(int(np.median(files[-len(files) // 4 :]) - np.median(middle)))
        return found

    @property
    def memory_is_flat(self) -> bool:
        """On the median over processes, less than 1 MB an hour; no where none lived long."""
        slopes = self.slopes()
        return bool(slopes) and float(np.median(slopes)) < LEAST_MB_PER_HOUR

    @property
    def descriptors_are_flat(self) -> bool:
        """No process had more at its end than in its middle."""
        return max(self.more_descriptors(), default=0) <= 0

    def report(self) -> dict[str, Any]:
        """In numbers."""
        slopes = self.slopes()
        return {
            "processes that lived 5 minutes": len(slopes),
            "MB an hour, median": round(float(np.median(slopes)), 3) if slopes else None,
            "MB an hour, most": round(max(slopes), 3) if slopes else None,
            "more descriptors, most": max(self.more_descriptors(), default=0),
        }
