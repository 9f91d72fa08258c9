"""The field: who takes part; each in a fresh process, in turn, in rotated order."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from peers.processes import in_turn, run_worker, worker_variables
from peers.settings import Run

__all__ = ["FIELD", "OURS", "Entry", "Outcome", "choose", "run_rounds"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One implementation in one variant."""

    name: str  # for --peers
    label: str
    module: str  # in peers/
    install: str = ""
    variant: str = ""
    is_ours: bool = False
    threads: int | None = None  # of torch; None: as the settings have it


OURS = (
    Entry(name="rlpyt", label="rlpyt", module="ours", is_ours=True),
    Entry(
        name="rlpyt-compile",
        label="rlpyt (compile)",
        module="ours",
        variant="compile",
        is_ours=True,
    ),
    Entry(
        name="rlpyt-compile-native",
        label="rlpyt (compile, native env)",
        module="ours",
        variant="compile-native",
        is_ours=True,
    ),
)
FIELD = (
    Entry(
        name="sb3",
        label="Stable-Baselines3",
        module="stable_baselines3",
        install="pip install stable-baselines3==2.9.2",
    ),
    Entry(
        name="tianshou",
        label="Tianshou",
        module="tianshou",
        install="pip install tianshou==2.0.1",
    ),
    Entry(name="skrl", label="skrl", module="skrl", install="pip install skrl==2.1.1"),
    Entry(
        name="skrl-native",
        label="skrl (native env)",
        module="skrl",
        install="pip install skrl==2.1.1",
        variant="native",
    ),
    Entry(name="torchrl", label="TorchRL", module="torchrl", install="pip install torchrl==0.14.1"),
    Entry(
        name="pufferlib",
        label="PufferLib trainer",
        module="pufferlib",
        install="pip install pufferlib==3.0.0 (see benchmarks/README.md)",
    ),
    Entry(
        name="sample-factory",
        label="Sample Factory",
        module="sample_factory",
        install="pip install sample-factory==2.1.1",
    ),
    Entry(name="single-file", label="single file, CleanRL style", module="single_file"),
    Entry(
        name="single-file-native",
        label="single file (native env)",
        module="single_file",
        variant="native",
    ),
)


@dataclass(kw_only=True)
class Outcome:
    """What became of one entry: a result per round, or the reason why there is none."""

    entry: Entry
    rounds: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""


def run_rounds(
    entries: Sequence[Entry],
    settings: Run,
    pythons: Mapping[str, str],
    *,
    rounds: int,
    check: bool,
    timeout: float,
    tell: Callable[[str], None],
    worker: str = "peers.worker",
) -> list[Outcome]:
    """Every entry in turn, ``rounds`` times; round r starts with entry r, its seed is ``seed +
    r``.
    """
    outcomes = [Outcome(entry=entry) for entry in entries]
    starts = [number % len(outcomes) for number in range(rounds)]
    for number, outcome in in_turn(outcomes, starts):
        entry = outcome.entry
        python = pythons.get(entry.name, pythons.get(entry.module, sys.executable))
        seeded = replace(settings, seed=settings.seed + number)
        got = _run(entry, seeded, python, check=check, timeout=timeout, worker=worker)
        if isinstance(got, str):
            outcome.trouble = got
            tell(f"{entry.label}: {got}")
        else:
            outcome.rounds.append(got)
            tell(f"round {number + 1}, {entry.label}: {got['steps_per_s']:,.0f} steps/s")
    return outcomes


def choose(names: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
    """The entries of these names, in this order.

    Raises:
        ValueError: for a name that no entry has.
    """
    known = {entry.name: entry for entry in entries}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}")
    return [known[name] for name in names]


def _run(
    entry: Entry,
    settings: Run,
    python: str,
    *,
    check: bool,
    timeout: float,
    worker: str,
) -> dict[str, Any] | str:
    """Run ``entry`` in a fresh process; its result, or the reason why there is none in one line.

    ``settings`` are of the kind that ``worker`` knows.
    """
    threads = settings.threads if entry.threads is None else entry.threads
    load = os.getloadavg()[0]
    result = run_worker(
        python,
        worker,
        entry.module,
        asdict(replace(settings, variant=entry.variant, threads=threads)),
        *(["--check"] if check else []),
        variables={
            **worker_variables(threads=threads, with_ours=entry.is_ours),
            "NUMBA_NUM_THREADS": str(threads),
        },
        timeout=timeout,
        missing=f"not installed: {entry.install}",
    )
    return result if isinstance(result, str) else {**result, "load_before": load}
