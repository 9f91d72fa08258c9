"""What the benchmark prints of one task: the limits, every system, and ours against each peer."""

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from peers.sampling.contest import Outcome
from peers.sampling.task import Task

__all__ = ["ratio_table", "speed_table", "task_line", "trouble_lines"]


def task_line(task: Task, rounds: int, devices: str) -> str:
    """The task in words."""
    return (
        f"{task.num_envs} environments, {task.workers} workers or threads (a process for each "
        f"environment where the library knows no other way), batches of ours of {task.rollout} "
        f"steps; {rounds} round(s) of {task.seconds:g} s after {task.warmup:g} s of warm-up; "
        f"1 torch thread a process; networks on {devices}"
    )


def speed_table(outcomes: Sequence[Outcome], limits: Sequence[Outcome]) -> Table:
    """Median steps per second, and the fraction of what the bare environments can do.

    ``limits`` are those of the same environment without a network. With a network the limit is that
    of environments and network one after the other on each core: 1 / (1 / envs + 1 / network).
    Cores used that are fewer than the processes could have used tell of a machine that is not
    quiet.
    """
    task = outcomes[0].task
    acting = "a network acting" if task.policy else "random actions drawn ahead"
    table = Table(title=f"{task.environment}: sampling alone, {acting}")
    for column in ("system", "version", "layout"):
        table.add_column(column)
    measures = ("steps/s", "min - max", "per CPU s", "cores used", "start s")
    for column in (*measures, "of bare, 1 process", "of bare, every core"):
        table.add_column(column, justify="right")
    network = next((o for o in outcomes if o.entry.back_end == "policy"), None)
    for outcome in outcomes:
        entry = outcome.entry
        if not outcome.rounds:
            table.add_row(entry.label, "-", "see below")
            continue
        speeds = [result["steps_per_s"] for result in outcome.rounds.values()]
        first = next(iter(outcome.rounds.values()))
        one, every = (
            _fraction(outcome, _find(limits, f"raw-{entry.back_end}{suffix}"), network)
            for suffix in ("-1", "")
        )
        table.add_row(
            entry.label,
            first["version"],
            first["layout"],
            f"{median(speeds):,.0f}",
            f"{min(speeds):,.0f} - {max(speeds):,.0f}",
            *_processor(outcome),
            f"{median(result['start_s'] for result in outcome.rounds.values()):.1f}",
            "" if task.policy else one,
            every,
            style="bold" if entry.role == "ours" else None,
            end_section=entry.role == "limit" and outcome is _last_limit(outcomes),
        )
    return table


def ratio_table(outcomes: Sequence[Outcome]) -> Table | None:
    """How many times as fast ours are, by wall clock and by processor time: medians of the ratios
    within the rounds. ``None`` where only one side took part.
    """
    ours = [o for o in outcomes if o.entry.role == "ours" and o.rounds]
    peers = [o for o in outcomes if o.entry.role == "peer" and o.rounds]
    if not ours or not peers:
        return None
    task = outcomes[0].task
    acting = "with a network" if task.policy else "without a policy"
    table = Table(title=f"{task.environment}, {acting}: ours / peer (by CPU time)")
    table.add_column("ours")
    for peer in peers:
        table.add_column(peer.entry.name, justify="right")
    best = max(ours, key=_speed)
    label = f"best: {best.entry.name}"
    table.add_row(label, *(_ratio(best, p) for p in peers), style="bold", end_section=True)
    for our in ours:
        table.add_row(our.entry.name, *(_ratio(our, peer) for peer in peers))
    return table


def trouble_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Who is missing, and why."""
    return [f"{o.entry.label} ({o.entry.name}): {o.trouble}" for o in outcomes if o.trouble]


def _last_limit(outcomes: Sequence[Outcome]) -> Outcome:
    return [outcome for outcome in outcomes if outcome.entry.role == "limit"][-1]


def _find(outcomes: Sequence[Outcome], name: str) -> Outcome | None:
    return next((o for o in outcomes if o.entry.name == name and o.rounds), None)


def _speed(outcome: Outcome) -> float:
    return float(median(result["steps_per_s"] for result in outcome.rounds.values()))


def _processor(outcome: Outcome) -> tuple[str, str]:
    """Steps per second of processor time, and processors used."""
    results = [result for result in outcome.rounds.values() if result["cpu_s"]]
    if not results:
        return "-", "-"
    steps = median(result["steps"] / result["cpu_s"] for result in results)
    return f"{steps:,.0f}", f"{median(r['cpu_s'] / r['wall_s'] for r in results):.2f}"


def _ratio(one: Outcome, other: Outcome) -> str:
    """By wall clock, and by processor time where that is known."""
    pairs = [
        (one.rounds[number], other.rounds[number])
        for number in sorted(set(one.rounds) & set(other.rounds))
    ]
    if not pairs:
        return "-"
    wall = median(our["steps_per_s"] / their["steps_per_s"] for our, their in pairs)
    if not all(result["cpu_s"] for pair in pairs for result in pair):
        return f"{wall:.2f}"
    cpu = median(
        (our["steps"] / our["cpu_s"]) / (their["steps"] / their["cpu_s"]) for our, their in pairs
    )
    return f"{wall:.2f} ({cpu:.2f})"


def _fraction(outcome: Outcome, limit: Outcome | None, network: Outcome | None) -> str:
    """Median, over the rounds, of the speed over the limit's in the same round."""
    if limit is None or outcome is network:
        return ""
    if outcome.task.policy and (network is None or not network.rounds):
        return ""
    fractions = []
    for number in sorted(set(outcome.rounds) & set(limit.rounds)):
        seconds = 1 / limit.rounds[number]["steps_per_s"]
        if network is not None and number in network.rounds:
            seconds += 1 / network.rounds[number]["steps_per_s"]
        fractions.append(outcome.rounds[number]["steps_per_s"] * seconds)
    return f"{median(fractions):.0%}" if fractions else ""
