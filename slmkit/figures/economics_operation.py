"""Figures of operating and tuning: shared adapters, traffic, fixed cost, payback, energy.

Each takes a tidy table; the finding is the title, given by the caller; intervals are 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit.figures import CYCLE, INK, ROLES, Look, canvas, interval, marks, percent
from slmkit.figures.economics import money

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPES = (Look(CYCLE[0], "o"), Look(CYCLE[1], "s"), Look(CYCLE[2], "D"))


def shared_base(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Cost of k own endpoints over k adapters on one base, against k, one line a load (`operation.shared_base`)."""
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=4.6)
    for (load, rows), colour in zip(table.groupby("load_share"), CYCLE, strict=False):
        axes.fill_between(rows["k"], rows["low"], rows["high"], color=colour, alpha=0.12, lw=0)
        axes.plot(rows["k"], rows["cost_ratio"], "-o", color=colour, ms=5)
        last = rows.iloc[-1]
        axes.annotate(
            f"{load:.0%} load each",
            (last["k"], last["cost_ratio"]),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=colour,
        )
    marks.plain_log(axes)
    marks.plain_log(axes, "y")
    axes.set(xlabel="adapters, or endpoints (log)", ylabel="own endpoints over one shared base, cost (log)")
    axes.set_xlim(0.9, table["k"].max() * 2)
    return figure


def demand_curves(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Busy share and USD a thousand requests against the mean load, by shape of the day (`operation.demand_curves`)."""
    figure, (left, right) = canvas(title, subtitle, 2, width=10.5, height=4.2)
    for (shape, rows), look in zip(table.groupby("shape", sort=False), SHAPES, strict=False):
        left.plot(
            rows["mean_rps"],
            rows["utilization"],
            color=look.colour,
            lw=1.8,
            label=f"{shape} (peak {rows['peak_to_mean'].iloc[0]:.2g}x the mean)",
        )
        right.plot(rows["mean_rps"], rows["usd_per_1k_requests"], color=look.colour, lw=1.8)
        right.plot(
            rows["mean_rps"].iloc[::6], rows["usd_per_1k_requests"].iloc[::6], look.marker, color=look.colour, ms=5
        )
        left.plot(rows["mean_rps"].iloc[::6], rows["utilization"].iloc[::6], look.marker, color=look.colour, ms=5)
    for axes in (left, right):
        marks.plain_log(axes)
        axes.set_xlabel("mean requests a second (log)")
    percent(left, "y")
    left.set(ylabel="busy share over the day", ylim=(0, 1))
    money(right)
    right.set_ylabel("USD per thousand requests (log)")
    figure.legend(loc="outside lower left", ncols=3, fontsize=8.5)
    return figure


def fixed_cost(table: pd.DataFrame, title: str, subtitle: str = "", bar: float = 1e9) -> Figure:
    """Tokens a month at which an own endpoint equals the cheaper API, by fixed cost; open ends run off the axis."""
    rows = table.replace(np.inf, 1e13)
    rows = rows.assign(high=rows["high"].clip(upper=1e13), estimate=rows["estimate"].clip(upper=1e13))
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=1.8 + 0.42 * len(rows))
    notes = [f"{'never at the middle of all ranges' if row.estimate >= 1e13 else f'{row.estimate / 1e9:,.3g} bn'}; "
    f"reached in {row.reached:.0%} of draws"
             for row in rows.itertuples()]  # fmt: skip
    labels = [f"USD {usd:,.0f} a month" for usd in rows["fixed_usd_per_month"]]
    marks.forest(axes, rows, labels, [ROLES["slm"]] * len(rows), notes)
    axes.set_xscale("log")
    axes.axvline(bar, color="#B00020", lw=1.2, ls="--")
    axes.set(xlabel="tokens a month at break-even (log); dashed: one billion", xlim=(3e8, 1e13))
    return figure


def payback(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Tasks until development is repaid, by LLM price, without and with refreshes (`operation.payback`)."""
    refreshes = sorted(table["refreshes"].unique())
    groups = table.assign(offer=table["llm"] + " by " + table["provider"])
    order = groups[groups["refreshes"] == 0].sort_values("tasks")["offer"]
    figure, (axes,) = canvas(title, subtitle, width=9.6, height=2 + 0.5 * len(order))
    y = marks.rows_axis(
        axes,
        [
            f"{offer} (${groups.set_index('offer').loc[[offer], 'llm_usd_per_task'].iloc[0] * 1e3:,.2g} a thousand "
            "tasks)"
            for offer in order
        ],
    )
    for count, shift, colour in zip(refreshes, np.linspace(0.24, -0.24, len(refreshes)), CYCLE[1:], strict=False):
        rows = groups[groups["refreshes"] == count].set_index("offer").loc[order]
        look = Look(colour, marks.MARKERS[refreshes.index(count)])
        interval(axes, rows["tasks"], y + shift, rows["low"], rows["high"].clip(upper=1e9), look)
        axes.plot([], [], look.marker, color=look.colour, label=f"{count:g} refreshes")
    axes.set_xscale("log")
    for bar, text in ((1e5, "100,000"), (1e6, "1,000,000")):
        marks.threshold(axes, bar, text)
    axes.set_xlabel("tasks until labels, GPU hours, evaluation and people are repaid (log, 95 %)")
    figure.legend(loc="outside lower left", ncols=3, fontsize=8.5)
    return figure


def development(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """What a development round is spent on, USD with intervals (`operation.development`)."""
    rows = table.rename(columns={"usd": "estimate"})
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=1.6 + 0.38 * len(rows))
    notes = [f"${row.estimate:,.0f}  [{row.low:,.0f}, {row.high:,.0f}]" for row in rows.itertuples()]
    marks.forest(axes, rows, list(rows["part"]), [Look(INK, "o")] * len(rows), notes)
    axes.set_xscale("log")
    axes.set_xlim(rows["low"].min() / 2, rows["high"].max() * 2)
    money(axes, "x")
    axes.set_xlabel("USD a development round (log, 95 %)")
    return figure


def energy(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Joules a token against batch: GPUs alone (line, interval), whole server (dashed) (`serving.energy_table`)."""
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=4.8)
    looks = marks.looks(dict.fromkeys(table["model"]))
    for number, (model, rows) in enumerate(table.groupby("model", sort=False)):
        look, shift = looks[model], 1 + 0.06 * number
        interval(axes, rows["batch"] * shift, rows["joules"], rows["low"], rows["high"], look, horizontal=False)
        axes.plot(rows["batch"] * shift, rows["joules"], color=look.colour, lw=1.5)
        axes.plot(rows["batch"] * shift, rows["server_joules"], "--", color=look.colour, lw=1, alpha=0.7)
        last = rows.iloc[-1]
        axes.annotate(
            model,
            (last["batch"] * shift, last["joules"]),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=look.colour,
        )
    for axis in ("x", "y"):
        marks.plain_log(axes, axis)
    axes.set(
        xlabel="requests at once (log)", ylabel="joules an output token (log)", xlim=(0.85, table["batch"].max() * 4)
    )
    return figure
