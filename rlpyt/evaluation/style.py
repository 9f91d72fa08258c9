"""How figures look: colours that colour-blind readers tell apart, few lines, quiet axes."""

from itertools import cycle, islice
from typing import TYPE_CHECKING

# matplotlib takes half a second to import: who draws does so, in the functions below.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "INK",
    "NOTE",
    "counting_ticks",
    "few_ticks",
    "looks",
    "new_figure",
    "percent_ticks",
    "quiet_axes",
]

INK = "#333333"
"""The colour of text."""

NOTE = "#777777"
"""The colour of text at the margin."""

# Okabe and Ito's palette: colour-blind readers tell it apart too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
_STYLES = ("-", "--", ":", "-.")


def looks(n: int) -> list[tuple[str, str]]:
    """Colour and line style of each of ``n`` lines."""
    return list(islice(cycle((c, style) for style in _STYLES for c in _COLOURS), n))


def new_figure(width: float, height: float) -> "Figure":
    """An empty one, in inches, whose parts find their places by themselves."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def counting_ticks(axis: "Axis") -> None:
    """Label thousands and millions by ``k`` and ``M``."""
    from matplotlib.ticker import EngFormatter

    axis.set_major_formatter(EngFormatter(sep=""))


def percent_ticks(axis: "Axis") -> None:
    """Label shares from 0 to 1 in percent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0))


def few_ticks(axis: "Axis", n_intervals: int) -> None:
    """At most ``n_intervals`` between ticks."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(n_intervals))


def quiet_axes(axes: "Axes") -> None:
    """A light grid below the data, one spine, no ticks."""
    axes.grid(visible=True, color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#AAAAAA")
