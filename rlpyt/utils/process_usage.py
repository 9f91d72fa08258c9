"""What processes of this machine use: CPU time and memory of each with all it has started."""

import os
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, final

__all__ = ["ProcessUsage", "Usage"]


class Usage(NamedTuple):
    """Of a process and all that it has started."""

    cpu: float | None  # percent of one CPU since the last look; None at the first
    memory: int  # bytes that are resident; what processes share counts for each


class _Process(NamedTuple):
    parent: int
    session: int
    key: tuple[int, str]  # number and start: a later process of that number is another one
    seconds: float  # of CPU time so far
    memory: int


@final
class ProcessUsage:
    """Looks at the system's processes, in ``/proc``; where there is none, nothing is known."""

    def __init__(self) -> None:
        """Nothing is read before a look."""
        self._seconds: dict[tuple[int, str], float] = {}
        self._looked_at: float | None = None

    def look(self, roots: Collection[int]) -> dict[int, Usage]:
        """What each of ``roots`` uses that is there; one pass over all processes.

        To a process belong its descendants, and all of the session that it leads.
        """
        if not roots:
            self._seconds, self._looked_at = {}, None
            return {}
        now, before = time.monotonic(), self._looked_at
        processes = dict(_processes())
        found = {}
        for root in roots:
            members = _members(root, processes)
            if not members:
                continue
            cpu = None
            if before is not None and now > before:
                used = sum(each.seconds - self._seconds.get(each.key, 0.0) for each in members)
                cpu = 100.0 * used / (now - before)
                cpu = cpu if processes[root].key in self._seconds else None
            found[root] = Usage(cpu, sum(each.memory for each in members))
        self._seconds = {each.key: each.seconds for each in processes.values()}
        self._looked_at = now
        return found


def _members(root: int, processes: Mapping[int, _Process]) -> list[_Process]:
    if root not in processes:
        return []
    members = {root}
    while True:
        new = {
            pid
            for pid, process in processes.items()
            if pid not in members and (process.parent in members or process.session == root)
        }
        if not new:
            return [processes[pid] for pid in members]
        members |= new


def _processes() -> Iterator[tuple[int, _Process]]:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in filter(str.isdigit, names):
        try:
            text = Path("/proc", name, "stat").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        cells = text.rpartition(b")")[2].split()  # from the third on: state, parent, group, session
        pid = int(name)
        yield (
            pid,
            _Process(
                parent=int(cells[1]),
                session=int(cells[3]),
                key=(pid, cells[19].decode()),
                seconds=(int(cells[11]) + int(cells[12])) / ticks,
                memory=int(cells[21]) * page,
            ),
        )
