"""Settings with which a run goes on from its checkpoint: what may change, told as a table."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpyt.checkpoint.lock import RunLock
from rlpyt.evaluation.runs import load_params
from rlpyt.logging.files import directory_error, write_atomic
from rlpyt.logging.lineage import add_event
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.fit import misfit
from rlpyt.runners.settings import Change, change_table, setting_changes
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError

__all__ = ["accept_changes", "change_settings", "changed_values", "write_settings"]

_LOADED = ("agent.", "algo.")  # what the checkpoint's arrays must fit


def accept_changes(
    before: Mapping[str, Any], runner: BaseRunner, state: dict[str, Any], *, override: bool
) -> list[Change]:
    """What ``runner`` has other than the run whose settings were ``before``.

    Args:
        before: ``params.json`` of the run.
        runner: with which it is to go on.
        state: from its checkpoint.
        override: whether it may be another run from there on.

    Raises:
        RlpytError: ``config``, for what is impossible, or would need to be asked for; the table of
            all differences is shown then.
    """
    changes = setting_changes(before, config_dict(runner))
    if any(each.kind == "override" and each.setting.startswith(_LOADED) for each in changes):
        changes = _tried(changes, runner, state)
    refused = next((each for each in changes if each.kind == "impossible"), None)
    if refused is None and not override:
        refused = next((each for each in changes if each.kind == "override"), None)
    if refused is None:
        return changes
    print(change_table(changes), file=sys.stderr)
    if refused.kind == "override":
        hint = "--override goes on with it; `rlpyt fork` does so in a directory of its own"
        raise RlpytError("config", refused.told, hint=hint)
    hint = "`rlpyt train ... --init-from RUN_DIR` begins a new run with what fits of the agent"
    raise RlpytError("config", f"{refused.told}: impossible, {refused.why}", hint=hint)


def _tried(changes: list[Change], runner: BaseRunner, state: dict[str, Any]) -> list[Change]:
    """The same with what does not fit the checkpoint as impossible."""
    if any(each.kind == "impossible" for each in changes):
        return changes  # what is not the same algorithm, say, need not be tried
    found = misfit(runner, state)
    if found is None:
        return changes
    asked = [each for each in changes if each.kind == "override"]
    to_blame = [each for each in asked if each.setting.startswith(f"{found.part}.")] or asked
    return [
        each._replace(kind="impossible", why=found.why) if each in to_blame else each
        for each in changes
    ]


def change_settings(run_dir: Path, runner: BaseRunner, changes: list[Change], itr: int) -> None:
    """Let the run in ``run_dir`` have the settings of ``runner`` from iteration ``itr`` on, and
    ``lineage.json`` say so.

    Raises:
        RlpytError: ``directory``, where another process writes there, or it cannot be written.
    """
    with RunLock(run_dir):
        if any(each.kind == "override" for each in changes):
            add_event(run_dir, "override", itr=itr, changed=changed_values(changes))
        write_settings(run_dir, load_params(run_dir), runner)


def write_settings(run_dir: Path, params: Mapping[str, Any], runner: BaseRunner) -> None:
    """``params.json`` with the settings of ``runner`` and what else there is in ``params``.

    Raises:
        RlpytError: ``directory``, where it cannot be written.
    """
    path = run_dir / "params.json"
    content = json.dumps({**params, **config_dict(runner)}, indent=2, allow_nan=False)
    try:
        write_atomic(path, f"{content}\n".encode())
    except OSError as error:
        raise directory_error(path, error) from error


def changed_values(changes: list[Change]) -> dict[str, Any]:
    """For ``lineage.json``."""
    return {each.setting: {"before": each.before, "now": each.now} for each in changes}
