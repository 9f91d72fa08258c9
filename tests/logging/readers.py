"""What other programs make of a run directory: viskit, its rules restated, and TensorBoard."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def viskit_flatten(params: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts joined by dots, as viskit's loader does it."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, dict):
            flat.update({f"{key}.{k}": v for k, v in viskit_flatten(value).items()})
        else:
            flat[key] = value
    return flat


def viskit_load(root: Path) -> list[tuple[dict[str, Any], dict[str, list[float]]]]:
    """What viskit's loader makes of a tree: flat parameters and float columns of each run.

    A directory is a run where it has progress.csv, and is skipped with an error without parameters.
    A cell that is no number counts as 0 in viskit, which would be a wrong curve: here it raises.
    """
    found = []
    for folder, _, names in sorted(os.walk(root)):
        if "progress.csv" not in names:
            continue
        name = "variant.json" if "variant.json" in names else "params.json"
        params = viskit_flatten(json.loads(Path(folder, name).read_text()))
        params.setdefault("exp_name", Path(folder).parent.name)
        columns: dict[str, list[float]] = {}
        with Path(folder, "progress.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                for key, cell in row.items():
                    columns.setdefault(key, []).append(float(cell))
        found.append((params, columns))
    return found


def viskit_distinct(runs: list[tuple[dict[str, Any], Any]]) -> dict[str, set[str]]:
    """The parameters that differ between runs, which viskit offers as legends and groups."""
    names = dict.fromkeys(name for params, _ in runs for name in params)
    values = {name: {repr(params.get(name)) for params, _ in runs} for name in names}
    return {
        name: found
        for name, found in values.items()
        if len(found) > 1 and not name.startswith(("seed", "log_dir"))
    }


def events(run_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag, as TensorBoard shows them."""
    accumulator = EventAccumulator(str(run_dir), purge_orphaned_data=True)
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }
