"""Figures of what a cost rests on: what moves it, what a task costs, predicted against measured.

Each takes a tidy table; the finding is the title, given by the caller; intervals are 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit.figures import INK, ROLES, canvas, marks
from slmkit.figures.economics import money

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def tornado(table: pd.DataFrame, title: str, subtitle: str = "", bar: float = 1.0) -> Figure:
    """Low-high bars of each input around the base result, widest on top; those that cross `bar` are full colour."""
    figure, (axes,) = canvas(title, subtitle, width=10.5, height=1.7 + 0.42 * len(table))
    y = marks.rows_axis(axes, list(table["input"]))
    for at, row in zip(y, table.itertuples(), strict=True):
        alpha = 1.0 if row.flips else 0.45
        for end, colour in ((row.at_low, ROLES["slm"].colour), (row.at_high, ROLES["llm"].colour)):
            axes.barh(
                at,
                end - row.base,
                0.58,
                row.base,
                color=colour,
                alpha=alpha,
                hatch="" if end == row.at_low else "///",
                ec="white",
            )
        note = f"{row.input_low:.3g} to {row.input_high:.3g}{', turns the conclusion' if row.flips else ''}"
        axes.text(1.01, at, note, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    marks.plain_log(axes)
    axes.axvline(table["base"].iloc[0], color=INK, lw=1)
    axes.axvline(bar, color="#B00020", lw=1.2, ls="--")
    axes.set_xlabel("large over small, cost a solved task (log); plain: input at its low end, hatched: at its high end")
    return figure


def offers(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """USD a thousand solved tasks of each way to buy them, with intervals (`workloads.tasks`)."""
    rows = table.sort_values("usd_per_1k_tasks").rename(columns={"usd_per_1k_tasks": "estimate"})
    figure, (axes,) = canvas(title, subtitle, width=9.5, height=1.6 + 0.36 * len(rows))
    notes = [f"${row.estimate:,.2f}  [{row.low:,.2f}, {row.high:,.2f}]" for row in rows.itertuples()]
    marks.forest(axes, rows, list(rows["offer"]), [ROLES[role] for role in rows["role"]], notes)
    money(axes, "x")
    axes.set_xlabel("USD per thousand solved tasks (log, 95 %)")
    return figure


def uses(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Large over small a solved task in each of five uses, with what was compared (`studies.uses.table`)."""
    rows = table.replace(np.inf, np.nan).rename(columns={"ratio": "estimate"})
    figure, (axes,) = canvas(title, subtitle, width=11.5, height=1.7 + 0.5 * len(rows))
    notes = [
        "no large model does"
        if row.only
        else f"{row.estimate:.2g} [{row.low:.2g}, {row.high:.2g}]\n{row.slm_way} | {row.llm_way}"
        for row in rows.itertuples()
    ]
    marks.forest(axes, rows, list(rows["use"]), [ROLES["slm"]] * len(rows), notes)
    marks.plain_log(axes)
    axes.axvline(1, color=INK, lw=1)
    axes.set_xlabel("cheapest large over cheapest small way, a solved task (log, 95 %)")
    return figure


def bands(axes: Axes, values: pd.Series) -> None:
    """The diagonal over the span of `values`, with a factor 1.5 and 2 around it shaded, on log axes."""
    ends = np.array([values.min(), values.max()])
    for factor, alpha in ((2.0, 0.06), (1.5, 0.09)):
        axes.fill_between(ends, ends / factor, ends * factor, color="#000000", alpha=alpha, lw=0)
    axes.plot(ends, ends, color=INK, lw=1)
    axes.set(xscale="log", yscale="log")


def predicted_against_measured(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Predicted against published tokens/s, dense and sparse, bands of a factor 1.5 and 2 (`published.scatter`)."""
    figure, panels = canvas(title, subtitle, 2, width=10.5, height=4.9, sharey=True)
    for axes, (kind, colour) in zip(
        panels, (("dense", ROLES["llm"].colour), ("moe", ROLES["router"].colour)), strict=True
    ):
        rows = table[table["kind"] == kind]
        bands(axes, table["out_tok_s_total"])
        axes.plot(
            rows["out_tok_s_total"], rows["predicted"], "o", ms=2.2, alpha=0.35, color=colour, mew=0, rasterized=True
        )
        off = (rows["ratio"] - 1).abs()
        said = (
            f"{'dense' if kind == 'dense' else 'sparse'}: n = {len(rows):,}, median error {off.median():.0%}, p90 "
            f"{off.quantile(0.9):.0%}"
        )
        axes.text(0.03, 0.97, said, transform=axes.transAxes, va="top", fontsize=9)
        axes.set_xlabel("published tokens/s of all GPUs (log)")
    panels[0].set_ylabel("predicted tokens/s (log)")
    return figure


def latency_against_measured(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Predicted against published mean TTFT and TPOT in ms, by engine, with bands (`published.latencies`)."""
    figure, panels = canvas(title, subtitle, 2, width=10.5, height=4.9)
    looks = marks.looks(sorted(table["engine"].unique()))
    names = {"ttft": "time to the first token, ms (log)", "tpot": "time a token, ms (log)"}
    for axes, (what, label) in zip(panels, names.items(), strict=True):
        part = table[table["what"] == what]
        bands(axes, part["measured_s"] * 1e3)
        for at, (engine, rows) in enumerate(part.groupby("engine")):
            look, off = looks[engine], (rows["ratio"] - 1).abs()
            axes.plot(
                rows["measured_s"] * 1e3, rows["predicted_s"] * 1e3, look.marker, ms=2.6, alpha=0.45,
                color=look.colour, mew=0, rasterized=True,
            )  # fmt: skip
            said = f"{engine}: n = {len(rows):,}, median error {off.median():.0%}, p90 {off.quantile(0.9):.0%}"
            axes.text(0.03, 0.97 - 0.06 * at, said, transform=axes.transAxes, va="top", fontsize=9, color=look.colour)
        axes.set(xlabel=f"published {label}", ylabel="predicted, ms (log)")
    return figure


def measured_here(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Time to the first token and a token, measured on this machine (filled) and predicted (hollow), by batch."""
    figure, panels = canvas(title, subtitle, 2, width=10.5, height=4.6)
    looks = marks.looks(dict.fromkeys(table["model"]))
    names = (("ttft_s", "time to the first token, ms (log)"), ("tpot_s", "time a token, ms (log)"))
    for axes, (name, label) in zip(panels, names, strict=True):
        for model, rows in table.groupby("model", sort=False):
            look = looks[model]
            found, said = rows[name] * 1e3, rows[f"predicted_{name}"] * 1e3
            axes.plot(rows["batch"], found, "-" + look.marker, color=look.colour, ms=6, lw=1.4)
            axes.plot(rows["batch"], said, "--" + look.marker, color=look.colour, mfc="white", ms=6, lw=1)
            style = {"textcoords": "offset points", "va": "center", "fontsize": 8.5, "color": look.colour}
            axes.annotate(model, (rows["batch"].iloc[-1], found.iloc[-1]), (8, 0), **style)
        marks.plain_log(axes)
        marks.plain_log(axes, "y", "{:,g}")
        axes.set(xlabel="batch (log)", ylabel=label)
        axes.set_xlim(table["batch"].min() * 0.9, table["batch"].max() * 4)
    kinds = (("measured", INK), ("predicted", "white"))
    shapes = [panels[0].plot([], [], "o", color=INK, mfc=fill, label=name)[0] for name, fill in kinds]
    figure.legend(handles=shapes, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure
