"""What the benchmark prints of one kind of replay: every system, and ours against each peer."""

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from peers.replay.contest import Outcome
from peers.replay.task import Task

__all__ = ["ratio_table", "speed_table", "task_line", "trouble_lines"]


def task_line(task: Task, rounds: int) -> str:
    """The task in words."""
    return (
        f"{task.transitions:,} transitions of 84x84x4 uint8 or as many as fit, {task.num_envs} "
        f"environments, appends of {task.rows} rows where a library takes several; sequences of "
        f"{task.length}; {rounds} round(s) of {task.seconds:g} s for each measurement; 1 thread"
    )


def speed_table(outcomes: Sequence[Outcome]) -> Table:
    """Medians of all rounds: rates, time of a batch, and bytes per transition."""
    task = outcomes[0].task
    item = "sequences" if task.kind == "sequence" else "transitions"
    table = Table(title=f"{task.kind}: append and draw")
    for column in ("replay", "version"):
        table.add_column(column)
    columns = [f"batches/s of {n} {item} (us)" for n in task.batches]
    for column in ("held", "bytes each", "forecast GB for 1e6", "appended/s", *columns):
        table.add_column(column, justify="right")
    for outcome in outcomes:
        if not outcome.rounds:
            table.add_row(outcome.entry.label, "see below")
            continue
        first = next(iter(outcome.rounds.values()))
        forecast, used = first["forecast_each"], first["bytes_each"]
        table.add_row(
            outcome.entry.label,
            first["version"],
            f"{first['transitions']:,}",
            "-" if used is None else f"{used:,.0f}",
            "" if forecast is None else f"{forecast * 1e6 / 1e9:.2f}",
            f"{_speed(outcome, 'append'):,.0f}",
            *(
                f"{speed:,.0f} ({1e6 / speed:,.0f})"
                for speed in (_speed(outcome, f"draw {n}") for n in task.batches)
            ),
            style="bold" if outcome.entry.role == "ours" else None,
        )
    return table


def ratio_table(outcomes: Sequence[Outcome]) -> Table | None:
    """How many times as fast ours are as each other system, and as the fastest peer, by wall clock
    and by processor time: medians of the ratios within the rounds.
    """
    ours = [o for o in outcomes if o.entry.role == "ours" and o.rounds]
    others = [o for o in outcomes if o.entry.role != "ours" and o.rounds]
    peers = [o for o in others if o.entry.role == "peer"]
    if not ours or not (others or len(ours) > 1):
        return None
    table = Table(title=f"{outcomes[0].task.kind}: ours / other (by CPU time)")
    table.add_column("ours")
    table.add_column("measured")
    table.add_column("fastest peer", justify="right", style="bold")
    for other in [*ours, *others]:
        table.add_column(other.entry.name, justify="right")
    for our in ours:
        for name in ("append", *(f"draw {n}" for n in our.task.batches)):
            best = max(peers, key=lambda peer: _speed(peer, name), default=None)
            table.add_row(
                our.entry.name,
                name,
                "-" if best is None else f"{_ratio(our, best, name)} {best.entry.name}",
                *("" if other is our else _ratio(our, other, name) for other in [*ours, *others]),
            )
    return table


def trouble_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Who is missing and why, and who holds fewer transitions than were asked for."""
    lines = [f"{o.entry.label} ({o.entry.name}): {o.trouble}" for o in outcomes if o.trouble]
    for outcome in outcomes:
        held = [result["transitions"] for result in outcome.rounds.values()]
        if held and min(held) < outcome.task.transitions:
            what = f"{min(held):,} transitions fit into the free memory"
            lines.append(f"{outcome.entry.label} ({outcome.entry.name}): only {what}")
    return lines


def _rate(outcome: Outcome, number: int, name: str, unit: str = "per_s") -> float:
    """The median rate of a round: ``name`` is "append" or "draw N"."""
    slices = sorted(part[unit] for part in outcome.rounds[number]["rates"][name])
    return float(slices[len(slices) // 2])


def _speed(outcome: Outcome, name: str) -> float:
    return median(_rate(outcome, number, name) for number in outcome.rounds)


def _ratio(one: Outcome, other: Outcome, name: str) -> str:
    numbers = sorted(set(one.rounds) & set(other.rounds))
    if not numbers or (other.entry.role == "limit" and name == "append"):
        return "-"
    wall, cpu = (
        median(
            _rate(one, number, name, unit) / _rate(other, number, name, unit) for number in numbers
        )
        for unit in ("per_s", "per_cpu_s")
    )
    return f"{wall:.2f} ({cpu:.2f})"
