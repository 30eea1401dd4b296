"""Figures of devices, list prices and parameters in use; each takes a tidy table.

The finding is the title, given by the caller; intervals are 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit.figures import CYCLE, INK, ROLES, Look, canvas, marks
from slmkit.figures.economics import short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPEN, CLOSED = Look(ROLES["llm"].colour, "s"), Look("#8A7A00", "d")
ORDER = ("phone", "laptop", "desktop GPU", "desktop", "board")


def device_map(table: pd.DataFrame, title: str, subtitle: str = "", line_b: float = 10.0, bar: float = 10.0) -> Figure:
    """Tokens/s of each size on each device in 4 bit; grey where it does not fit; the line of the definition drawn.

    Takes `edge.fit_map` at one precision. Bold where the bar is reached.
    """
    from matplotlib.colors import LogNorm

    rows = table.sort_values(["device_class", "memory_bytes", "device"])
    order = [name for kind in ORDER
             for name in dict.fromkeys(rows.loc[rows["device_class"] == kind, "device"])]  # fmt: skip
    wide = rows.pivot_table(index="device", columns="params_b", values="tok_s").loc[order]
    holds = (
        rows.assign(fits=rows["fits"].astype(float))
        .pivot_table(index="device", columns="params_b", values="fits")
        .loc[order]
    )
    speed = np.ma.masked_where(holds.to_numpy() < 0.5, wide.to_numpy())
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.6 + 0.235 * len(wide))
    axes.set_facecolor("#DDDDDD")
    axes.imshow(speed, norm=LogNorm(1, 1000), cmap="YlGnBu", aspect="auto")
    for i, j in np.ndindex(wide.shape):
        if speed.mask[i, j] if np.ma.is_masked(speed) else False:
            continue
        value = speed[i, j]
        axes.text(j, i, f"{value:,.0f}" if value >= 10 else f"{value:.1f}", ha="center", va="center", fontsize=7.5,
                  fontweight="bold" if value >= bar else "normal", color="white" if value > 45 else INK)  # fmt: skip
    memory = rows.drop_duplicates("device").set_index("device")["memory_bytes"]
    axes.set_xticks(range(wide.shape[1]), [f"{size:.2g} bn" for size in wide.columns])
    axes.set_yticks(range(len(wide)), [f"{name}  {memory[name] / 2**30:.0f} GB" for name in order], fontsize=8)
    axes.axvline(float(np.searchsorted(wide.columns, line_b)) - 0.5, color="#B00020", lw=2)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_xlabel(f"dense model, 4 bit; red: {line_b:g} bn; grey: does not fit; bold: {bar:g} tokens/s or more")
    return figure


def size_line(table: pd.DataFrame, title: str, subtitle: str = "", floor: float = 7, ceiling: float = 20) -> Figure:
    """The largest dense size that at least half of a set of devices run (columns what, group, estimate, low, high)."""
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.8 + 0.36 * len(table))
    looks = {
        name: Look(CYCLE[number], marks.MARKERS[number]) for number, name in enumerate(dict.fromkeys(table["group"]))
    }
    notes = [f"{row.estimate:.3g} [{row.low:.2g}, {row.high:.2g}] bn" for row in table.itertuples()]
    axes.axvspan(floor, ceiling, color="#F3E3B3", zorder=0, lw=0)
    marks.forest(axes, table, list(table["what"]), [looks[group] for group in table["group"]], notes)
    marks.plain_log(axes)
    axes.axvline(10, color="#B00020", lw=1.2)
    axes.set_xlabel(
        f"bn parameters, dense, at 10 tokens/s (log); shaded: {floor:g} to {ceiling:g}; red: the paper's 10"
    )
    return figure


def price_ratios(table: pd.DataFrame, title: str, subtitle: str = "", bar: float = 100) -> Figure:
    """List price over an 8 bn model's, by rival, median and range over providers (`prices.medians`)."""
    rows = table.sort_values(["open", "estimate"], ascending=[False, True])
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.7 + 0.36 * len(rows))
    looks = [OPEN if is_open else CLOSED for is_open in rows["open"].astype(bool)]
    notes = [
        f"{short(row.estimate)}, n = {row.n}"
        + (f" [{short(row.low)}, {short(row.high)}]" if np.isfinite(row.low) else ", one provider")
        for row in rows.itertuples()
    ]
    marks.forest(axes, rows, list(rows["rival"]), looks, notes, hollow=list(~np.isfinite(rows["low"])))
    marks.plain_log(axes)
    marks.threshold(axes, bar, f"{bar:g} times")
    axes.set_xlabel("list price over that of an open 8 bn model (log, 95 % bootstrap over providers)")
    shapes = [
        axes.plot([], [], look.marker, color=look.colour, label=name)[0]
        for name, look in (("open, same provider", OPEN), ("closed, against open providers", CLOSED))
    ]
    figure.legend(handles=shapes, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure


def units_in_use(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Share of feed-forward units that carry 90 % of the activation mass, larger minus smaller model, by part."""
    rows = table.rename(columns={"difference": "estimate"})
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=1.7 + 0.4 * len(rows))
    notes = [
        f"{row.large:.0f} % minus {row.small:.0f} %: {row.estimate:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
        for row in rows.itertuples()
    ]
    marks.forest(axes, rows, list(rows["part"]), [Look(INK, "o")] * len(rows), notes)
    axes.axvline(0, color=INK, lw=1)
    marks.threshold(axes, -5, "5 points fewer")
    axes.set_xlabel("share of units, larger minus smaller model, points (95 %)")
    return figure
