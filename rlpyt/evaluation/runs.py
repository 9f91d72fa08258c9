"""Runs on disk: found, read, and grouped over seeds."""

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from rlpyt.utils.config import flatten_config
from rlpyt.utils.errors import RlpytError

__all__ = [
    "RETURN",
    "STEPS",
    "TIME",
    "RunGroup",
    "algorithm_name",
    "env_name",
    "find_runs",
    "group_runs",
    "load_params",
    "read_params",
    "read_progress",
    "short_name",
    "some_runs",
]

STEPS = "Diagnostics/CumSteps"
"""The column of environment steps."""

TIME = "Diagnostics/CumTime (s)"
"""The column of seconds since the run began."""

RETURN = "ReturnAverage"
"""The column that is looked at unless another is chosen."""

# What may differ between runs of one setting.
_PER_RUN = frozenset({"seed", "run_ID", "extra", "pause_steps"})


def find_runs(paths: Iterable[Path | str]) -> list[Path]:
    """Every folder in or below ``paths`` with a ``progress.csv``, each once, by path and number.

    Raises:
        RlpytError: ``directory``, for a path that does not exist.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if not path.exists():
            raise RlpytError("directory", f"no such path: {path}", hint="give a log directory")
        if path.name == "progress.csv":
            found.add(path.parent)
        found.update(file.parent for file in path.rglob("progress.csv"))
    return sorted(found, key=_natural)


def some_runs(paths: Iterable[Path | str]) -> list[Path]:
    """:func:`find_runs`, where there has to be one.

    Raises:
        RlpytError: ``directory``, where there is none, too.
    """
    paths = list(paths)
    found = find_runs(paths)
    if not found:
        where = ", ".join(map(str, paths)) or "no path given"
        hint = "give a directory that has run_*/progress.csv below it"
        raise RlpytError("directory", f"no run found in {where}", hint=hint)
    return found


def _natural(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Order run_2 before run_10."""

    def part(name: str) -> tuple[str, int, int]:
        stem = name.rstrip("0123456789")
        return stem, len(name), int(name[len(stem) :] or 0)

    return tuple(part(name) for name in path.parts)


def read_progress(run_dir: Path | str) -> dict[str, list[float]]:
    """Columns of ``progress.csv``, in its order, one number per row; what is no number is NaN.

    A last line that is still being written is left out.

    Raises:
        RlpytError: ``directory``, where there is no readable ``progress.csv``.
    """
    path = Path(run_dir) / "progress.csv"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        raise RlpytError("directory", what, hint="give a run directory") from error
    lines = text.splitlines(keepends=True)
    complete = lines[:-1] if lines and not lines[-1].endswith("\n") else lines
    header, *rows = list(csv.reader(complete)) or [[]]
    full = [row for row in rows if len(row) == len(header)]
    return {name: [_number(row[i]) for row in full] for i, name in enumerate(header)}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def load_params(run_dir: Path) -> dict[str, Any]:
    """The run's complete configuration, as in ``params.json``.

    Raises:
        RlpytError: ``directory``, where the file cannot be read; ``config``, where it is not a JSON
            object.
    """
    path = run_dir / "params.json"
    try:
        params = json.loads(path.read_bytes())
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        raise RlpytError("directory", what, hint="give a run's directory") from error
    except ValueError as error:
        raise RlpytError("config", f"{path} is not JSON: {error}", hint="restore it") from error
    if not isinstance(params, dict):
        raise RlpytError("config", f"{path} is not a JSON object", hint="restore it")
    return params


def read_params(run_dir: Path) -> dict[str, Any]:
    """:func:`load_params` flattened, keys joined by dots, without what is no setting; empty where
    there is no such file.

    Raises:
        RlpytError: as :func:`load_params` does.
    """
    if not (run_dir / "params.json").exists():
        return {}
    params = load_params(run_dir)
    return flatten_config({key: value for key, value in params.items() if key != "extra"})


@final
@dataclass(kw_only=True)
class RunGroup:
    """Runs that differ in nothing but seed and run_ID."""

    algorithm: str
    env: str
    params: Mapping[str, Any]  # flattened, without what differs per run
    run_dirs: Sequence[Path]
    details: str = ""  # settings that tell it from groups of the same algorithm and environment


def group_runs(run_dirs: Sequence[Path]) -> list[RunGroup]:
    """Group runs by everything in ``params.json`` but ``seed``, ``run_ID`` and ``extra``.

    Runs without ``params.json`` are grouped by the folder they are in.
    """
    groups: dict[str, RunGroup] = {}
    for run_dir in run_dirs:
        params = {
            key: value
            for key, value in read_params(run_dir).items()
            if key.rpartition(".")[2] not in _PER_RUN
        }
        key = json.dumps(params, sort_keys=True) if params else str(run_dir.parent)
        algorithm, env = algorithm_name(params), env_name(params)
        if not algorithm:
            algorithm = str(params.get("name") or run_dir.resolve().parent.name)
        known = groups.setdefault(
            key, RunGroup(algorithm=algorithm, env=env, params=params, run_dirs=[])
        )
        known.run_dirs = [*known.run_dirs, run_dir]
    kinds: dict[tuple[str, str], list[RunGroup]] = {}
    for group in groups.values():
        kinds.setdefault((group.algorithm, group.env), []).append(group)
    for twins in kinds.values():
        _describe(twins)
    return list(groups.values())


def algorithm_name(params: Mapping[str, Any]) -> str:
    """``PPO``, from ``algo.class`` of flattened settings, at whatever depth; "" where it is not."""
    for key, value in params.items():
        if f".{key}".endswith(".algo.class"):
            return str(value).rpartition(".")[2]
    return ""


def env_name(params: Mapping[str, Any]) -> str:
    """``CartPole-v1``, from ``sampler.env`` of flattened settings: an id, or the name of a factory;
    "" where neither is.
    """
    flat = {f".{key}": value for key, value in params.items()}
    for ending in (".env_kwargs.id", ".env_kwargs.game", ".env", ".env.id", ".env.function"):
        for key, value in flat.items():
            if key.endswith(ending) and isinstance(value, str):
                is_path = all(part.isidentifier() for part in value.split("."))
                return value.rpartition(".")[2] if is_path else value
    return ""


def _describe(twins: Sequence[RunGroup]) -> None:
    """Give each its ``details``: ``learning_rate=0.001, batch_T=64``, what differs within them, by
    short names.
    """
    keys = dict.fromkeys(key for twin in twins for key in twin.params)
    differing = [
        key for key in keys if len({json.dumps(twin.params.get(key)) for twin in twins}) > 1
    ]
    for twin in twins:
        shown = [f"{short_name(key, differing)}={twin.params.get(key)}" for key in differing]
        if not shown and len(twins) > 1:  # no params.json tells them apart: their folders do
            twin.details = os.path.relpath(twin.run_dirs[0].parent)
        else:
            twin.details = ", ".join(shown)


def short_name(key: str, keys: Sequence[str]) -> str:
    """The last part of a dotted key, or as many as it takes to be the only one among ``keys``."""
    parts = key.split(".")
    for n in range(1, len(parts)):
        short = ".".join(parts[-n:])
        if sum(f".{other}".endswith(f".{short}") for other in keys) == 1:
            return short
    return key
