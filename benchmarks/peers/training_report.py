"""What the benchmarks of training print that have a row for each implementation and number of
threads.
"""

from collections.abc import Iterable, Sequence
from statistics import median

from rich.table import Table

from peers.contest import Outcome
from peers.report import ratios

__all__ = ["speed_table", "verdict", "verdicts_by_threads"]


def speed_table(outcomes: Sequence[Outcome], title: str) -> Table:
    """Speed of each, and how many times as fast the best of ours is, by wall clock and CPU time."""
    table = Table(title=title)
    ours = _best([outcome for outcome in outcomes if outcome.entry.is_ours])
    for column in ("implementation", "version"):
        table.add_column(column)
    measures = ("threads", "steps/s", "min - max", "CPU s / 1k steps", "cores used", "return")
    for column in (*measures, f"{_name(ours)} / this (CPU)" if ours else "-"):
        table.add_column(column, justify="right")
    for outcome in outcomes:
        if not outcome.rounds:
            table.add_row(outcome.entry.label, outcome.trouble)
            continue
        speeds = [result["steps_per_s"] for result in outcome.rounds]
        returns = [r["final_return"] for r in outcome.rounds if r["final_return"] is not None]
        table.add_row(
            outcome.entry.label,
            outcome.rounds[0]["version"],
            str(outcome.rounds[0]["threads"]),
            f"{median(speeds):,.0f}",
            f"{min(speeds):,.0f} - {max(speeds):,.0f}",
            f"{median(1000 * r['cpu_s'] / r['steps'] for r in outcome.rounds):.2f}",
            f"{median(r['cpu_s'] / r['wall_s'] for r in outcome.rounds):.2f}",
            f"{median(returns):.1f}" if returns else "-",
            ratios(ours, outcome) if ours else "-",
        )
    return table


def verdict(outcomes: Sequence[Outcome]) -> str:
    """The best of ours over the best peer, each with its best number of threads."""
    ours = _best([outcome for outcome in outcomes if outcome.entry.is_ours])
    peer = _best([outcome for outcome in outcomes if not outcome.entry.is_ours])
    if ours is None or peer is None:
        return "no ratio: only one side took part"
    return f"{_name(ours)} / best peer, {_name(peer)}: {ratios(ours, peer)} (by CPU time)"


def verdicts_by_threads(outcomes: Sequence[Outcome], peer: str) -> list[str]:
    """For each number of threads :func:`verdict`, and each of ours over the peer of this name."""
    lines = []
    for threads in sorted({o.rounds[0]["threads"] for o in outcomes if o.rounds}):
        same = [o for o in outcomes if o.rounds and o.rounds[0]["threads"] == threads]
        lines.append(verdict(same))
        lines.extend(_over(same, [o for o in same if o.entry.name == peer]))
    return lines


def _over(outcomes: Sequence[Outcome], peers: Sequence[Outcome]) -> Iterable[str]:
    for ours in outcomes:
        for peer in peers if ours.entry.is_ours else ():
            yield f"{_name(ours)} / {_name(peer)}: {ratios(ours, peer)} (by CPU time)"


def _name(outcome: Outcome) -> str:
    threads = outcome.rounds[0]["threads"]
    return f"{outcome.entry.label}, {threads} thread{'s' if threads > 1 else ''}"


def _best(outcomes: Sequence[Outcome]) -> Outcome | None:
    run = [outcome for outcome in outcomes if outcome.rounds]
    return max(run, key=lambda o: median(r["steps_per_s"] for r in o.rounds), default=None)
