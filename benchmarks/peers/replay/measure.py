"""Fills a replay, then measures appending to it, and drawing from it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from peers.replay.task import STACK, Batch, System, Task

__all__ = ["check", "measure"]

SLICES = 5  # of the time for each measurement, one after the other with the rest in between


def measure(system: System, task: Task) -> dict[str, Any]:
    """Transitions appended and batches drawn per second, and bytes per transition.

    Rates are medians of ``SLICES``, by wall clock and by processor time.
    """
    before, held = _resident_bytes(), 0
    while held < task.transitions:
        held += system.append()
    after = _resident_bytes()
    timed: dict[str, Callable[[], int]] = {"append": system.append}
    for n in task.batches:
        check(system.draw(n), n, task)
        timed[f"draw {n}"] = _drawing(system, n)
    rates: dict[str, list[dict[str, float]]] = {name: [] for name in timed}
    for _ in range(SLICES):
        for name, function in timed.items():
            rates[name].append(_rate(function, task.seconds / SLICES))
    return {
        "rates": rates,
        "bytes_each": None if before is None or after is None else (after - before) / held,
        "forecast_each": None if system.forecast is None else system.forecast / task.transitions,
    }


def check(batch: Batch, n: int, task: Task) -> None:
    """Refuse a batch that is not what was asked for.

    Raises:
        ValueError: for a wrong shape or dtype.
    """
    items = n * task.length if task.kind == "sequence" else n
    for name in ("observation", "next_observation"):
        tensor = batch[name]
        pixels = tuple(tensor.shape[-3:])
        if pixels != STACK or tensor.dtype != torch.uint8 or tensor[..., 0, 0, 0].numel() != items:
            raise ValueError(f"{name} is {tensor.dtype}{list(tensor.shape)}, {items} asked for")
    for name in ("action", "reward", "done"):
        if not isinstance(batch[name], torch.Tensor) or batch[name].numel() != items:
            raise ValueError(f"{name} is not a tensor of {items}")


def _drawing(system: System, n: int) -> Callable[[], int]:
    kept: list[Batch] = []

    def draw() -> int:
        # As in a training loop, where a name holds the last batch until the next one is there.
        batch = system.draw(n)
        kept[:] = [batch]
        return 1

    return draw


def _rate(function: Callable[[], int], seconds: float) -> dict[str, float]:
    count, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        count += function()
    return {
        "per_s": count / (time.perf_counter() - wall),
        "per_cpu_s": count / (time.process_time() - cpu),
    }


def _resident_bytes() -> int | None:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
