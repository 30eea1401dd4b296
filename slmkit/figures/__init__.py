"""One style for every figure: a fixed colour and marker for each role, the finding as title, the scale in sight.

The style lives here; the figures of an argument live in the module of its name (`figures.capability`, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Look(NamedTuple):
    """How a role looks in every figure of every notebook; the marker keeps it readable without colour."""

    colour: str
    marker: str


# Okabe-Ito colours, which people with the common colour-vision deficiencies can tell apart.
ROLES: Mapping[str, Look] = {
    "llm": Look("#0072B2", "s"),
    "slm": Look("#D55E00", "o"),
    "specialist": Look("#009E73", "D"),
    "router": Look("#CC79A7", "^"),
    "reference": Look("#666666", "|"),
}
CYCLE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A7A00", "#666666")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
INK, FAINT = "#222222", "#8C8C8C"

_STYLE: dict[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.labelsize": 10,
    "axes.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "font.size": 10,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.12,
    "svg.hashsalt": "slmkit",  # with no date in the metadata, the same figure gives the same bytes
    "svg.fonttype": "path",
}

_evidence = True


def use_style(evidence: bool = True) -> None:
    """Set the house style for this process; with `evidence=False` each figure is stamped as a smoke run."""
    import matplotlib as mpl
    import seaborn as sns

    global _evidence
    _evidence = evidence
    sns.set_theme(context="notebook", style="ticks", palette=list(CYCLE))
    mpl.rcParams.update(_STYLE)


def canvas(
    title: str,
    subtitle: str = "",
    ncols: int = 1,
    width: float = 8.0,
    height: float = 4.2,
    **options: Any,
) -> tuple[Figure, np.ndarray]:
    """A figure with its finding as a left-aligned title, `ncols` axes in an array, and the stamp where it is due.

    `width` and `height` are inches; `options` go to `plt.subplots`.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, ncols, figsize=(width, height), squeeze=False, layout="constrained", **options)
    plt.close(figure)  # shown by the cell that returns it, not a second time by the backend
    figure.suptitle(title, x=0.01, ha="left", fontsize=12.5, fontweight="bold", color=INK, wrap=True)
    if subtitle:
        axes[0, 0].set_title(subtitle, loc="left", fontsize=9.5, color=FAINT, pad=10)
    if not _evidence:
        figure.text(
            0.5, 0.5, "smoke run – not evidence", fontsize=26, color="#B00020", alpha=0.16,
            ha="center", va="center", rotation=18, zorder=10,
        )  # fmt: skip
    return figure, axes[0]


def interval(
    axes: Axes, x: Any, y: Any, low: Any, high: Any, look: Look, *, horizontal: bool = True, **options: Any
) -> None:
    """A dot with its interval, given as ends and not as lengths; vertical when `horizontal` is False."""
    lengths = [[abs(v - a) for v, a in zip(x if horizontal else y, low, strict=True)]]
    lengths.append([abs(b - v) for v, b in zip(x if horizontal else y, high, strict=True)])
    style = {"fmt": look.marker, "color": look.colour, "ms": 6, "lw": 1.6, "capsize": 0} | options
    axes.errorbar(x, y, **{"xerr" if horizontal else "yerr": lengths}, **style)


def percent(axes: Axes, axis: str = "x") -> None:
    """Show a 0-to-1 axis in percent."""
    from matplotlib.ticker import PercentFormatter

    getattr(axes, f"{axis}axis").set_major_formatter(PercentFormatter(1.0, decimals=0))
