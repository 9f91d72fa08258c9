"""One logged row as a table on the console: diagnostics, trajectories, optimisation."""

import math
from collections.abc import Mapping
from itertools import zip_longest

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rlpyt.logging.statistics import STATISTICS, split_statistic

__all__ = ["format_number", "metrics_table"]

_DIAGNOSTICS = "Diagnostics/"


def format_number(value: float) -> str:
    """A number for reading: thousands separated, floats to four digits, ``-`` for NaN."""
    if isinstance(value, int | np.integer) or (abs(value) < 1e15 and float(value).is_integer()):
        return f"{int(value):,}"
    if math.isnan(value):
        return "-"
    if 1e3 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1e-3 else f"{value:.2e}"


def metrics_table(title: str, values: Mapping[str, float]) -> Panel:
    """``values`` by column name as a panel: counters in pairs, then five statistics per quantity.

    Columns named ``Diagnostics/...`` are counters; a capital starts a trajectory's column, a small
    letter one of the optimisation's.
    """
    counters = {
        name.removeprefix(_DIAGNOSTICS): value
        for name, value in values.items()
        if name.startswith(_DIAGNOSTICS)
    }
    others = {name: value for name, value in values.items() if not name.startswith(_DIAGNOSTICS)}
    trajectories = {name: value for name, value in others.items() if name[:1].isupper()}
    optimisation = {name: value for name, value in others.items() if not name[:1].isupper()}
    parts = [_counters(counters)] if counters else []
    if others:
        parts.append(_statistics({"trajectories": trajectories, "optimisation": optimisation}))
    heading = Text(title, style="bold")
    return Panel(Group(*parts), title=heading, title_align="left", border_style="dim", expand=False)


def _counters(counters: Mapping[str, float]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column()
        grid.add_column(style="bold", justify="right")
    cells = [(name, format_number(value)) for name, value in counters.items()]
    half = (len(cells) + 1) // 2
    for left, right in zip_longest(cells[:half], cells[half:], fillvalue=("", "")):
        grid.add_row(Text(left[0]), left[1], Text(right[0]), right[1])
    return grid


def _statistics(sections: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for statistic in STATISTICS:
        table.add_column(statistic, justify="right", style="bold" if statistic == "Average" else "")
    for title, values in sections.items():
        if values:
            table.add_row(Text(title, style="cyan"))
            for quantity, cells in _by_quantity(values).items():
                table.add_row(Text(f"  {quantity}"), *(cells.get(key, "") for key in STATISTICS))
            table.add_section()
    return table


def _by_quantity(values: Mapping[str, float]) -> dict[str, dict[str, str]]:
    """``{"ReturnAverage": 1.0}`` as ``{"Return": {"Average": "1"}}``; plain numbers as averages."""
    quantities: dict[str, dict[str, str]] = {}
    for name, value in values.items():
        quantity, statistic = split_statistic(name)
        quantities.setdefault(quantity, {})[statistic or STATISTICS[0]] = format_number(value)
    return quantities
