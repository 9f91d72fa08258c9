"""Whether processes grow: memory and descriptors over their lives."""

import os
import re
import time
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import theilslopes
from soak_faults import descendants

__all__ = ["Growth"]

LONG = 300.0  # seconds that a process must have been looked at
EARLY = 0.4  # of a life, in which replays fill and buffers are made
LEAST_MB_PER_HOUR = 1.0
LOOK_EVERY = 5.0


class Look(NamedTuple):
    """What is seen of a process at a moment."""

    time: float  # seconds
    resident: float  # MB
    files: Counter[str]  # open descriptors, by what they lead to


class Growth:
    """Measurements of every process below a launcher, and of itself."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, list[Look]] = defaultdict(list)
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
                links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
                files = Counter(re.sub(r"[0-9a-f]{4,}|[0-9]+", "N", link) for link in links)
                self._seen[pid].append(Look(now, int(resident.split()[1]) / 1024, files))

    def _long(self) -> list[list[Look]]:
        return [looks for looks in self._seen.values() if looks[-1].time - looks[0].time >= LONG]

    def slopes(self) -> list[float]:
        """MB an hour, of each process that lived long, by the medians of all pairs."""
        found = []
        for looks in self._long():
            times, memory = np.array([(look.time, look.resident) for look in looks]).T
            late = times >= times[0] + EARLY * (times[-1] - times[0])
            found.append(float(theilslopes(memory[late], times[late] / 3600).slope))
        return found

    def more_descriptors(self) -> list[str]:
        """What processes had more of at the end of their lives than in the middle of them."""
        found = []
        for looks in self._long():
            middle = [look.files for look in looks[len(looks) // 3 : 2 * len(looks) // 3]]
            late = [look.files for look in looks[-len(looks) // 4 :]]
            for name in set().union(*late):
                before = np.median([files[name] for files in middle])
                more = int(np.median([files[name] for files in late]) - before)
                found += [f"{more} of {name}"] if more > 0 else []
        return found

    @property
    def memory_is_flat(self) -> bool:
        """On the median over processes, less than 1 MB an hour; no where none lived long."""
        slopes = self.slopes()
        return bool(slopes) and float(np.median(slopes)) < LEAST_MB_PER_HOUR

    @property
    def descriptors_are_flat(self) -> bool:
        """No process had more of anything at its end than in its middle."""
        return not self.more_descriptors()

    def report(self) -> dict[str, Any]:
        """In numbers."""
        slopes = self.slopes()
        return {
            "processes that lived 5 minutes": len(slopes),
            "MB an hour, median": round(float(np.median(slopes)), 3) if slopes else None,
            "MB an hour, most": round(max(slopes), 3) if slopes else None,
            "more descriptors": self.more_descriptors(),
        }
