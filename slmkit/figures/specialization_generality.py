"""Figures of what specialization costs: out of schema, other formats, change, prompts, price and operation.

Each takes a tidy table and returns the figure; shares are fractions, intervals 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from slmkit.figures import CYCLE, INK, MARKERS, ROLES, Look, canvas, interval, marks, percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NIGHT_H = 12


def in_and_out(points: pd.DataFrame, title: str, subtitle: str = "", xlabel: str = "right (95 %)") -> Figure:
    """One row a set, one mark a model (columns set, name, role, estimate, low, high); rows and marks as they come."""
    sets, names = list(dict.fromkeys(points["set"])), list(dict.fromkeys(points["name"]))
    looks = _looks(points)
    figure, (axes,) = canvas(title, subtitle, width=9.5, height=1.9 + (0.16 * len(names) + 0.14) * len(sets))
    y = marks.rows_axis(axes, sets)
    shifts = np.linspace(0.28, -0.28, len(names)) if len(names) > 1 else [0.0]
    for shift, name in zip(shifts, names, strict=True):
        mine = points[points["name"] == name].set_index("set").reindex(sets)
        interval(axes, mine["estimate"], y + shift, mine["low"], mine["high"], looks[name], label=name)
    axes.set(xlim=(-0.02, 1.02), xlabel=xlabel)
    percent(axes)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=8.5)
    return figure


def _looks(points: pd.DataFrame) -> Mapping[str, Look]:
    """A look for each name: its role's for the first of a role, else a colour and marker of its own."""
    roles = points.groupby("name", sort=False)["role"].first()
    first = roles[~roles.duplicated()]
    used = {ROLES[role].colour for role in first}
    free = cycle([Look(*pair) for pair in zip(CYCLE, MARKERS, strict=True) if pair[0] not in used])
    return {name: ROLES[role] if name in first.index else next(free) for name, role in roles.items()}


def after_a_change(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Before and after a change of schema, a row a way to adapt (name, role, set, estimate, low, high, adapt_seconds).

    Hollow: before the change. The time to adapt stands at the right.
    """
    names = list(dict.fromkeys(points["name"]))
    figure, (axes,) = canvas(title, subtitle, width=9.5, height=2.0 + 0.5 * len(names))
    y = marks.rows_axis(axes, names)
    for at, name in zip(y, names, strict=True):
        mine = points[points["name"] == name]
        for row in mine.itertuples():
            before = row.set.startswith("before")
            fill = {"mfc": "white"} if before else {}
            shift = 0.13 if before else -0.13
            interval(axes, [row.estimate], [at + shift], [row.low], [row.high], ROLES[row.role], **fill)
        seconds = mine["adapt_seconds"].max()
        said = f"{seconds:,.0f} s to adapt" if seconds else "no training"
        axes.text(1.01, at, said, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
    axes.set(xlim=(-0.02, 1.02), xlabel="right; hollow: before the change, filled: after it (95 %)")
    percent(axes)
    return figure


def prompt_forms(points: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """The same requests under several prompt forms, a row a form (columns form, name, role, estimate, low, high)."""
    return in_and_out(points.rename(columns={"form": "set"}), title, subtitle)


def price(trainings: pd.DataFrame, jobs: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Left: seconds of each training here by examples. Right: H100-hours by model and job, with the length of a night.

    `trainings`: n, seconds, tokens_per_s, method. `jobs`: model, job, hours, hours_low, hours_high, usd.
    """
    figure, (left, right) = canvas(title, subtitle, 2, width=11, height=4.4, width_ratios=[1, 1.4])
    for method, name, look in (("lora", "LoRA", ROLES["specialist"]), ("full", "all weights", ROLES["slm"])):
        mine = trainings[trainings["method"] == method]
        left.plot(mine["n"], mine["seconds"], look.marker, color=look.colour, ms=6, ls="", label=name, alpha=0.8)
    marks.plain_log(left)
    left.set(xlabel="training examples", ylabel="seconds here, with evaluations", ylim=(0, None))
    left.legend(loc="upper left", fontsize=9)
    table = jobs.rename(columns={"hours": "estimate", "hours_low": "low", "hours_high": "high"})
    labels = [f"{row.model}, {row.job}" for row in table.itertuples()]
    notes = [f"{row.estimate:.2g} h, USD {row.usd:,.2f}" for row in table.itertuples()]
    marks.forest(right, table, labels, [ROLES["specialist"]] * len(table), notes)
    right.set_xscale("log")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.minorticks_off()
    marks.threshold(right, NIGHT_H, f"{NIGHT_H} h")
    right.set_xlabel("H100-hours (MFU 5 to 40 %)")
    right.set_xlim(table["low"].min() / 2, max(table["high"].max(), NIGHT_H) * 3)
    return figure


def operation(serving: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Left: latency of single requests, each a mark, the median a line. Right: weights held in memory.

    Columns: name, role, latency_s, weight_bytes.
    """
    names = list(dict.fromkeys(serving["name"]))
    figure, (left, right) = canvas(title, subtitle, 2, width=10, height=1.9 + 0.45 * len(names), sharey=True)
    y = marks.rows_axis(left, names)
    marks.rows_axis(right, names)
    rng = np.random.default_rng(0)
    for at, name in zip(y, names, strict=True):
        mine = serving[serving["name"] == name]
        look = ROLES[mine["role"].iloc[0]]
        jitter = at + rng.uniform(-0.15, 0.15, len(mine))
        left.plot(1000 * mine["latency_s"], jitter, look.marker, color=look.colour, ms=4, alpha=0.5)
        median, held = 1000 * mine["latency_s"].median(), mine["weight_bytes"].iloc[0] / 1e6
        left.plot([median, median], [at - 0.3, at + 0.3], color=look.colour, lw=2.5)
        left.annotate(f"{median:,.0f} ms", (median, at + 0.3), (3, 0), textcoords="offset points", fontsize=9)
        right.barh([at], [held], 0.5, color=look.colour)
        right.annotate(f"{held:.1f} MB", (held, at), (4, 0), textcoords="offset points", va="center", fontsize=9)
    left.set(xlabel="milliseconds a request, one at a time", xlim=(0, None))
    right.set(xlabel="weights in memory, MB", xlim=(0, serving["weight_bytes"].max() / 1e6 * 1.3))
    return figure
