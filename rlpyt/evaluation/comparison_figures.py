"""Figures of a comparison: aggregates, performance profiles, improvement, sample efficiency."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpyt.evaluation.bootstrap import Interval
from rlpyt.evaluation.comparison import Comparison
from rlpyt.evaluation.statistics import Array
from rlpyt.evaluation.style import (
    INK,
    NOTE,
    counting_ticks,
    few_ticks,
    looks,
    new_figure,
    percent_ticks,
    quiet_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "aggregates_figure",
    "comparison_figures",
    "curves_figure",
    "improvement_figure",
    "profiles_figure",
]

_WIDTH = 8.0
_MOST_IN_ROWS = 5  # algorithms, whose pairs and bands do not crowd a figure
_LOWER_IS_BETTER = ("optimality gap", "mean rank")


def comparison_figures(comparison: Comparison) -> dict[str, "Figure"]:
    """Each figure that the runs allow, by name."""
    figures = {
        "aggregates": aggregates_figure(comparison),
        "profiles": profiles_figure(comparison),
    }
    if comparison.pairs:
        figures["improvement"] = improvement_figure(comparison)
    if comparison.curves:
        figures["curves"] = curves_figure(comparison)
    return figures


def aggregates_figure(comparison: Comparison) -> "Figure":
    """One panel for each statistic: points with their intervals, one row for each algorithm."""
    names = list(comparison.algorithms)
    panels: dict[str, list[Interval]] = {
        statistic: [comparison.aggregates[name][statistic] for name in names]
        for statistic in comparison.statistics
    }
    if comparison.ranks:
        panels["mean rank"] = [comparison.ranks[name] for name in names]
    width = _WIDTH + 0.07 * max(map(len, names))
    figure = new_figure(width, 1.5 + 0.36 * len(names))
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, intervals) in zip(row, panels.items(), strict=True):
        _intervals(axes, intervals, [colour for colour, _ in looks(len(names))])
        better = "lower" if title in _LOWER_IS_BETTER else "higher"
        axes.set_title(title[:1].upper() + title[1:], fontsize=10, color=INK, fontweight="bold")
        axes.set_xlabel(f"{better} is better", fontsize=8, color=NOTE)
        few_ticks(axes.xaxis, 4)
    row[0].set_yticks(range(len(names)), names)
    return figure


def _intervals(axes: "Axes", intervals: Sequence[Interval], colours: Sequence[str]) -> None:
    for y, (interval, colour) in enumerate(zip(intervals, colours, strict=True)):
        low, high = float(interval.low), float(interval.high)
        axes.barh(y, high - low, left=low, height=0.5, color=colour, alpha=0.35, linewidth=0)
        axes.vlines(float(interval.value), y - 0.25, y + 0.25, color=colour, linewidth=2.4)
    axes.set_ylim(len(intervals) - 0.5, -0.5)
    quiet_axes(axes)
    axes.grid(visible=False, axis="y")
    axes.use_sticky_edges = False
    axes.margins(x=0.08)


def improvement_figure(comparison: Comparison) -> "Figure":
    """The probability of improvement of each algorithm over each one below it: intervals, or for
    many algorithms a matrix.
    """
    if len(comparison.algorithms) > _MOST_IN_ROWS:
        return _improvement_matrix(comparison)
    pairs = comparison.pairs
    figure = new_figure(_WIDTH, 1.3 + 0.36 * len(pairs))
    axes = figure.add_subplot()
    colour_of = dict(zip(comparison.algorithms, looks(len(comparison.algorithms)), strict=True))
    colours = [colour_of[pair.better][0] for pair in pairs]
    _intervals(axes, [pair.probability for pair in pairs], colours)
    axes.set_yticks(range(len(pairs)), [f"{pair.better}  >  {pair.other}" for pair in pairs])
    axes.axvline(0.5, color=INK, linewidth=1.0, linestyle="--")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("probability that a run of the first scores higher", color=INK)
    return figure


def _improvement_matrix(comparison: Comparison) -> "Figure":
    """Row over column; bold where the interval does not hold 0.5."""
    names = list(comparison.algorithms)
    found = np.full((len(names), len(names)), np.nan)
    size = 2.6 + 0.5 * len(names)
    figure = new_figure(size + 1.0, size)
    axes = figure.add_subplot()
    for pair in comparison.pairs:
        row, column = names.index(pair.better), names.index(pair.other)
        value, low, high = (float(each) for each in pair.probability)
        found[row, column] = value
        weight = "normal" if low <= 0.5 <= high else "bold"
        look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "color": INK}
        axes.text(column, row, f"{value:.2f}", fontweight=weight, **look)
    axes.imshow(found, cmap="RdBu", vmin=-0.5, vmax=1.5)
    axes.set_yticks(range(len(names) - 1), names[:-1])
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_ylim(len(names) - 1.5, -0.5)
    axes.set_xlim(0.5, len(names) - 0.5)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.set_title("row > column; bold: the interval does not hold 0.5", fontsize=9, color=NOTE)
    return figure


def profiles_figure(comparison: Comparison) -> "Figure":
    """The share of runs with a score above each threshold."""
    figure = new_figure(_WIDTH, 4.2)
    axes = figure.add_subplot()
    _bands(axes, comparison.thresholds, comparison.profiles)
    axes.set_xlabel(f"{_score_name(comparison)} τ", color=INK)
    axes.set_ylabel("share of runs with score > τ", color=INK)
    percent_ticks(axes.yaxis)
    axes.set_ylim(-0.02, 1.02)
    _legend(figure, axes)
    return figure


def curves_figure(comparison: Comparison) -> "Figure":
    """The interquartile mean over the steps of training."""
    figure = new_figure(_WIDTH, 4.2)
    axes = figure.add_subplot()
    ends, shares = comparison.data.ends, comparison.data.shares
    if max(ends) <= 1.02 * min(ends):
        _bands(axes, shares * min(ends), comparison.curves)
        axes.set_xlabel("environment steps", color=INK)
        counting_ticks(axes.xaxis)
    else:
        _bands(axes, shares, comparison.curves)
        axes.set_xlabel("share of each environment's steps", color=INK)
        percent_ticks(axes.xaxis)
    axes.set_ylabel(f"IQM of the {_score_name(comparison)}", color=INK)
    _legend(figure, axes)
    return figure


def _score_name(comparison: Comparison) -> str:
    return "score" if comparison.normalization.is_identity else "normalised score"


def _bands(axes: "Axes", x: Array, of: Mapping[str, Interval]) -> None:
    alpha = 0.16 if len(of) <= _MOST_IN_ROWS else 0.06
    for (name, interval), (colour, style) in zip(of.items(), looks(len(of)), strict=True):
        value, low, high = (np.asarray(each) for each in interval)
        axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)
        axes.plot(x, value, color=colour, linestyle=style, linewidth=2.2, label=name)
    quiet_axes(axes)
    axes.margins(x=0.01)


def _legend(figure: "Figure", axes: "Axes") -> None:
    labels = axes.get_legend_handles_labels()[1]
    if len(labels) > 5 or max(map(len, labels)) > 40:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    else:
        axes.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)
