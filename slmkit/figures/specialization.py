"""Figures of what tuning gives: the ladder, the learning curve, rank and data, calibration, ways to train.

Each takes a tidy table and returns the figure; shares are fractions, intervals 95 %. The title is the finding, given by
the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slmkit.figures import CYCLE, FAINT, INK, MARKERS, ROLES, Look, canvas, interval, marks, percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PAPER = (10_000, 100_000)  # examples that step S2 of the paper asks for


def ladder(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """One row an arm (columns name, role, set, estimate, low, high), a panel for each set, as they come."""
    sets, names = list(dict.fromkeys(points["set"])), list(dict.fromkeys(points["name"]))
    figure, axes = canvas(
        title, subtitle, len(sets), width=10.5, height=1.6 + 0.36 * len(names), sharey=True,
        width_ratios=[2.2] + [1] * (len(sets) - 1),
    )  # fmt: skip
    for panel, name in zip(axes, sets, strict=True):
        mine = points[points["set"] == name].set_index("name").reindex(names)
        notes = [f"{value:.0%}" for value in mine["estimate"]]
        marks.forest(panel, mine.reset_index(), names, [ROLES[role] for role in mine["role"]], notes)
        panel.set(xlim=(-0.02, 1.02), xlabel=f"{name}: right (95 %)")
        percent(panel)
    return figure


def learning_curve(
    points: pd.DataFrame, references: pd.DataFrame, title: str, subtitle: str = "", crossing: str = ""
) -> Figure:
    """Share right by number of examples (columns n, estimate, low, high, seeds), references as labelled bands.

    `references`: name, role, estimate, low, high. `crossing` says where the curve meets the larger model. The number
    that the paper asks for is shaded at the right.
    """
    figure, (axes,) = canvas(title, "; ".join(filter(None, (subtitle, crossing))), width=9.5, height=4.8)
    look = ROLES["specialist"]
    axes.plot(points["n"], points["estimate"], color=look.colour, lw=1.8)
    axes.fill_between(points["n"], points["low"], points["high"], color=look.colour, alpha=0.15, lw=0)
    interval(axes, points["n"], points["estimate"], points["low"], points["high"], look, horizontal=False)
    for row in points.itertuples():
        axes.annotate(
            f"{row.estimate:.0%}", (row.n, row.high), (0, 5), textcoords="offset points", ha="center", fontsize=8.5
        )
    left, right = min(points["n"].min(), 10) / 1.6, PAPER[1] * 1.2
    heights = _spread(references["estimate"].to_numpy(), 0.055)
    for row, height in zip(references.itertuples(), heights, strict=True):
        colour = ROLES[row.role].colour
        axes.axhspan(row.low, row.high, color=colour, alpha=0.08, lw=0)
        axes.axhline(row.estimate, color=colour, lw=1.2, ls="--")
        axes.text(right, height, f" {row.name} {row.estimate:.0%}", color=colour, va="center", fontsize=9)
    axes.axvspan(*PAPER, color=FAINT, alpha=0.15, lw=0)
    axes.text(np.sqrt(PAPER[0] * PAPER[1]), 1.0, "10,000 to 100,000\n(the paper)", ha="center", va="top",
              fontsize=8.5, color=INK)  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlim=(left, right), ylim=(-0.02, 1.04), xlabel="training examples", ylabel="right")
    percent(axes, "y")
    return figure


def _spread(heights: Sequence[float], gap: float) -> np.ndarray:
    """Heights moved apart so that labels at them do not collide, kept in order and above 0."""
    order = np.argsort(heights)
    moved = np.asarray(heights, dtype=float).copy()
    for place, index in enumerate(order):
        least = moved[order[place - 1]] + gap if place else 0.01
        moved[index] = max(moved[index], least)
    return moved


def rank_and_data(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Left: share right by rank and examples, annotated. Right: the task against old skills, learning and forgetting.

    Columns: name, n, rank, modules, task, old, train_seconds, trained_parameters; the base has n 0.
    """
    figure, (left, right) = canvas(title, subtitle, 2, width=10.5, height=4.6, width_ratios=[1, 1.15])
    tuned = points[points["n"] > 0]
    names = list(dict.fromkeys(tuned["name"]))
    grid = tuned.pivot_table(index="name", columns="n", values="task").reindex(names)
    seconds = tuned.pivot_table(index="name", columns="n", values="train_seconds").reindex(names)
    left.imshow(grid.to_numpy(), cmap="Greens", vmin=0, vmax=1, aspect="auto")
    for y in range(len(grid)):
        for x in range(len(grid.columns)):
            value = grid.iloc[y, x]
            if not np.isnan(value):
                colour = "white" if value > 0.6 else INK
                left.text(x, y, f"{value:.0%}\n{seconds.iloc[y, x]:.0f} s", ha="center", va="center", color=colour,
                          fontsize=9)  # fmt: skip
    left.set_xticks(range(len(grid.columns)), [f"{n:,}" for n in grid.columns])
    left.set_yticks(range(len(grid)), names)
    left.set_xlabel("training examples")
    left.grid(visible=False)
    base = points[points["n"] == 0].iloc[0]
    plane = [("base", base)] + [(f"{row['name']}, {row['n']:,}", row) for _, row in tuned.iterrows()]
    for index, (_, row) in enumerate(plane):
        look = ROLES["slm"] if index == 0 else ROLES["reference" if row["rank"] == 0 else "specialist"]
        marker = "s" if index and row["rank"] == 0 else look.marker
        right.plot([row["task"]], [row["old"]], marker, color=look.colour, ms=7)
    right.axhline(base["old"], color=FAINT, lw=1, ls="--")
    right.set(xlabel="learnt: the task", ylabel="kept: old skills")
    for axis, column in (("x", "task"), ("y", "old")):
        low, high = points[column].min(), points[column].max()
        room = max(0.05, (high - low) * 0.3)
        getattr(right, f"set_{axis}lim")(max(-0.02, low - room), min(1.02, high + room))
    marks.name_points(right, [(row["task"], row["old"], name) for name, row in plane])
    percent(right)
    percent(right, "y")
    return figure


