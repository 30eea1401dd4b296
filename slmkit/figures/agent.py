"""Figures of routing: cost against success, recorded outcomes, signals; each takes a tidy table.

The finding is the title, given by the caller. Intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit.figures import CYCLE, INK, ROLES, Look, canvas, interval, marks, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARMS: Mapping[str, Look] = {
    "small alone": ROLES["slm"],
    "large alone": ROLES["llm"],
    "cascade": ROLES["router"],
    "cascade, large gone": Look("#8A7A00", "v"),
    "cascade, no guardrails": Look("#999999", "o"),
    "split by kind": Look("#E69F00", "P"),
    "pre-call router": Look("#56B4E9", "X"),
    "random mix": Look("#666666", "d"),
    "oracle": Look("#009E73", "*"),
}
LINES = {"oracle": "--", "random": ":"}  # of a router's curve; others are drawn through
RULINGS = {"non-inferior": ROLES["specialist"], "inferior": ROLES["slm"], "inconclusive": Look("#8C8C8C", "o")}


def look_of(name: str) -> Look:
    """The look of an arm, in whatever wordings; one that is not known is grey."""
    return ARMS.get(name.removesuffix(", known wordings"), Look("#8C8C8C", "o"))


def frontier(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Success against USD a task (`mixed.frontier`): trace of the threshold, random mixing, rivals, bound."""
    figure, (axes,) = canvas(title, subtitle, width=9.4, height=5.4)
    usd, success = table["usd"] * 1e3, table["success"]
    ends = table["arm"].isin(["small alone", "large alone"])
    axes.plot(usd[ends], success[ends], ":", color=ROLES["reference"].colour, lw=1.4, zorder=1)
    trace = table["arm"] == "trace"
    order = usd[trace].argsort()
    style = {"color": ROLES["router"].colour, "lw": 1.6, "ms": 4, "alpha": 0.75}
    axes.plot(usd[trace].iloc[order], success[trace].iloc[order], "-o", zorder=2, **style)
    named = []
    for row in table[~trace].itertuples():
        look = look_of(row.arm)
        x, y = row.usd * 1e3, row.success
        size = 11 if row.arm in ("cascade", "oracle") else 8
        thin = {"lw": 1.1, "alpha": 0.75, "ms": size, "zorder": 3}
        interval(axes, [x], [y], [row.usd_low * 1e3], [row.usd_high * 1e3], look, **thin)
        interval(axes, [x], [y], [row.success_low], [row.success_high], look, horizontal=False, **thin)
        named.append((x, y, row.arm if row.arm != "cascade" else f"cascade, {row.share:.0%} of the large calls"))
    percent(axes, "y")
    low, high = table["usd_low"].min() * 1e3, table["usd_high"].max() * 1e3
    axes.set(xlabel="USD per thousand tasks", ylabel="tasks solved")
    axes.set_xlim(max(0, low - 0.06 * (high - low)), high + 0.06 * (high - low))
    axes.set_ylim(min(0.0, table["success_low"].min()) - 0.02, min(1.04, table["success_high"].max() + 0.06))
    marks.name_points(axes, named)
    keys = [axes.plot([], [], "-o", color=ROLES["router"].colour, ms=4, label="threshold of the cascade")[0],
            axes.plot([], [], ":", color=ROLES["reference"].colour, label="whole tasks by chance")[0]]  # fmt: skip
    figure.legend(handles=keys, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure


def arms(table: pd.DataFrame, title: str, subtitle: str = "", axis: str = "tasks solved (95 %)") -> Figure:
    """Share by arm, one row an arm (arm, n, estimate, low, high)."""
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=1.7 + 0.42 * len(table))
    notes = [f"{row.estimate:.0%}, n = {row.n}" for row in table.itertuples()]
    marks.forest(axes, table, list(table["arm"]), [look_of(arm) for arm in table["arm"]], notes)
    percent(axes)
    axes.set(xlim=(-0.02, 1.02), xlabel=axis)
    return figure


