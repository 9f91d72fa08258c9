"""How runs look in a terminal: numbers, bars, sparklines, and the lines of a table."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, final

from rich.table import Table
from rich.text import Text

from rlpyt.cli.runs_table import STATE_STYLES
from rlpyt.evaluation.live import LiveRun, Snapshot
from rlpyt.evaluation.run_sources import LiveState

__all__ = ["bar", "duration", "quantity", "run_labels", "runs_table", "sparkline", "summary_lines"]

_SIGNS: dict[LiveState, str] = {
    "running": "▶",
    "lost": "?",
    "failed": "✗",
    "stopped": "■",
    "queued": "·",
    "done": "✓",
}
_BLOCKS, _ASCII_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*#%"
_STATE = 9  # columns of the longest state, with its sign
_LABEL, _LONG_LABEL = 24, 60  # columns that a run's name has at least and at most


def quantity(value: float, unit: str = "") -> str:
    """``12.3k``, ``4.06M``: three digits; "" for NaN."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{letter}{unit}"
    return (f"{value:.0f}" if value == int(value) else f"{value:.3g}") + unit


def duration(seconds: float) -> str:
    """``0:04:10``, ``2d 03:00``; "" for NaN."""
    if not math.isfinite(seconds):
        return ""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}" if days else f"{hour}:{minute:02}:{second:02}"


def bar(fraction: float, width: int, *, ascii_only: bool = False) -> str:
    """``━━━───``; "" for NaN."""
    if math.isnan(fraction):
        return ""
    full = round(min(1.0, max(0.0, fraction)) * width)
    done, left = ("#", "-") if ascii_only else ("━", "─")
    return done * full + left * (width - full)


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """``▁▃▅█`` for finite values, neighbours averaged to ``width`` characters."""
    n = min(width, len(values))
    if not n:
        return ""
    edges = [round(i * len(values) / n) for i in range(n + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    if not high > low:
        return blocks[3] * n
    return "".join(blocks[round((mean - low) / (high - low) * (len(blocks) - 1))] for mean in means)


def run_labels(runs: Sequence[LiveRun], snapshot: Snapshot) -> list[str]:
    """What tells the settings of each from others': ``CartPole-v1 · learning_rate=0.001``."""
    several = len({run.found.env for run in snapshot.runs}) > 1
    parts = [(run.found.env if several else "", run.found.group) for run in runs]
    return [
        " · ".join(filter(None, each)) or run.found.name
        for run, each in zip(runs, parts, strict=True)
    ]


def _shortened(text: str, width: int) -> str:
    """Without its middle: what tells two apart is often at the end."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def _memory(value: float) -> str:
    return "" if math.isnan(value) else f"{quantity(value)}B"


def _steps(run: LiveRun) -> str:
    done = quantity(run.steps) or "0"
    return f"{done}/{quantity(run.found.n_steps)}" if run.found.n_steps else done


def _progress(run: LiveRun, ascii_only: bool) -> Text:
    return Text(bar(run.fraction, 8, ascii_only=ascii_only), style=STATE_STYLES[run.found.state])


def _state(run: LiveRun, ascii_only: bool) -> Text:
    state = run.found.state
    word = "ending" if run.found.ending else state
    return Text(word if ascii_only else f"{_SIGNS[state]} {word}", style=STATE_STYLES[state])


@final
@dataclass(frozen=True)
class _Column:
    title: str
    width: int
    cell: Callable[[LiveRun], str | Text]
    justify: Literal["left", "right"] = "right"
    rank: int = 0  # the highest go first where the terminal is narrow


def _columns(ascii_only: bool) -> list[_Column]:
    """Those right of the run's name."""
    return [
        _Column("seed", 4, lambda run: _whole(run.found.seed), rank=1),
        _Column("slot", 4, lambda run: _whole(run.found.slot), rank=4),
        _Column("steps", 11, _steps),
        _Column("", 8, lambda run: _progress(run, ascii_only), "left", rank=2),
        _Column("steps/s", 7, lambda run: quantity(run.steps_per_second)),
        _Column("return", 8, lambda run: quantity(run.last_return)),
        _Column(
            "",
            12,
            lambda run: Text(sparkline(run.history, 12, ascii_only=ascii_only), style="blue"),
            "left",
            rank=3,
        ),
        _Column("left", 8, lambda run: duration(run.eta)),
        _Column("CPU", 5, lambda run: "" if math.isnan(run.cpu) else f"{run.cpu:.0f}%", rank=5),
        _Column("memory", 6, lambda run: _memory(run.memory), rank=6),
    ]


def _whole(value: int | None) -> str:
    return "" if value is None else str(value)


def runs_table(
    runs: Sequence[LiveRun],
    snapshot: Snapshot,
    width: int,
    *,
    selected: int | None = None,
    ascii_only: bool = False,
) -> Table:
    """One line for each of ``runs`` below a line of titles, with as many columns as fit."""
    columns = _columns(ascii_only)
    labels = run_labels(runs, snapshot)
    wanted = min(_LONG_LABEL, max([_LABEL, *map(len, labels)]))
    gap = 2 if _left(width, columns, 2) >= wanted else 1
    while _left(width, columns, gap) < _LABEL and any(column.rank for column in columns):
        columns.remove(max(columns, key=lambda column: column.rank))
    label = max(4, min(wanted, _left(width, columns, gap)))
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("state", width=_STATE, no_wrap=True)
    table.add_column("run", width=label, no_wrap=True)
    for column in columns:
        table.add_column(column.title, width=column.width, justify=column.justify, no_wrap=True)
    for run, name in zip(runs, labels, strict=True):
        cells = [
            _state(run, ascii_only),
            Text(_shortened(name, label)),
            *(column.cell(run) for column in columns),
        ]
        if run.found.id == selected:  # its colours would be those of the background
            table.add_row(*map(Text, map(str, cells)), style="reverse")
        else:
            table.add_row(*cells)
    return table


def _left(width: int, columns: Sequence[_Column], gap: int) -> int:
    """For a run's name, right of its state."""
    return width - _STATE - gap - sum(column.width + gap for column in columns)


def summary_lines(snapshot: Snapshot, width: int) -> list[Text]:
    """Where, how many in which state; how fast, how long still, and who drains the queue."""
    n = len(snapshot.runs)
    counts = Text(f"  {n} run{'s' * (n != 1)}")
    for i, (state, count) in enumerate(snapshot.counts.items()):
        counts.append(": " if i == 0 else ", ")
        counts.append(f"{count} {state}", style=STATE_STYLES[state])
    place = _shortened(str(snapshot.directory), max(12, width - len(counts)))
    first = Text.assemble((place, "bold"), counts)
    parts = [f"{quantity(snapshot.steps_per_second)} steps/s"]
    if not math.isnan(snapshot.eta):
        parts.append(f"{duration(snapshot.eta)} left")
    second = Text(" · ".join(parts))
    launchers = snapshot.n_launchers
    if launchers:
        second.append(f" · {launchers} launcher{'s' * (launchers != 1)}")
    elif launchers == 0 and snapshot.counts.keys() & {"queued", "lost"}:
        second.append(" · no launcher: nobody takes what is queued", style="bold yellow")
    return [first, second]
