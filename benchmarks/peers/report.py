"""What the benchmark prints: the machine, the settings, and one row for each implementation."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from peers.contest import Outcome
from peers.settings import Settings

__all__ = ["check_table", "machine", "machine_line", "ratios", "settings_line", "speed_table"]


def machine() -> dict[str, Any]:
    """Processor, cores, load before the benchmark, system and date."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def machine_line(here: Mapping[str, Any]) -> str:
    """What :func:`machine` found, in words."""
    return (
        f"{here['cpu']}, {here['cores']} cores, load {here['load_before']} before, "
        f"{here['system']}, {here['date']}"
    )


def settings_line(settings: Settings, rounds: int) -> str:
    """The settings in words."""
    return (
        f"{settings.env_id}, {settings.num_envs} environments x {settings.rollout} steps, "
        f"{settings.epochs} epochs x {settings.batch // settings.minibatch} minibatches of "
        f"{settings.minibatch}, separate tanh networks {settings.hidden}, Adam "
        f"{settings.learning_rate} (eps {settings.adam_eps}), discount {settings.discount}, "
        f"lambda {settings.gae_lambda}, clip {settings.ratio_clip}, entropy "
        f"{settings.entropy_coeff}, value {settings.value_coeff}, gradient "
        f"{settings.max_grad_norm}; {settings.threads} torch thread(s), CPU; {rounds} round(s) of "
        f"{settings.total - settings.first:,} steps after a warm-up of {settings.first:,}"
    )


def speed_table(outcomes: Sequence[Outcome]) -> Table:
    """Speed of each, and how many times as fast ours is, by wall clock and by CPU time.

    Ratios are medians of the ratios within the rounds. On a quiet machine the two agree; the CPU
    time is the better one where other processes run.
    """
    table = Table(title="PPO on CartPole-v1: the whole training loop")
    ours = [outcome for outcome in outcomes if outcome.entry.is_ours and outcome.rounds]
    for column in ("implementation", "version"):
        table.add_column(column)
    measures = ("steps/s", "min - max", "CPU s / 1k steps", "start + warm-up s", "return")
    ours_over_this = (f"{outcome.entry.label} / this (CPU)" for outcome in ours)
    for column in (*measures, *ours_over_this):
        table.add_column(column, justify="right")
    for outcome in outcomes:
        if not outcome.rounds:
            table.add_row(outcome.entry.label, outcome.trouble)
            continue
        speeds = [result["steps_per_s"] for result in outcome.rounds]
        cpu = median(1000 * result["cpu_s"] / result["steps"] for result in outcome.rounds)
        returns = [r["final_return"] for r in outcome.rounds if r["final_return"] is not None]
        table.add_row(
            outcome.entry.label,
            outcome.rounds[0]["version"],
            f"{median(speeds):,.0f}",
            f"{min(speeds):,.0f} - {max(speeds):,.0f}",
            f"{cpu:.3f}",
            f"{median(result['warmup_s'] for result in outcome.rounds):.1f}",
            f"{median(returns):.0f}" if returns else "-",
            *(ratios(our, outcome) for our in ours),
        )
    return table


def check_table(outcomes: Sequence[Outcome], settings: Settings) -> Table:
    """What each really does in an iteration, counted from outside."""
    table = Table(title="What one iteration really does")
    table.add_column("implementation")
    for column in ("updates", "env steps", "resets", "rows", "optimizer", "parameters", "threads"):
        table.add_column(column, justify="right")
    table.add_row(
        "asked for",
        str(settings.updates_per_iteration),
        str(settings.batch),
        "",
        str(settings.minibatch),
        f"Adam {settings.learning_rate} {settings.adam_eps}",
        "",
        str(settings.threads),
    )
    for outcome in outcomes:
        if not outcome.rounds:
            table.add_row(outcome.entry.label, "", "", "", "", outcome.trouble)
            continue
        seen = outcome.rounds[0]["check"]
        table.add_row(
            outcome.entry.label,
            f"{seen['updates_per_iteration']:g}",
            f"{seen['true_env_steps_per_iteration']:g}",
            f"{seen['resets_per_iteration']:g}",
            ", ".join(seen["batch_rows"]) or "compiled",
            f"{seen['optimizer']} {seen['learning_rate']} {seen['eps']}",
            str(seen["parameters"]),
            str(outcome.rounds[0]["threads"]),
        )
    return table


def ratios(ours: Outcome, other: Outcome) -> str:
    """How many times as fast ours is, by wall clock and by CPU time: medians of the ratios within
    the rounds.
    """
    pairs = list(zip(ours.rounds, other.rounds, strict=False))
    wall = median(our["steps_per_s"] / their["steps_per_s"] for our, their in pairs)
    cpu = median(
        (their["cpu_s"] / their["steps"]) / (our["cpu_s"] / our["steps"]) for our, their in pairs
    )
    return f"{wall:.2f} ({cpu:.2f})"