def differences(
    table: pd.DataFrame,
    label: str,
    title: str,
    subtitle: str = "",
    margin: float = 0.0,
    axis: str = "",
    notes: Sequence[str] = (),
) -> Figure:
    """Differences with intervals (difference, low, high, ruling, n) by row, the margin shaded."""
    rows = table.rename(columns={"difference": "estimate"})
    figure, (axes,) = canvas(title, subtitle, width=10.5, height=1.8 + 0.34 * len(rows))
    notes = notes or [f"{row.ruling}, n = {row.n:,}" for row in rows.itertuples()]
    looks = [RULINGS[ruling] for ruling in rows["ruling"]]
    marks.forest(axes, rows, list(rows[label]), looks, notes)
    axes.axvline(0, color=INK, lw=1)
    if margin:
        axes.axvspan(-margin, 0, color="#000000", alpha=0.07, zorder=0)
        marks.threshold(axes, -margin, f"allowed loss, {margin * 100:.0f} points")
    reach = max(0.05, rows["high"].max(), -rows["low"].min(), margin) * 1.08
    axes.set(xlim=(-reach, reach), xlabel=axis)
    percent(axes)
    return figure


def trade_off(curves: pd.DataFrame, panel: str, title: str, subtitle: str = "") -> Figure:
    """Quality against the share of large calls, one panel a set (columns `panel`, who, share, quality)."""
    panels = list(curves[panel].unique())
    figure, axes = canvas(title, subtitle, len(panels), width=4.9 * len(panels), height=4.2)
    who = list(dict.fromkeys(curves["who"]))
    fixed = {"oracle": ARMS["oracle"].colour, "random": ROLES["reference"].colour}
    free = iter([colour for colour in CYCLE if colour not in fixed.values()])
    colours = {name: fixed.get(name) or next(free) for name in who}
    for place, (name, part) in enumerate(curves.groupby(panel, sort=False)):
        for router, rows in part.groupby("who", sort=False):
            line = LINES.get(str(router), "-")
            axes[place].plot(rows["share"], rows["quality"], line, color=colours[str(router)], lw=1.8)
        percent(axes[place], "x")
        percent(axes[place], "y")
        axes[place].set(xlabel="share of calls to the large model", ylabel="right answers" if not place else "")
        axes[place].text(0.98, 0.03, str(name), transform=axes[place].transAxes, ha="right", fontsize=10, color=INK,
                         fontweight="bold")  # fmt: skip
    handles = [axes[0].plot([], [], LINES.get(name, "-"), color=colours[name], label=name)[0] for name in who]
    figure.legend(handles=handles, loc="outside lower left", ncols=5, fontsize=8.5)
    return figure


