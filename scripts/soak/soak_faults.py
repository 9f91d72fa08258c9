"""What is done to a queue that is at work."""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from soak_disk import SmallDisk

__all__ = ["Situation", "companions", "descendants", "some_fault"]


@dataclass(frozen=True)
class Situation:
    """Whom to do it to, and where chance comes from."""

    launcher: int
    disk: SmallDisk
    rng: random.Random


def parents() -> dict[int, int]:
    """Parent of every living process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found[int(path.parent.name)] = int(parent)
    return found


def descendants(of: int | None = None) -> set[int]:
    """Living processes below this one, or below process ``of``."""
    above, root = parents(), of or os.getpid()
    found = {root}
    while more := {pid for pid, parent in above.items() if parent in found} - found:
        found |= more
    return found - {root}


def companions() -> set[int]:
    """Living processes in this one's namespace of mounts, whoever their parent is by now."""
    own, found = Path("/proc/self/ns/mnt").readlink(), set()
    for pid in parents():
        with suppress(OSError):
            if Path(f"/proc/{pid}/ns/mnt").readlink() == own:
                found.add(pid)
    return found - {os.getpid()}


def runs(launcher: int) -> list[int]:
    """The processes that learn: children of the launcher that have children."""
    above = parents()
    with_children = set(above.values())
    return sorted(p for p, parent in above.items() if parent == launcher and p in with_children)


def kill_worker(situation: Situation) -> str:
    """SIGKILL to some process below a run: a worker, the sampler, a helper."""
    found = sorted(pid for run in runs(situation.launcher) for pid in descendants(run))
    if not found:
        return ""
    victim = situation.rng.choice(found)
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    return f"killed {victim}"


def stop_learner(situation: Situation) -> str:
    """SIGSTOP to a run, and SIGCONT some seconds later."""
    found = runs(situation.launcher)
    if not found:
        return ""
    victim, seconds = situation.rng.choice(found), situation.rng.uniform(2.0, 10.0)
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(victim, signal.SIGCONT)
    return f"stopped {victim} for {seconds:.1f} s"


def fill_disk(situation: Situation) -> str:
    """Not a byte is free, for some seconds."""
    seconds = situation.rng.uniform(2.0, 15.0)
    situation.disk.fill()
    time.sleep(seconds)
    situation.disk.free()
    return f"full for {seconds:.1f} s"


def kill_launcher(situation: Situation) -> str:
    """SIGKILL; who watches starts another."""
    os.kill(situation.launcher, signal.SIGKILL)
    return f"killed {situation.launcher}"


FAULTS: Mapping[str, tuple[int, Callable[[Situation], str]]] = MappingProxyType(
    {
        "worker killed": (5, kill_worker),
        "learner stopped": (5, stop_learner),
        "disk full": (3, fill_disk),
        "launcher killed": (1, kill_launcher),  # seldom: it ends every process, and none gets old
    }
)


def some_fault(situation: Situation) -> tuple[str, str]:
    """One of them, by its weight: its name, and what was done, or nothing where none could be."""
    weights = [weight for weight, _function in FAULTS.values()]
    name = situation.rng.choices(list(FAULTS), weights)[0]
    return name, FAULTS[name][1](situation)
