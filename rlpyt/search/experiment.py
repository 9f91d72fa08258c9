"""A search from a script: over the runs of another script, on the slots of this machine."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rlpyt.launch.run_slot import run_slots
from rlpyt.launch.variant import apply_variant
from rlpyt.logging.context import default_log_dir
from rlpyt.runners.base import BaseRunner
from rlpyt.search.driver import Driver
from rlpyt.search.figure import draw_search
from rlpyt.search.plan import SearchPlan
from rlpyt.search.program import Program, check_trials, trial_name
from rlpyt.search.results import SearchResult, write_csv
from rlpyt.search.space import edges
from rlpyt.search.tpe import check_optuna
from rlpyt.utils.errors import RlpytError

__all__ = ["check_search", "run_search", "search"]


def search(
    script: str | Path,
    plan: SearchPlan,
    *,
    runner: BaseRunner | None = None,
    args: Sequence[object] = (),
    affinity_code: str = "auto",
    out: Path | str | None = None,
    retries: int = 1,
    tell: Callable[[str], None] = print,
) -> SearchResult:
    """Search the settings with which the runs of ``script`` score highest, and wait.

    Called again with the same ``out`` it goes on where it was interrupted: nothing runs twice.

    Args:
        script: called as ``python script <slot>slt_<code> <log_dir> <run_ID> *args``; its runs take
            the variant, with ``n_steps`` and ``pause_steps``, as :class:`~rlpyt.launch.LaunchedRun`
            does.
        plan: made by :func:`plan_search`.
        runner: as the script makes it: all settings are tried on it before anything starts.
        args: further arguments of all runs.
        affinity_code: as :func:`~rlpyt.launch.encode_affinity` writes it, or ``"auto"``.
        out: the search's directory; ``None``: ``data/local/<date>/<time>/search``.
        retries: how many failures of a run are tried again.
        tell: is given a line for everything that happens.

    Returns:
        The trials, the best first; also in ``search.csv`` and ``search.png``.

    Raises:
        RlpytError: for settings that cannot be, before anything is started.
        SystemExit: 130 or 143, after SIGINT or SIGTERM.
    """
    if not Path(script).is_file():
        raise RlpytError("config", f"there is no script {script}", hint="give its path")
    words = [str(arg) for arg in args]
    program = Program(
        name=[Path(script).name, *words],
        command=(sys.executable, str(Path(script).resolve())),
        cwd=str(Path.cwd()),
        args=words,
        retries=retries,
    )
    build = None if runner is None else partial(apply_variant, runner)
    check_search(plan, build, affinity_code)
    directory = default_log_dir("search") if out is None else Path(out)
    return run_search(plan, program, directory, build, affinity_code=affinity_code, tell=tell)


def check_search(
    plan: SearchPlan,
    build: Callable[[dict[str, Any]], BaseRunner] | None,
    affinity_code: str = "auto",
) -> list[BaseRunner]:
    """See that what is needed is there, and build each trial's runner, and those at the edges of
    the space; ``build`` makes the runner of a variant, ``None`` where only the script can.

    Returns:
        The trials' runners; those at the edges where the trials are not known before; none of a
        script.

    Raises:
        RlpytError: as :func:`search` does.
    """
    run_slots(affinity_code)
    if plan.method == "optuna":
        check_optuna()
    if build is None:
        return []
    at_edges = {f"edge_{n}": values for n, values in enumerate(edges(plan.space))}
    trials = {trial_name(n): values for n, values in enumerate(plan.values())}
    runners = check_trials(plan, at_edges, build)
    return check_trials(plan, trials, build) or runners


def run_search(
    plan: SearchPlan,
    program: Program,
    directory: Path,
    build: Callable[[dict[str, Any]], BaseRunner] | None = None,
    *,
    affinity_code: str = "auto",
    tell: Callable[[str], None] = print,
) -> SearchResult:
    """Search, once it is checked, and write ``search.csv`` and ``search.png``.

    Raises:
        RlpytError: as :func:`search` does.
        SystemExit: 130 or 143, after SIGINT or SIGTERM.
    """

    def check(points: Mapping[str, Mapping[str, Any]]) -> None:
        if build is not None:
            check_trials(plan, points, build)

    driver = Driver(plan, program, directory, affinity_code=affinity_code, check=check, tell=tell)
    result = driver.run()
    write_csv(result)
    draw_search(result)
    return result
