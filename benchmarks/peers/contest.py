"""The field: who takes part; each in a fresh process, in turn, in rotated order."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from peers.settings import NOT_INSTALLED

__all__ = ["FIELD", "OURS", "Entry", "Outcome", "run_entry", "run_rounds"]

BENCHMARKS = Path(__file__).resolve().parents[1]


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


def run_entry(
    entry: Entry,
    settings: Any,
    python: str,
    *,
    check: bool,
    timeout: float,
    worker: str = "peers.worker",
) -> dict[str, Any] | str:
    """Run ``entry`` in a fresh process; its result, or the reason why there is none in one line.

    ``settings`` are :class:`peers.settings.Settings`, or those of another benchmark, which its
    ``worker`` knows.
    """
    threads = settings.threads if entry.threads is None else entry.threads
    arguments = asdict(replace(settings, variant=entry.variant, threads=threads))
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [python, "-m", worker, entry.module, str(result), json.dumps(arguments)]
        load = os.getloadavg()[0]
        try:
            done = subprocess.run(
                [*command, *(["--check"] if check else [])],
                cwd=folder,  # libraries leave their run folders where they start
                env=_environment(entry, threads),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"failed: no end after {timeout:.0f} s"
        except OSError as error:
            return f"failed: {python}: {error.strerror}"
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or [
            "no message"
        ]
        if done.returncode == NOT_INSTALLED:
            return f"not installed: {entry.install} ({lines[-1]})"
        if done.returncode != 0 or not result.exists():
            return f"failed: {lines[-1][:160]}"
        return {**json.loads(result.read_text(encoding="utf-8")), "load_before": load}


def run_rounds(
    entries: Sequence[Entry],
    settings: Any,
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
    for number in range(rounds):
        turn = number % len(outcomes)
        for outcome in [*outcomes[turn:], *outcomes[:turn]]:
            if outcome.trouble:
                continue
            entry = outcome.entry
            python = pythons.get(entry.name, pythons.get(entry.module, sys.executable))
            seeded = replace(settings, seed=settings.seed + number)
            got = run_entry(entry, seeded, python, check=check, timeout=timeout, worker=worker)
            if isinstance(got, str):
                outcome.trouble = got
                tell(f"{entry.label}: {got}")
            else:
                outcome.rounds.append(got)
                tell(f"round {number + 1}, {entry.label}: {got['steps_per_s']:,.0f} steps/s")
    return outcomes


def _environment(entry: Entry, threads: int) -> dict[str, str]:
    paths = [str(BENCHMARKS), *([str(BENCHMARKS.parent)] if entry.is_ours else [])]
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(pools, str(threads)),
        "PYTHONPATH": os.pathsep.join(paths),
        "CUDA_VISIBLE_DEVICES": "",
    }