def areas(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """APGR by router and set (who, set, apgr, apgr_low, apgr_high, published): ours with intervals, theirs hollow."""
    sets = list(dict.fromkeys(table["set"]))
    height = 1.9 + 0.34 * table.groupby("set").size().max()
    figure, axes = canvas(title, subtitle, len(sets), width=5.6 * len(sets), height=height)
    for place, name in enumerate(sets):
        rows = table[(table["set"] == name) & (table["who"] != "oracle")]
        rows = rows.sort_values(["published", "apgr"], ascending=[True, False])
        rows = rows.rename(columns={"apgr": "estimate", "apgr_low": "low", "apgr_high": "high"})
        labels = [f"{row.who}{' (RouteLLM)' if row.published else ''}" for row in rows.itertuples()]
        theirs = ROLES["reference"]._replace(marker="s")
        looks = [theirs if published else ROLES["router"] for published in rows["published"]]
        marks.forest(axes[place], rows, labels, looks, [f"{e:.2f}" for e in rows["estimate"]], list(rows["published"]))
        marks.threshold(axes[place], 0.5, "at random")
        axes[place].set(xlabel=f"{str(name).upper()}: mean share of the gap recovered (APGR)", xlim=(0.4, 0.85))
    return figure


def needed(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Left: accuracy of small, large and of an oracle by pair; right: the share of items that needs the large model."""
    rows = table.sort_values("estimate")
    figure, (left, right) = canvas(title, subtitle, 2, width=11.5, height=1.9 + 0.36 * len(rows), sharey=True)
    y = marks.rows_axis(left, list(rows["pair"]))
    for role, column in (("slm", "small"), ("llm", "large")):
        left.plot(rows[column], y, ROLES[role].marker, color=ROLES[role].colour, ms=6, ls="")
    left.plot(rows["oracle"], y, ARMS["oracle"].marker, color=ARMS["oracle"].colour, ms=9, ls="")
    left.hlines(y, rows["small"], rows["oracle"], color="#CCCCCC", lw=1.2, zorder=0)
    for row, at in zip(rows.itertuples(), y, strict=True):
        look = ROLES["specialist"] if row.tuned else ROLES["slm"]
        interval(right, [row.estimate], [at], [row.low], [row.high], look)
        right.text(1.01, at, f"{row.estimate:.0%}", transform=right.get_yaxis_transform(), va="center", fontsize=8.5)
    right.set_ylim(left.get_ylim())
    right.tick_params(axis="y", length=0)
    for axes in (left, right):
        percent(axes)
    left.set_xlabel("items right: small (dot), large (square), oracle (star)")
    right.set(xlabel="items that only the large model solves (95 %)", xlim=(0, None))
    handles = [right.plot([], [], ROLES[role].marker, color=ROLES[role].colour, ls="", label=says)[0]
               for role, says in (("specialist", "small, tuned for tools"), ("slm", "small, general"))]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure


def predictors(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """How well each signal foretells a failed run (AUROC), one panel an agent (`traces.predictors`)."""
    agents = list(dict.fromkeys(table["agent"]))
    height = 1.9 + 0.4 * table["signal"].nunique()
    figure, axes = canvas(title, subtitle, len(agents), width=3.1 * len(agents) + 1.6, height=height, sharey=True)
    for place, agent in enumerate(agents):
        rows = table[table["agent"] == agent]
        looks = [look_at(row.low, row.high) for row in rows.itertuples()]
        marks.forest(axes[place], rows, list(rows["says"]), looks)
        axes[place].axvline(0.5, color=INK, lw=1)
        failed = f"{int(rows['failed'].iloc[0])} of {int(rows['n'].iloc[0])} failed"
        axes[place].set(xlim=(0.1, 1.0), xlabel=f"AUROC\n{agent}: {failed}")
        axes[place].set_xticks([0.25, 0.5, 0.75, 1.0])
    return figure


def look_at(low: float, high: float, null: float = 0.5) -> Look:
    """Green where surely above, orange where surely below, grey where neither."""
    return ROLES["specialist"] if low > null else ROLES["slm"] if high < null else Look("#8C8C8C", "o")


def calibration(table: pd.DataFrame, title: str, subtitle: str = "", bins: int = 8) -> Figure:
    """Left: foretold risk against wrong replies, in bins of equal size; right: risk of right and of wrong replies.

    Columns risk, wrong.
    """
    figure, (left, right) = canvas(title, subtitle, 2, width=10, height=4)
    order = table.sort_values("risk")
    parts = [part for part in np.array_split(np.arange(len(order)), min(bins, max(1, len(order) // 4))) if len(part)]
    x = [order["risk"].iloc[part].mean() for part in parts]
    y = [order["wrong"].iloc[part].mean() for part in parts]
    left.plot([0, 1], [0, 1], ":", color=ROLES["reference"].colour)
    left.plot(x, y, "-o", color=ROLES["router"].colour)
    left.set(xlabel="risk that the score foretells", ylabel="replies that were wrong", xlim=(0, 1), ylim=(-0.02, 1.02))
    for wrong, look in ((False, ROLES["specialist"]), (True, ROLES["slm"])):
        values = np.sort(table.loc[table["wrong"].astype(bool) == wrong, "risk"])
        if len(values):
            name = f"{'wrong' if wrong else 'right'} replies, n = {len(values)}"
            right.step(values, np.arange(1, len(values) + 1) / len(values), color=look.colour, lw=1.8, label=name)
    right.set(xlabel="risk that the score foretells", ylabel="share of replies up to there", xlim=(0, 1))
    right.legend(loc="best", fontsize=8.5)
    for axis in ("x", "y"):
        percent(left, axis)
        percent(right, axis)
    return figure
