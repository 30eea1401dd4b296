"""Figures of what happens within a task: kinds of steps, length, compute, writes, time; each takes a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.figures import FAINT, INK, ROLES, canvas, interval, marks, percent
from slmkit.figures.agent import look_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHO = {"small": ROLES["slm"], "large": ROLES["llm"], "cascade": ROLES["router"]}
ANSWERED = {"small": ROLES["slm"].colour, "large": ROLES["llm"].colour, "user": "#BBBBBB"}


def step_kinds(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Right replies by kind of step, both models (`forced.by_kind`), most frequent kind on top."""
    rows = table.sort_values("n", ascending=False)
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.9 + 0.46 * len(rows))
    y = marks.rows_axis(axes, list(rows["says"]))
    for row, at in zip(rows.itertuples(), y, strict=True):
        for role, shift in (("slm", 0.12), ("llm", -0.12)):
            share, low, high = getattr(row, role), getattr(row, f"{role}_low"), getattr(row, f"{role}_high")
            interval(axes, [share], [at + shift], [low], [high], ROLES[role])
        axes.text(1.01, at, f"{row.ruling}, n = {row.n}", transform=axes.get_yaxis_transform(), va="center",
                  fontsize=8.5)  # fmt: skip
    percent(axes)
    axes.set(xlim=(-0.02, 1.02), xlabel="replies as the goal has them (95 % Wilson)")
    _small_and_large(figure)
    return figure


