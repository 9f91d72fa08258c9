"""Learning curves of runs on disk, as one figure."""

import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpyt.evaluation.curves import Curve, mean_curve, read_curve, smoothed
from rlpyt.evaluation.runs import RETURN, STEPS, RunGroup, group_runs, some_runs
from rlpyt.evaluation.style import INK, NOTE, counting_ticks, looks, new_figure, quiet_axes
from rlpyt.utils.errors import RlpytError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_runs"]

_FORMATS = ("png", "pdf", "svg")
_LABELS = {"CumSteps": "Environment steps", "CumTime (s)": "Time (s)", "CumUpdates": "Updates"}


def plot_runs(
    paths: Iterable[Path | str],
    out: Path | str,
    x: str = STEPS,
    y: str = RETURN,
    smooth: int = 0,
) -> Path:
    """Draw column ``y`` over column ``x`` of every run in or below ``paths`` into ``out``.

    Runs that differ only in seed and run_ID make one curve: their mean, shaded by one standard
    deviation, each run a thin line behind it. ``y`` is the average return unless named.
    ``smooth`` is a moving average's window in rows. The suffix of ``out`` is png, pdf or svg.

    Raises:
        RlpytError: ``directory`` where there is no run or ``out`` cannot be written, ``plot`` for
            a column that a run lacks or a wrong argument.
    """
    out = Path(out)
    if out.suffix.removeprefix(".") not in _FORMATS:
        raise RlpytError("plot", f"cannot draw {out}", hint=f"end it in .{', .'.join(_FORMATS)}")
    if smooth < 0:
        raise RlpytError("plot", f"smooth={smooth} is negative", hint="give a number of rows")
    run_dirs = some_runs(paths)
    groups = group_runs(run_dirs)
    curves = [[_curve(run_dir, x, y, smooth) for run_dir in group.run_dirs] for group in groups]
    if not any(curve is not None for found in curves for curve in found):
        raise RlpytError("plot", f"no run has a finite {y!r} yet", hint="wait for its first rows")
    figure = _figure(groups, curves, x, y, smooth)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=160)
    except OSError as error:
        what = f"cannot write {out}: {error.strerror}"
        raise RlpytError("directory", what, hint="choose another path") from error
    return out


def _curve(run_dir: Path, x: str, y: str, smooth: int) -> Curve | None:
    curve = read_curve(run_dir, x, y)
    if curve is None:
        warnings.warn(f"{run_dir} has no finite {y!r} yet: left out", UserWarning, stacklevel=3)
        return None
    return Curve(curve.x, smoothed(curve.y, smooth))


def _figure(
    groups: Sequence[RunGroup],
    curves: Sequence[Sequence[Curve | None]],
    x: str,
    y: str,
    smooth: int,
) -> "Figure":
    figure = new_figure(7.2, 4.4)
    axes = figure.add_subplot()
    styles = iter(looks(len(groups)))
    envs = sorted({group.env for group in groups})
    algorithms = sorted({group.algorithm for group in groups})
    for group, found in zip(groups, curves, strict=True):
        present = [curve for curve in found if curve is not None]
        if present:
            label = _legend_label(group, len(present), show_env=len(envs) > 1)
            _draw(axes, present, label, *next(styles))
    subjects = (_names(algorithms, "algorithms"), _names(envs, "environments"))
    title = " on ".join(subject for subject in subjects if subject)
    axes.set_title(title or "Learning curves", loc="left", fontweight="bold", color=INK, pad=12)
    _decorate(figure, axes, x, y, smooth, several_runs=any(len(found) > 1 for found in curves))
    return figure


def _names(names: Sequence[str], plural: str) -> str:
    return ", ".join(names) if len(names) < 4 else f"{len(names)} {plural}"


def _legend_label(group: RunGroup, n_runs: int, *, show_env: bool) -> str:
    parts = [group.algorithm, group.env if show_env else "", group.details]
    count = f"{n_runs} {'run' if n_runs == 1 else 'runs'}"
    return f"{' · '.join(part for part in parts if part)} ({count})"


def _draw(axes: "Axes", curves: Sequence[Curve], label: str, colour: str, style: str) -> None:
    look: dict[str, Any] = {"color": colour, "linestyle": style, "solid_capstyle": "round"}
    if len(curves) == 1:
        axes.plot(*curves[0], linewidth=1.8, label=label, **look)
        return
    for curve in curves:
        axes.plot(*curve, linewidth=0.7, alpha=0.35, **look)
    x, mean, std = mean_curve(curves)
    axes.fill_between(x, mean - std, mean + std, color=colour, alpha=0.16, linewidth=0)
    axes.plot(x, mean, linewidth=2.2, label=label, **look)


def _decorate(
    figure: "Figure", axes: "Axes", x: str, y: str, smooth: int, *, several_runs: bool
) -> None:
    notes = ["mean ± std over runs"] if several_runs else []
    notes += [f"moving average of {smooth} rows"] if smooth > 1 else []
    axes.set_xlabel(_label(x), color=INK)
    axes.set_ylabel(_label(y), color=INK)
    axes.set_title(", ".join(notes), loc="right", fontsize=8, color=NOTE, pad=12)
    counting_ticks(axes.xaxis)
    quiet_axes(axes)
    axes.margins(x=0.01)
    labels = axes.get_legend_handles_labels()[1]
    if len(labels) > 5 or max(map(len, labels), default=0) > 45:
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    elif labels:
        axes.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none", fontsize=9)


def _label(column: str) -> str:
    """``ReturnAverage`` as "Return (average)"; known counters by name."""
    name = column.removeprefix("Diagnostics/")
    if name in _LABELS:
        return _LABELS[name]
    quantity, _, statistic = name.partition("/")
    found = re.fullmatch(r"(.+?)(Average|Std|Median|Min|Max)", quantity)
    quantity, statistic = found.groups() if found else (quantity, statistic)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", quantity).lower()
    words = words[:1].upper() + words[1:]
    return f"{words} ({statistic.lower()})" if statistic else words
