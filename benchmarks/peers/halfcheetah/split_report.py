"""What ``--split`` prints."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.table import Table

from peers.contest import Outcome

__all__ = ["split_tables"]


def split_tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """For each number of threads the parts of a step with its update, and the limit."""
    return [_table(outcome) for outcome in outcomes if outcome.rounds]


def _table(outcome: Outcome) -> Table:
    rounds = outcome.rounds
    table = Table(title=f"One step and one update of SAC, {rounds[0]['threads']} thread(s)")
    table.add_column("part")
    for column in ("ms", "CPU ms", "share"):
        table.add_column(column, justify="right")
    parts = {part: _medians(rounds, part) for part in sorted(rounds[0]["parts"])}
    whole = [sum(both[clock] for both in parts.values()) for clock in (0, 1)]
    update = [0.0, 0.0]
    for part, (wall, cpu) in parts.items():
        table.add_row(part, f"{wall:.3f}", f"{cpu:.3f}", f"{cpu / whole[1]:.0%}")
        if not part.startswith("acting"):
            update = [update[0] + wall, update[1] + cpu]
    table.add_section()
    table.add_row("step and update", f"{whole[0]:.3f}", f"{whole[1]:.3f}", "100%")
    table.add_row("without acting", *(f"{ms:.3f}" for ms in update), f"{update[1] / whole[1]:.0%}")
    table.add_section()
    limit = median(result["products"]["best"] for result in rounds)
    for way in rounds[0]["products"]["ms"]:
        took = median(result["products"]["ms"][way] for result in rounds)
        table.add_row(f"matrix products alone, {way}", "", f"{took:.3f}", f"{took / whole[1]:.0%}")
    speed = rounds[0]["products"]["gflop"] / limit * 1000.0
    table.add_row(
        f"each the fastest way ({speed:.0f} GFLOP/s)", "", f"{limit:.3f}", f"{limit / whole[1]:.0%}"
    )
    return table


def _medians(rounds: Sequence[dict[str, Any]], part: str) -> tuple[float, float]:
    wall, cpu = (median(result["parts"][part][clock] for result in rounds) for clock in (0, 1))
    return wall, cpu