def horizon(points: pd.DataFrame, fit: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Success against the number of calls, with the fitted curve and p^n alone (`horizons`)."""
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=4.8)
    for place, (arm, rows) in enumerate(points.groupby("arm", sort=False)):
        look, shift = look_of(str(arm)), 1 + 0.02 * (place - 1)
        interval(axes, rows["mid"] * shift, rows["success"], rows["low"], rows["high"], look, horizontal=False)
        curve = fit[fit["arm"] == arm]
        axes.plot(curve["calls"], curve["success"], color=look.colour, lw=1.8)
        axes.plot(curve["calls"], curve["constant"], ":", color=look.colour, lw=1.2)
        if len(curve):
            axes.text(0.99, 0.95 - 0.07 * place, str(arm), transform=axes.transAxes, ha="right", va="top", fontsize=9,
                      fontweight="bold", color=look.colour)  # fmt: skip
    percent(axes, "y")
    axes.set(xlabel="calls on the goal's way", ylabel="tasks solved", xlim=(0.4, 12.6), ylim=(-0.02, 1.06))
    handles = [axes.plot([], [], style, color=FAINT, label=name)[0]
               for style, name in (("-", "fitted, with self-conditioning"), (":", "p to the power of n"))]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure


def compute(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Success against tokens and against joules a task for each way of answering (`compute.summary`)."""
    figure, panels = canvas(title, subtitle, 2, width=12, height=4.8, sharey=True)
    spent = {"tokens": "tokens a task, prompt and output (log)", "joules": "GPU joules a task, as priced (log)"}
    for axes, (column, label) in zip(panels, spent.items(), strict=True):
        named = []
        for row in table.itertuples():
            large = row.arm.startswith("large")
            look = ROLES["llm"] if large else ROLES["slm"] if row.arm == "one answer" else ROLES["specialist"]
            place = getattr(row, column)
            interval(axes, [place], [row.success], [row.low], [row.high], look, horizontal=False)
            named.append((place, row.success, row.arm))
        marks.plain_log(axes, "x", "{:,g}")
        percent(axes, "y")
        axes.set_xlim(table[column].min() * 0.6, table[column].max() * 1.9)
        axes.set(xlabel=label, ylim=(-0.02, 1.05))
        marks.name_points(axes, named)
    panels[0].set_ylabel("tasks solved (95 % Wilson)")
    return figure


def answered(steps: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Who answers in the cascade, by kind of step, and what made the large model be asked (`mixed.shares`)."""
    steps = steps.assign(reason=steps["reason"].fillna(""))
    shares = steps.groupby(["kind", "answered_by"]).size().unstack(fill_value=0)
    shares = shares.reindex(columns=[name for name in ANSWERED if name in shares])
    counts = shares.sum(axis=1)
    shares.index = [f"{kind} ({counts[kind]})" for kind in shares.index]
    figure, (left, right) = canvas(title, subtitle, 2, width=11, height=2.4 + 0.5 * len(shares),
                                   width_ratios=[1.3, 1])  # fmt: skip
    marks.stacked(left, shares.div(shares.sum(axis=1), axis=0), [ANSWERED[name] for name in shares.columns])
    percent(left)
    left.set_xlabel("share of steps, by who answered")
    reasons = steps["reason"].str.split(", ").explode()
    reasons = reasons[reasons != ""].value_counts() / max(1, len(steps))
    y = marks.rows_axis(right, list(reasons.index))
    right.barh(y, reasons.to_numpy(), 0.55, color=ROLES["router"].colour)
    percent(right)
    right.set_xlabel("share of steps with this reason to ask the large model")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=3, fontsize=8.5)
    return figure


def latency(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Empirical distribution of the seconds of single calls, median and 95th percentile marked (`latency.timed`)."""
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=4.4)
    for place, (arm, rows) in enumerate(table.groupby("arm", sort=False)):
        look, seconds = WHO[str(arm)], np.sort(rows["seconds"].to_numpy())
        share = np.arange(1, len(seconds) + 1) / len(seconds)
        axes.step(seconds, share, where="post", color=look.colour, lw=1.8)
        p50, p95 = np.quantile(seconds, [0.5, 0.95])
        axes.plot([p50, p95], [0.5, 0.95], look.marker, color=look.colour, ms=7, mec="white")
        axes.text(0.02, 0.95 - 0.08 * place, f"{arm}: median {p50:.2f} s, 95 % within {p95:.2f} s", va="top",
                  transform=axes.transAxes, color=look.colour, fontsize=9, fontweight="bold")  # fmt: skip
    marks.plain_log(axes)
    percent(axes, "y")
    axes.set(xlabel="seconds of one call, asked alone (log)", ylabel="share of calls", ylim=(0, 1.03))
    return figure


def writes(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Tasks with a wrong write (left), and writes of the goal that were made (right), by arm (`lab.writes`)."""
    figure, (left, right) = canvas(title, subtitle, 2, width=10.5, height=1.9 + 0.42 * len(table), sharey=True)
    looks = [look_of(arm) for arm in table["arm"]]
    for axes, k, n in ((left, table["wrong_tasks"], table["tasks"]), (right, table["right"], table["goal"])):
        ends = [stats.wilson(min(int(a), int(b)), max(1, int(b))) for a, b in zip(k, n, strict=True)]
        rows = pd.DataFrame({"estimate": np.minimum(k / np.maximum(n, 1), 1), "low": [low for low, _ in ends],
                             "high": [high for _, high in ends]})  # fmt: skip
        notes = [f"{int(a)} of {int(b)}" for a, b in zip(k, n, strict=True)]
        marks.forest(axes, rows, list(table["arm"]), looks, notes)
        percent(axes)
        axes.set_xlim(-0.02, 1.02)
    left.set_xlabel("tasks with a write that the goal lacks")
    right.set_xlabel("writes of the goal that were made")
    return figure


def abilities(table: pd.DataFrame, recovered: pd.DataFrame, margin: float, title: str, subtitle: str = "") -> Figure:
    """Left: small minus large on four abilities; right: recovery after an injected tool error by arm (`recovery`)."""
    figure, (left, right) = canvas(title, subtitle, 2, width=11.5, height=3.4)
    rows = table.rename(columns={"difference": "estimate"})
    marks.forest(left, rows, list(rows["ability"]), [ROLES["slm"]] * len(rows), [f"n = {n}" for n in rows["n"]])
    left.axvline(0, color=INK, lw=1)
    left.axvspan(-margin, 0, color="#000000", alpha=0.07, zorder=0)
    left.set_xlabel("small minus large (shaded: allowed loss)")
    looks = [look_of(arm) for arm in recovered["arm"]]
    notes = [f"{row.k} of {row.n}" for row in recovered.itertuples()]
    marks.forest(right, recovered, list(recovered["arm"]), looks, notes)
    right.set(xlim=(-0.02, 1.02), xlabel="solved although a tool broke (95 % Wilson)")
    percent(left)
    percent(right)
    return figure


def agency(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Tasks solved with the model in charge and with code in charge, both models (arm, role, mode, estimate, ...)."""
    figure, (axes,) = canvas(title, subtitle, width=8, height=2.6)
    modes = list(dict.fromkeys(table["mode"]))
    y = marks.rows_axis(axes, modes)
    for row in table.itertuples():
        at = y[modes.index(row.mode)] + (0.1 if row.role == "slm" else -0.1)
        interval(axes, [row.estimate], [at], [row.low], [row.high], ROLES[row.role])
    percent(axes)
    axes.set(xlim=(-0.02, 1.02), xlabel="tasks solved (95 % Wilson)")
    _small_and_large(figure)
    return figure


def _small_and_large(figure: Figure) -> None:
    """The legend of figures that show both models."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], ls="", marker=ROLES[role].marker, color=ROLES[role].colour, label=name)
               for role, name in (("slm", "small"), ("llm", "large"))]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)
