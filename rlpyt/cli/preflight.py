"""What many runs will take, before they start: memory and disk, and by a forecast their time."""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, final

import torch
from rich.console import Console

from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.cli.forecast import forecast_time
from rlpyt.cli.target import Target
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.samplers.parallel import ParallelSampler
from rlpyt.utils.config import config_dict, config_value, fresh
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import available_memory, readable

__all__ = [
    "RunSize",
    "check_room",
    "checked_runner",
    "print_forecast",
    "size_of",
]

_PROCESS = 350_000_000  # bytes of a process with torch, an environment and a small network
_SMALL_REPLAY = 10_000  # transitions
_FREE_SHM = 1_000_000  # bytes: what semaphores of worker processes may take


@final
@dataclass(frozen=True)
class RunSize:
    """What one run takes at most, in bytes."""

    memory: int
    disk: int


def _check_starts(runner: BaseRunner) -> None:
    """Raise what the run would raise when it starts, for values that its agent or algorithm cannot
    have: both are built here, on the CPU and with a small replay.
    """
    runner.check()
    runner = fresh(runner)
    algo = runner.algo
    if isinstance(algo, QAlgorithm | QpgAlgorithm):
        size = min(algo.replay.size, _SMALL_REPLAY)
        algo = replace(algo, replay=replace(algo.replay, size=size))
    if "compile" in {field.name for field in fields(algo)}:  # there may be no compiler here
        algo = replace(algo, **{"compile": False})
    _build_agent(runner)
    algo.initialize(
        runner.agent,
        n_itr=runner.n_itr,
        batch_spec=runner.sampler.batch_spec,
        seed=runner.seed,
    )


def checked_runner(
    target: Target, args: argparse.Namespace, overrides: list[str], variant: dict[str, Any]
) -> BaseRunner:
    """The variant's runner, which can start.

    Raises:
        RlpytError: where it cannot be, as ``target.build`` does, and the run when it starts.
    """
    runner = target.build(variant, args, overrides)
    _check_starts(runner)
    return runner


def _build_agent(runner: BaseRunner) -> None:
    runner.agent.initialize(
        runner.sampler.env_spaces(), seed=runner.seed, device=torch.device("cpu")
    )


def size_of(runner: BaseRunner) -> RunSize:
    """From the settings of ``runner``, which stays as it is; its environment and model are made."""
    runner = fresh(runner)
    ranks = (runner.world_size or 1) if isinstance(runner, SyncRl | AsyncRl) else 1
    processes = ranks + isinstance(runner, AsyncRl)
    if isinstance(runner.sampler, ParallelSampler):
        per_rank = runner.sampler.plan()["n_workers"]
        processes += per_rank * (1 if isinstance(runner, AsyncRl) else ranks)
    _build_agent(runner)
    replay = runner.algo.forecast(runner.agent, runner.sampler.batch_spec) * ranks
    parameters = sum(
        tensor.numel() * tensor.element_size() for tensor in _tensors(runner.agent.state_dict())
    )
    kept = runner.keep_checkpoints + 2  # the best, and the one that is being written
    return RunSize(
        memory=processes * _PROCESS + replay + 8 * parameters * ranks,
        disk=kept * (replay + 4 * parameters * ranks),  # with targets and moments
    )


def _tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    parts = state.values() if isinstance(state, Mapping) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def check_room(runners: Sequence[BaseRunner], runs_each: int, slots: int, directory: Path) -> str:
    """What the runs take, as a line for people.

    Args:
        runners: of each variant.
        runs_each: seeds.
        slots: runs at a time.
        directory: where they write.

    Raises:
        RlpytError: ``memory`` or ``disk``, where that is more than there is.
    """
    sizes = _sizes(runners)
    most = sorted((size.memory for size in sizes for _ in range(runs_each)), reverse=True)
    memory, disk = sum(most[:slots]), runs_each * sum(size.disk for size in sizes)
    free_memory = available_memory()
    existing = next(
        path for path in (directory.resolve(), *directory.resolve().parents) if path.exists()
    )
    free_disk = shutil.disk_usage(existing).free
    runs = "1 run takes" if len(most) == 1 else f"{min(slots, len(most))} runs at a time take"
    hint = "fewer slots by --affinity, a smaller algo.replay.size, or --no-preflight to try"
    if free_memory is not None and memory > free_memory:
        what = f"{runs} {readable(memory)}, {readable(free_memory)} are free"
        raise RlpytError("memory", what, hint=hint)
    if disk > free_disk:
        what = (
            f"{len(most)} runs keep {readable(disk)}, {readable(free_disk)} are free in {existing}"
        )
        hint = "another --out, algo.replay.checkpointed=false, or --no-preflight to try"
        raise RlpytError("disk", what, hint=hint)
    _check_shared_memory()
    of = "" if free_memory is None else f" of {readable(free_memory)}"
    on_disk = f"{readable(disk)} of {readable(free_disk)} on disk"
    return f"at most {readable(memory)}{of} of memory, {on_disk}"


def _sizes(runners: Sequence[BaseRunner]) -> list[RunSize]:
    """Of each; the same settings are looked at once."""
    known: dict[str, RunSize] = {}
    sizes = []
    for runner in runners:
        key = _size_key(runner)
        if key not in known:
            known[key] = size_of(runner)
        sizes.append(known[key])
    return sizes


def _check_shared_memory(path: Path = Path("/dev/shm")) -> None:
    """Buffers have no files there; semaphores have."""
    if path.is_dir() and shutil.disk_usage(path).free < _FREE_SHM:
        what = f"{path} is full: {readable(shutil.disk_usage(path).free)} are free"
        raise RlpytError("memory", what, hint="remove what is in it, or docker run --shm-size 64m")


def _size_key(runner: BaseRunner) -> str:
    """What the size depends on, as far as grids vary it."""
    config = config_dict(runner)
    algo = {key: value for key, value in config["algo"].items() if not isinstance(value, float)}
    parts = [algo, config["agent"], config["sampler"], config["class"], config.get("world_size")]
    return json.dumps(config_value({"parts": parts}), sort_keys=True)


def print_forecast(
    runners: Sequence[BaseRunner],
    runs_each: int,
    slots: int,
    directory: Path,
    *,
    with_time: bool,
    share: float = 1.0,
) -> None:
    """Print what :func:`check_room` and, ``with_time``, :func:`forecast_time` say.

    Raises:
        RlpytError: as :func:`check_room` does.
    """
    print(f"they take {check_room(runners, runs_each, slots, directory)}")
    if with_time:
        console = Console(highlight=False)
        found = forecast_time(
            runners, runs_each, slots, lambda text: console.status(text), share=share
        )
        if found is not None:
            print(f"and {found.text}")
