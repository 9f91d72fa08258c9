"""How figures look: colours that colour-blind readers tell apart, few lines, quiet axes."""

from itertools import cycle, islice

from matplotlib.axes import Axes

__all__ = ["INK", "NOTE", "looks", "quiet_axes"]

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


def quiet_axes(axes: Axes) -> None:
    """A light grid below the data, one spine, no ticks."""
    axes.grid(visible=True, color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#AAAAAA")
