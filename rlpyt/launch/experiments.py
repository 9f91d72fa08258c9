"""Launching from a script: many runs of another script, over the slots of this machine.

Names, arguments, files and how a run's script is called are those of rlpyt 0.1.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlpyt.launch.child import run_command
from rlpyt.launch.launcher import Launcher
from rlpyt.launch.queue import Queue
from rlpyt.launch.queued_run import RunSpec
from rlpyt.launch.report import report_on
from rlpyt.launch.run_slot import run_slots
from rlpyt.launch.variant import save_variant
from rlpyt.logging.context import default_log_dir
from rlpyt.utils.errors import RlpytError

__all__ = ["launch_experiment", "run_experiments"]


def run_experiments(
    script: str | Path,
    affinity_code: str,
    experiment_title: str,
    runs_per_setting: int,
    variants: Sequence[Mapping[str, Any]],
    log_dirs: Sequence[str],
    common_args: Sequence[object] = (),
    runs_args: Sequence[Sequence[object]] | None = None,
    set_egl_device: bool = False,
    *,
    out: Path | str | None = None,
    retries: int = 1,
    report: bool = True,
) -> Path:
    """Run ``script`` for every variant, with ``run_ID`` 0 to ``runs_per_setting - 1``, and wait.

    All variants have their first run before any has its second. Called again with the same
    ``out``, it leaves the runs that are done, and goes on with those that were interrupted.

    Args:
        script: called as ``python script <slot>slt_<code> <log_dir> <run_ID> *args``.
        affinity_code: as :func:`~rlpyt.launch.encode_affinity` writes it, or ``"auto"``.
        experiment_title: the last part of the directory, where ``out`` is ``None``.
        runs_per_setting: runs of each variant.
        variants: what is different about each, as :func:`~rlpyt.launch.make_variants` gives them.
        log_dirs: the directory of each.
        common_args: further arguments of all runs.
        runs_args: and those of each variant's.
        set_egl_device: whether runs draw on the accelerator that they have.
        out: the experiment's directory; ``None``: ``data/local/<date>/<time>/<title>``.
        retries: how many failures of a run are tried again.
        report: whether to compare the runs at the end, into ``report``.

    Returns:
        The experiment's directory.

    Raises:
        RlpytError: for parts that do not go together, before anything is started.
        SystemExit: 130 or 143, after SIGINT or SIGTERM.
    """
    _check(script, runs_per_setting, variants, log_dirs, runs_args)
    directory = default_log_dir(experiment_title) if out is None else Path(out)
    specs = [
        _spec(script, variant, log_dir, run_ID, (*common_args, *args), retries)
        for run_ID in range(runs_per_setting)
        for variant, log_dir, args in zip(
            variants, log_dirs, runs_args or [()] * len(variants), strict=True
        )
    ]
    run_slots(affinity_code)  # raises before anything is written
    with Queue(directory, create=True) as queue:
        queue.add(specs)
        Launcher(queue, affinity_code, set_egl_device=set_egl_device).drain()
        if report:
            report_on(queue)
    return directory


def _check(
    script: str | Path,
    runs_per_setting: int,
    variants: Sequence[Mapping[str, Any]],
    log_dirs: Sequence[str],
    runs_args: Sequence[Sequence[object]] | None,
) -> None:
    if len(variants) != len(log_dirs) or (runs_args and len(runs_args) != len(variants)):
        n_args = "" if runs_args is None else f", {len(runs_args)} runs_args"
        what = f"{len(variants)} variants, {len(log_dirs)} log_dirs{n_args}"
        raise RlpytError("config", what, hint="give as many")
    if runs_per_setting < 1:
        raise RlpytError("config", f"runs_per_setting={runs_per_setting}", hint="use 1 or more")
    if not Path(script).is_file():
        raise RlpytError("config", f"there is no script {script}", hint="give its path")


def _spec(
    script: str | Path,
    variant: Mapping[str, Any],
    log_dir: str,
    run_ID: int,
    args: Sequence[object],
    retries: int,
) -> RunSpec:
    return RunSpec(
        command=(sys.executable, str(Path(script).resolve())),
        cwd=str(Path.cwd()),
        log_dir=log_dir,
        run_ID=run_ID,
        variant=variant,
        args=[str(arg) for arg in args],
        retries=retries,
    )


def launch_experiment(
    script: str | Path,
    run_slot: int,
    affinity_code: str,
    log_dir: Path | str,
    variant: Mapping[str, Any],
    run_ID: int,
    args: Sequence[object] = (),
    python_executable: str | None = None,
    set_egl_device: bool = False,
) -> subprocess.Popen[bytes]:
    """Start one run of ``script`` in a slot, without a queue; what it prints, this process prints.

    Raises:
        RlpytError: as :func:`run_experiments` does.
    """
    slots = run_slots(affinity_code, set_egl_device=set_egl_device)
    if not 0 <= run_slot < len(slots):
        what = f"no run slot {run_slot}: there are {len(slots)}, from 0"
        raise RlpytError("affinity", what, where=f"affinity code {affinity_code}")
    slot = slots[run_slot]
    spec = _spec(script, variant, "", run_ID, args, 0)
    if python_executable is not None:
        spec = replace(spec, command=(python_executable, *spec.command[1:]))
    save_variant(variant, log_dir)
    command = run_command(spec, Path(log_dir), slot.name, slot.pinned)
    return subprocess.Popen(command, env={**os.environ, **slot.environment})
