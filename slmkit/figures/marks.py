"""Marks that several figures share: rows of dots with intervals, stacked bars, labels that do not collide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from slmkit.figures import CYCLE, FAINT, INK, MARKERS, ROLES, Look, interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "---", "+++", "ooo", "|||", "**", "//", "xx")
GROUPS = {  # kinds of real models: look, and what it stands for
    "specialist": (ROLES["specialist"], "small, tuned for tools"),
    "small": (ROLES["slm"], "small, general (under 10 bn)"),
    "between": (Look("#8A7A00", "^"), "between, or a vendor's small tier"),
    "large": (ROLES["llm"], "large (30 bn and more, or closed)"),
}
SIDES = (  # where a name may stand beside its point: shift in points, alignments
    (5, 4, "left", "bottom"),
    (-5, 4, "right", "bottom"),
    (0, 6, "center", "bottom"),
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, -7, "center", "top"),
    (6, -6, "left", "top"),
    (-6, -6, "right", "top"),
)


def looks(names: Iterable[str], roles: Mapping[str, str] | None = None) -> dict[str, Look]:
    """A look for each name: that of its role, or the next free colour and marker."""
    free = iter([Look(*pair) for pair in zip(CYCLE, MARKERS, strict=True)] * 4)
    return {name: ROLES[roles[name]] if roles and name in roles else next(free) for name in names}


def group_of(table: pd.DataFrame, tuned: str = "specialist") -> pd.Series:
    """The kind of each real model: its size, or `specialist` for a small one tuned for tool calls."""
    return table["size"].mask((table["size"] == "small") & table[tuned].astype(bool), "specialist")


def group_key(figure: Figure, groups: Iterable[str]) -> None:
    """A key of the kinds of models present, below the axes."""
    from matplotlib.lines import Line2D

    present = set(groups)
    handles = [
        Line2D([], [], linestyle="", marker=look.marker, color=look.colour, label=meaning)
        for name, (look, meaning) in GROUPS.items()
        if name in present
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)


def rows_axis(axes: Axes, labels: Sequence[str]) -> np.ndarray:
    """Give the axes one row a label, the first on top, with faint guides; returns the heights of the rows."""
    y = np.arange(len(labels))[::-1].astype(float)
    axes.set_yticks(y, labels)
    axes.set_ylim(-0.75, len(labels) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", linestyle=":", linewidth=0.8)
    axes.spines["left"].set_visible(False)
    return y


def forest(
    axes: Axes,
    table: pd.DataFrame,
    labels: Sequence[str],
    row_looks: Sequence[Look],
    notes: Sequence[str] = (),
    hollow: Sequence[bool] | None = None,
) -> None:
    """One row an entry: `estimate` with `low` to `high` (no line where missing), notes at the right."""
    y = rows_axis(axes, labels)
    for i, row in enumerate(table.itertuples()):
        fill = {"mfc": "white"} if hollow is not None and hollow[i] else {}
        low, high = (row.estimate if np.isnan(end) else end for end in (row.low, row.high))
        interval(axes, [row.estimate], [y[i]], [low], [high], row_looks[i], **fill)
    for at, note in zip(y, notes, strict=False):
        axes.text(1.01, at, note, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)


def stacked(axes: Axes, shares: pd.DataFrame, colours: Sequence[str], least: float = 0.055) -> None:
    """One bar a row of `shares` (fractions that sum to 1), a hatched segment a column, with its share."""
    y, left = rows_axis(axes, [str(label) for label in shares.index]), np.zeros(len(shares))
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
    for name, colour, hatch in zip(shares.columns, cycle(colours), cycle(HATCHES), strict=False):
        width = shares[name].to_numpy()
        axes.barh(y, width, 0.62, left, label=name, color=colour, hatch=hatch, edgecolor="white", linewidth=0.8)
        for at, start, share in zip(y, left, width, strict=True):
            if share >= least:
                style = {"ha": "center", "va": "center", "fontsize": 8, "color": INK, "bbox": box}
                axes.text(start + share / 2, at, f"{share:.0%}", **style)
        left = left + width
    axes.set_xlim(0, 1)
    axes.grid(visible=False)


def threshold(axes: Axes, x: float, text: str) -> None:
    """A grey reference line across the rows, with its name at the foot."""
    axes.axvline(x, color=ROLES["reference"].colour, linewidth=1, linestyle="--", zorder=1)
    foot = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "bottom"}
    axes.annotate(text, (x, 0), xytext=(3, 2), fontsize=8, color=FAINT, path_effects=_halo(), **foot)


def plain_log(axes: Axes, axis: str = "x", template: str = "{:g}") -> None:
    """A log axis whose ticks are plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import LogLocator, NullLocator

    getattr(axes, f"set_{axis}scale")("log")
    side = getattr(axes, f"{axis}axis")
    side.set_major_locator(LogLocator(subs=(1, 2, 5)))
    side.set_minor_locator(NullLocator())
    side.set_major_formatter(lambda value, _: template.format(value))


def name_points(axes: Axes, points: Sequence[tuple[float, float, str]], **options: Any) -> None:
    """Write names beside points, in order and clear of all of them; one that fits nowhere is left out."""
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    pixels = axes.transData.transform([(x, y) for x, y, _ in points])
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in pixels]
    for x, y, name in (point for point in points if point[2]):
        for dx, dy, ha, va in SIDES:
            style = {"ha": ha, "va": va, "fontsize": 8, "color": INK, "path_effects": _halo()} | options
            text = axes.annotate(name, (x, y), (dx, dy), textcoords="offset points", **style)
            box = text.get_window_extent().padded(1)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and all(box.x1 < a or box.x0 > c or box.y1 < b or box.y0 > d for a, b, c, d in taken):
                taken.append((box.x0, box.y0, box.x1, box.y1))
                break
            text.remove()


def _halo() -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.5, foreground="white")]