def reliability(bins: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Share right by the probability of the answer (columns name, role, confidence, estimate, low, high, n, ece)."""
    figure, (axes,) = canvas(title, subtitle, width=7.5, height=4.8)
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
    axes.text(0.99, 0.93, "calibrated", ha="right", fontsize=8.5, color=FAINT)
    for name, group in bins.groupby("name", sort=False):
        look = ROLES[group["role"].iloc[0]]
        axes.plot(group["confidence"], group["estimate"], color=look.colour, lw=1.2)
        interval(axes, group["confidence"], group["estimate"], group["low"], group["high"], look, horizontal=False,
                 label=f"{name}: error {group['ece'].iloc[0]:.0%}, AUROC {group['auroc'].iloc[0]:.2f}")  # fmt: skip
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=1, fontsize=8.5)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="probability of the answer", ylabel="right")
    percent(axes)
    percent(axes, "y")
    return figure


def ways(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Ways to train: what each gains on the task and loses on old skills (name, part, estimate, low, high, points)."""
    parts, names = list(dict.fromkeys(points["part"])), list(dict.fromkeys(points["name"]))
    figure, axes = canvas(title, subtitle, len(parts), width=10.5, height=1.8 + 0.4 * len(names), sharey=True)
    for panel, part in zip(axes, parts, strict=True):
        mine = points[points["part"] == part].set_index("name").reindex(names).reset_index()
        looks = [ROLES["specialist" if row.low > 0 else "slm" if row.high < 0 else "reference"] for row in
                 mine.itertuples()]  # fmt: skip
        looks = [look if look.marker != "|" else Look(look.colour, "o") for look in looks]
        notes = [f"{100 * value:+.0f}" for value in mine["estimate"]]
        marks.forest(panel, mine, names, looks, notes)
        panel.axvline(0, color=INK, lw=1)
        reach = max(0.1, points["high"].max(), -points["low"].min()) * 1.05
        panel.set(xlim=(-reach, reach), xlabel=f"{part}: change over the base (95 %)")
        percent(panel)
    return figure


def sizes(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Two sizes before and after the same examples (columns size, name, tuned, estimate, low, high)."""
    figure, (axes,) = canvas(title, subtitle, width=7.5, height=4.4)
    for role, group in points.groupby("size", sort=False):
        look, group = ROLES[role], group.sort_values("tuned")
        x = group["tuned"].astype(float) + (0.02 if role == "llm" else -0.02)
        axes.plot(x, group["estimate"], color=look.colour, lw=1.6)
        interval(axes, x, group["estimate"], group["low"], group["high"], look, horizontal=False)
    last = points[points["tuned"]].reset_index(drop=True)
    for row, height in zip(last.itertuples(), _spread(last["estimate"].to_numpy(), 0.06), strict=True):
        axes.text(1.08, height, f"{row.name.split(' + ')[0]} {row.estimate:.0%}", color=ROLES[row.size].colour,
                  va="center", fontsize=9.5, fontweight="bold")  # fmt: skip
    axes.set_xticks([0, 1], ["untuned", "LoRA on the same examples"])
    axes.set(xlim=(-0.25, 1.45), ylim=(-0.02, 1.08), ylabel="right")
    percent(axes, "y")
    return figure


def from_scratch(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Models trained from scratch by training tokens (columns name, tokens, estimate, low, high), lines labelled."""
    figure, (axes,) = canvas(title, subtitle, width=9, height=4.4)
    looks = [Look(*pair) for pair in zip(CYCLE, MARKERS, strict=True)]
    last = points.sort_values("tokens").groupby("name", sort=False).tail(1)
    heights = dict(zip(last["name"], _spread(last["estimate"].to_numpy(), 0.05), strict=True))
    for look, (name, group) in zip(looks, points.groupby("name", sort=False), strict=False):
        axes.plot(group["tokens"], group["estimate"], color=look.colour, lw=1.5)
        interval(axes, group["tokens"], group["estimate"], group["low"], group["high"], look, horizontal=False)
        axes.text(points["tokens"].max() * 1.03, heights[name], name, color=look.colour, va="center", fontsize=9)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M")
    axes.set(ylim=(-0.02, 1.02), xlabel="training tokens", ylabel="right on unseen tools")
    percent(axes, "y")
    return figure
