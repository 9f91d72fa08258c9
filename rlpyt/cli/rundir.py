"""Reading a run directory: its configuration as components, its newest parameters, its curve."""

import json
from pathlib import Path
from typing import Any

from rlpyt.evaluation.plot import plot_runs
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.rebuild import component_from

__all__ = ["draw_curve", "find_run", "load_params", "load_runner"]


def find_run(path: Path) -> Path:
    """``path`` where it is a run directory, or the one run below it.

    Raises:
        RlpytError: where there is none, or several.
    """
    if (path / "params.json").is_file():
        return path
    if not path.is_dir():
        raise RlpytError("usage", f"{path} is not a directory", hint="give a run's directory")
    found = sorted(file.parent for file in path.rglob("params.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise RlpytError(
            "usage", f"{path} holds no run (no params.json)", hint="give a run's directory"
        )
    raise RlpytError(
        "usage", f"{path} holds {len(found)} runs", hint=f"choose one, such as {found[0]}"
    )


def load_params(run_dir: Path) -> dict[str, Any]:
    """The run's complete configuration, as in ``params.json``."""
    path = run_dir / "params.json"
    try:
        params: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise RlpytError("config", f"{path} is not JSON: {error}", hint="restore it") from error
    return params


def load_runner(run_dir: Path) -> MinibatchRl:
    """The runner that ``params.json`` describes, not yet initialised.

    Raises:
        RlpytError: where the configuration cannot be built again, such as a class that is no longer
        there.
    """
    params = load_params(run_dir)
    config = {key: value for key, value in params.items() if key not in {"name", "run_ID", "extra"}}
    runner = component_from(config, str(run_dir / "params.json"))
    if not isinstance(runner, MinibatchRl):
        raise RlpytError(
            "config", f"{run_dir} describes a {type(runner).__name__}, not a MinibatchRl"
        )
    return runner


def draw_curve(run_dir: Path) -> Path:
    """Draw ``curve.png`` into the run directory."""
    return plot_runs([run_dir], run_dir / "curve.png")
