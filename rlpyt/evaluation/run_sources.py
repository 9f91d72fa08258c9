"""Which runs a directory has, and what has become of each: by its queue, or by their own files."""

import json
import math
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final, get_args

from rlpyt.evaluation.labels import setting_labels
from rlpyt.evaluation.runs import (
    algorithm_name,
    env_name,
    find_runs,
    group_runs,
    short_name,
)
from rlpyt.launch.attendance import SILENCE, LauncherRecord
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import QueuedRun
from rlpyt.utils.config import flatten_config
from rlpyt.utils.processes import is_alive

__all__ = ["LIVE_STATES", "FolderSource", "FoundRun", "LiveState", "QueueSource", "RunSource"]

LiveState = Literal["running", "lost", "failed", "stopped", "queued", "done"]

"""As a queue has them, and ``lost``: its process has ended, and nobody has said how."""

LIVE_STATES: tuple[LiveState, ...] = get_args(LiveState)
"""In the order in which people want to see them."""

_SEARCH = 5.0  # seconds between two searches for new runs below a folder
_LOST = "its process has ended without a word"
_LOST_IN_QUEUE = "its launcher was ended; the next one goes on with it"


@final
@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run, and what its queue or its own files say of it."""

    id: int
    name: str  # its directory below the one that is watched
    run_dir: Path
    group: str  # what tells its settings from others', without the environment
    env: str
    seed: int | None
    n_steps: int | None
    state: LiveState
    slot: int | None = None
    host: str = ""
    pid: int | None = None  # on this machine, where it runs here
    reason: str = ""
    attempts: int = 1
    seconds: float = math.nan  # that it has taken, its beginning and end included; NaN: not known
    ending: bool = False  # somebody has asked it to end


class RunSource(ABC):
    """Knows the runs of a directory."""

    @abstractmethod
    def look(self) -> list[FoundRun]:
        """All, as they are now.

        Raises:
            RlpytError: where that cannot be read.
        """

    @abstractmethod
    def count_launchers(self) -> int | None:
        """How many are alive; None where there is no queue that they could drain."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files."""


@final
class QueueSource(RunSource):
    """The runs of a queue; to be used in one thread, which has made it."""

    def __init__(self, directory: Path) -> None:
        """Open the queue.

        Raises:
            RlpytError: ``queue``, where there is none.
        """
        self._queue = Queue(directory)
        self._params = _JsonCache("params.json")
        self._launchers: set[int] = set()  # numbers of those that are alive

    def look(self) -> list[FoundRun]:
        """Those of the queue."""
        self._launchers = {each.id for each in self._queue.launchers() if _is_alive(each)}
        runs = self._queue.runs()
        variants = {run.spec.log_dir: flatten_config(run.spec.variant) for run in runs}
        for variant in variants.values():
            variant.pop("pause_steps", None)  # how far they are to go, not what they are
        labels = _variant_labels(variants)
        params: dict[str, dict[str, Any]] = {}  # of each variant, from any run that has begun
        for run in runs:
            own = self._params.of(self._queue.directory / run.name)
            if own:
                params.setdefault(run.spec.log_dir, own)
        return [self._found(run, labels, variants, params) for run in runs]

    def _found(
        self,
        run: QueuedRun,
        labels: Mapping[str, str],
        variants: Mapping[str, Mapping[str, Any]],
        params: Mapping[str, Mapping[str, Any]],
    ) -> FoundRun:
        place = run.spec.log_dir
        own = params.get(place, {})
        state: LiveState = run.state
        reason, pid = run.reason, None
        is_running, process = run.state == "running", run.process
        if is_running and process is not None and process.is_running:
            pid = process.pid
        elif is_running and run.launcher not in self._launchers:  # which would say how it ended
            is_here = process is None or process.is_here
            state, reason = (
                ("lost", _LOST_IN_QUEUE) if is_here else (state, "its launcher is silent")
            )
        n_steps = own.get("pause_steps") or own.get("n_steps")
        return FoundRun(
            id=run.id,
            name=run.name,
            run_dir=self._queue.directory / run.name,
            group=labels[place] or algorithm_name(flatten_config(own)),
            env=env_name(variants[place]) or env_name(flatten_config(own)),
            seed=run.spec.run_ID,
            n_steps=n_steps if isinstance(n_steps, int) else None,
            state=state,
            slot=run.slot if state == "running" else None,
            host=process.host.partition("/")[0] if process is not None else "",
            pid=pid,
            reason=reason,
            attempts=run.attempts,
            seconds=run.seconds if run.state == "done" else math.nan,
            ending=is_running and run.wanted is not None,
        )

    def count_launchers(self) -> int:
        """At the time of the last look; those of other machines while they give signs of life."""
        return len(self._launchers)

    def close(self) -> None:
        """Let go of the queue."""
        self._queue.close()


