"""The objective over each setting of a search, as one figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpyt.evaluation.style import INK, NOTE, looks, new_figure, quiet_axes
from rlpyt.logging.files import directory_error
from rlpyt.search.results import SearchResult, TrialResult, value_text
from rlpyt.search.space import Choice, Dimension, LogUniform
from rlpyt.search.standing import WORST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FIGURE_FILE", "draw_search"]

FIGURE_FILE = "search.png"
"""In the directory of the search."""

_COLUMNS = 3


def draw_search(result: SearchResult) -> Path | None:
    """Draw ``search.png``: the IQM of each trial over each setting, with its interval; a colour for
    each length of training, the best in a ring. None where no trial has a score.

    Raises:
        RlpytError: ``directory``, where it cannot be written.
    """
    best = result.best
    if best is None:
        return None
    n = len(result.plan.space)
    columns = min(n, _COLUMNS)
    rows = -(-n // columns)
    figure = new_figure(3.4 * columns + 0.8, 3.1 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    panels: list[Axes] = [axes for row in grid for axes in row]
    for axes, (path, dimension) in zip(panels, result.plan.space.items(), strict=False):
        _draw(axes, path, dimension, result, best)
    for axes in panels[n:]:
        axes.remove()
    for row in grid:
        row[0].set_ylabel(f"IQM of {result.plan.rule.column}", color=INK)
    n_seeds = len(result.plan.seeds)
    title = f"{len(result.trials)} trials of {n_seeds} seed{'s' * (n_seeds != 1)}"
    figure.suptitle(title, color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    out = result.directory / FIGURE_FILE
    try:
        figure.savefig(out, dpi=150)
    except OSError as error:
        raise directory_error(out, error) from error
    return out


def _draw(
    axes: "Axes", path: str, dimension: Dimension, result: SearchResult, best: TrialResult
) -> None:
    rungs = sorted({trial.rung for trial in result.trials})
    for rung, (colour, _) in zip(rungs, looks(len(rungs)), strict=True):
        trials = [t for t in result.trials if t.rung == rung and t.iqm > WORST]
        steps = next((trial.steps for trial in trials), None)
        label = "whole runs" if steps is None else f"{steps:,} steps"
        x = _places(dimension, [trial.values[path] for trial in trials])
        y = [trial.iqm for trial in trials]
        for place, trial in zip(x, trials, strict=True):
            if trial.interval is not None:
                axes.plot([place, place], trial.interval, color=colour, alpha=0.35, linewidth=1.5)
        axes.scatter(x, y, s=30, color=colour, label=label, zorder=3, linewidths=0)
    [place] = _places(dimension, [best.values[path]])
    axes.scatter([place], [best.iqm], s=120, facecolors="none", edgecolors=INK, zorder=4)
    _mark_failed(axes, path, dimension, result)
    if isinstance(dimension, Choice):
        names = [value_text(value)[:20] for value in dimension.data]
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        low, high = dimension.edges
        is_log = isinstance(dimension, LogUniform)
        margin = (high / low) ** 0.05 if is_log else 0.05 * (high - low)
        axes.set_xscale("log" if is_log else "linear")
        axes.set_xlim(*((low / margin, high * margin) if is_log else (low - margin, high + margin)))
    axes.set_xlabel(path, color=INK)
    quiet_axes(axes)
    axes.tick_params(which="minor", length=0)


def _mark_failed(axes: "Axes", path: str, dimension: Dimension, result: SearchResult) -> None:
    """A cross at the bottom for each trial without an objective."""
    failed = [trial.values[path] for trial in result.trials if trial.iqm == WORST]
    places = _places(dimension, failed)
    bottom = axes.get_xaxis_transform()
    axes.scatter(places, [0.02] * len(failed), marker="x", color=NOTE, transform=bottom, s=30)


def _places(dimension: Dimension, values: Sequence[Any]) -> list[float]:
    if isinstance(dimension, Choice):
        return [float(dimension.data.index(value)) for value in values]
    return [float(value) for value in values]