def _is_alive(launcher: LauncherRecord) -> bool:
    if launcher.process.is_here:
        return launcher.process.is_running
    return time.time() - launcher.seen_at < SILENCE


def _variant_labels(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """``learning_rate=0.001, batch_T=64`` for each: what differs, but for the environment."""
    keys = dict.fromkeys(key for variant in variants.values() for key in variant)
    texts = {key: {json.dumps(each.get(key)) for each in variants.values()} for key in keys}
    differing = [key for key in keys if len(texts[key]) > 1 and not _names_env(key)]
    short = {key: short_name(key, differing) for key in differing}
    return {
        place: ", ".join(f"{short[key]}={each[key]}" for key in differing if key in each)
        for place, each in variants.items()
    }


def _names_env(key: str) -> bool:
    return bool(env_name({key: "name"}))


@final
class FolderSource(RunSource):
    """The runs below a folder without a queue, by their ``state.json`` and ``.lock``."""

    def __init__(self, directory: Path) -> None:
        """Nothing is read before a look."""
        self._directory = directory
        self._ids: dict[Path, int] = {}
        self._begun: list[tuple[Path, bool]] = []  # which of them have params.json
        self._labels: dict[Path, tuple[str, str]] = {}  # group and environment
        self._params = _JsonCache("params.json")
        self._states = _JsonCache("state.json")
        self._locks = _JsonCache(".lock")
        self._next_search = -math.inf  # time.monotonic

    def look(self) -> list[FoundRun]:
        """Those with a ``progress.csv``; new ones are found after some seconds."""
        now = time.monotonic()
        if now >= self._next_search:
            self._next_search = now + _SEARCH
            with suppress(OSError):  # what is removed meanwhile is missed by the next search
                self._search()
        return [self._found(run_dir) for run_dir in self._labels]

    def _search(self) -> None:
        run_dirs = find_runs([self._directory])
        begun = [(run_dir, (run_dir / "params.json").exists()) for run_dir in run_dirs]
        if begun == self._begun:
            return
        damaged = {run_dir for run_dir, has_params in begun if has_params} - {
            run_dir for run_dir in run_dirs if self._params.of(run_dir)
        }
        groups = group_runs([run_dir for run_dir in run_dirs if run_dir not in damaged])
        labels, _notes = setting_labels(groups)
        found = {
            run_dir: (label, group.env)
            for label, group in zip(labels, groups, strict=True)
            for run_dir in group.run_dirs
        }
        self._labels = {run_dir: found.get(run_dir, ("", "")) for run_dir in run_dirs}
        for run_dir in run_dirs:
            self._ids.setdefault(run_dir, len(self._ids) + 1)
        self._begun = begun

    def _found(self, run_dir: Path) -> FoundRun:
        params = self._params.of(run_dir)
        state, reason, pid, host = self._state(run_dir)
        seed = params.get("seed", params.get("run_ID"))
        n_steps = params.get("pause_steps") or params.get("n_steps")
        group, env = self._labels[run_dir]
        name = "." if run_dir == self._directory else str(run_dir.relative_to(self._directory))
        return FoundRun(
            id=self._ids[run_dir],
            name=run_dir.name if name == "." else name,
            run_dir=run_dir,
            group=group,
            env=env,
            seed=seed if isinstance(seed, int) else None,
            n_steps=n_steps if isinstance(n_steps, int) else None,
            state=state,
            host=host,
            pid=pid,
            reason=reason,
        )

    def _state(self, run_dir: Path) -> tuple[LiveState, str, int | None, str]:
        """State, why, number of its process here, host."""
        told = self._states.of(run_dir)
        text = str(told.get("state", ""))
        if text.startswith("failed"):
            return "failed", text.removeprefix("failed").strip("()"), None, ""
        if text in ("interrupted", "preempted", "paused"):
            return "stopped", text, None, ""
        if text in ("done", "converted"):
            return "done", "", None, ""
        holder = self._locks.of(run_dir)
        host = str(holder.get("host", ""))
        if holder and host != socket.gethostname():
            return "running", "", None, host  # as far as can be told from here
        pid = holder.get("pid", told.get("pid"))
        if isinstance(pid, int) and is_alive(pid):
            return "running", "", pid, host
        return "lost", _LOST, None, host

    def count_launchers(self) -> None:
        """There is no queue."""

    def close(self) -> None:
        """Nothing is open."""


@final
@dataclass
class _JsonCache:
    """A small JSON file of each run directory, read again when it has changed."""

    file_name: str
    _known: dict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = field(default_factory=dict)

    def of(self, run_dir: Path) -> dict[str, Any]:
        """Its content; empty where there is none, or none that is sound."""
        path = run_dir / self.file_name
        try:
            status = path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            known = self._known.get(run_dir)
            if known is not None and known[0] == seen:
                return known[1]
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return {}
        content = content if isinstance(content, dict) else {}
        self._known[run_dir] = seen, content
        return content
