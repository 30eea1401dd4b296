"""Figures of live scores and of item-by-item outcomes; each takes a tidy table and returns the figure.

The finding is the title, given by the caller; intervals are 95 %. Shares are fractions in the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from slmkit.figures import CYCLE, INK, ROLES, Look, canvas, interval, marks, percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TASK = ("suite", "category")
VERDICTS = {
    "non-inferior": Look(ROLES["specialist"].colour, "D"),
    "inferior": Look(ROLES["slm"].colour, "v"),
    "inconclusive": Look("#777777", "o"),
}
RIGHT, NEITHER = ROLES["specialist"].colour, "#BBBBBB"


def dot_interval_by_task(
    scores: pd.DataFrame,
    title: str,
    subtitle: str = "",
    roles: Mapping[str, str] | None = None,
    by: Sequence[str] = TASK,
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Share correct by task (columns model, *by, estimate, low, high), one mark a model, best task on top.

    `roles` gives each model its role; `references` are named shares drawn as lines (chance, never calling).
    """
    table = scores.assign(task=scores[list(by)].agg(" / ".join, axis=1))
    order = table.groupby("task").estimate.mean().sort_values(ascending=False).index
    models = marks.looks(dict.fromkeys(table.model), roles)
    height = 1.5 + 0.2 * len(order) * max(2, len(models))
    figure, (axes,) = canvas(title, subtitle, width=8.5, height=height)
    y = marks.rows_axis(axes, list(order))
    shifts = np.linspace(0.26, -0.26, len(models)) if len(models) > 1 else [0.0]
    for shift, (model, look) in zip(shifts, models.items(), strict=True):
        mine = table[table.model == model].set_index("task").reindex(order)
        interval(axes, mine.estimate, y + shift, mine.low, mine.high, look)
        first = mine.dropna(subset="estimate").iloc[0]
        at = y[mine.index.get_loc(first.name)] + shift
        end, ha, dx = (first.high, "left", 6) if first.high < 0.72 else (first.low, "right", -6)
        style = {"ha": ha, "va": "center", "color": look.colour, "fontsize": 9, "fontweight": "bold"}
        axes.annotate(model, (end, at), (dx, 0), textcoords="offset points", **style)
    for name, share in (references or {}).items():
        marks.threshold(axes, share, name)
    axes.set(xlim=(-0.01, 1.01), xlabel="correct (95 % Wilson interval)")
    percent(axes)
    return figure


def _settled_by(n_to_settle: float, n: int) -> str:
    """How many items would settle a comparison, as people say it; nothing where it is settled or none would."""
    if not n_to_settle > n:
        return ""
    return f"; {n_to_settle:,.0f} would settle it" if n_to_settle < 100_000 else "; too close to settle"


def paired_difference_panel(
    differences: pd.DataFrame, title: str, subtitle: str = "", margin: float = 0.05, by: Sequence[str] = TASK
) -> Figure:
    """Small minus large by task, the margin shaded; takes the table of `evaluate.compare`."""
    table = differences.sort_values("difference", ascending=False).rename(columns={"difference": "estimate"})
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.6 + 0.36 * len(table))
    notes = [f"{r.verdict}, n = {r.n}" + _settled_by(r.n_to_settle, r.n) for r in table.itertuples()]
    labels = list(table[list(by)].agg(" / ".join, axis=1))
    marks.forest(axes, table, labels, [VERDICTS[verdict] for verdict in table.verdict], notes)
    axes.axvspan(-margin, 0, color="#000000", alpha=0.07, zorder=0)
    axes.axvline(0, color=INK, linewidth=1)
    reach = max(0.1, table.high.max(), -table.low.min(), margin) * 1.08
    marks.threshold(axes, -margin, f"allowed loss, {margin * 100:.0f} points")
    axes.set(xlim=(-reach, reach), xlabel="share correct, small minus large (95 %, paired by item)")
    percent(axes)
    return figure


def error_anatomy(errors: pd.DataFrame, title: str, subtitle: str = "", by: Sequence[str] = ("model",)) -> Figure:
    """What became of the items (columns *by, outcome, share), one bar a group, outcomes in given order."""
    table = errors.assign(group=errors[list(by)].astype(str).agg(", ".join, axis=1))
    shares = table.pivot_table(index="group", columns="outcome", values="share", aggfunc="sum", sort=False)
    shares = shares.fillna(0).div(shares.sum(axis=1), axis=0)
    shares = shares[sorted(shares.columns, key=lambda name: name != "right")]
    figure, (axes,) = canvas(title, subtitle, width=9.5, height=1.9 + 0.5 * len(shares))
    misses = [colour for colour in CYCLE if colour != RIGHT] + ["#444444", "#6A3D9A", NEITHER]
    marks.stacked(axes, shares, [RIGHT, *misses] if "right" in shares else misses)
    axes.set_xlabel("share of items")
    percent(axes)
    handles, names = axes.get_legend_handles_labels()
    names = [name.replace("_", " ") for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize=8.5, handleheight=1.2)
    return figure


def latency_and_throughput(
    speed: pd.DataFrame, title: str, subtitle: str = "", roles: Mapping[str, str] | None = None
) -> Figure:
    """Latency from median to 95th percentile (s, log), and completion tokens a second (log).

    Columns: model, constrained, latency_p50_s, latency_p95_s, tokens_per_s. Hollow marks: with the grammar
    on.
    """
    figure, (left, right) = canvas(title, subtitle, 2, width=9, height=1.7 + 0.42 * len(speed), sharey=True)
    models = marks.looks(dict.fromkeys(speed.model), roles)
    labels = [f"{r.model}{', grammar' if r.constrained else ''}" for r in speed.itertuples()]
    y = marks.rows_axis(left, labels)
    marks.rows_axis(right, labels)
    beside = {"textcoords": "offset points", "va": "center", "fontsize": 8.5}
    for at, row in zip(y, speed.itertuples(), strict=True):
        look, fill = models[row.model], {"mfc": "white"} if row.constrained else {}
        median, tail, rate = row.latency_p50_s, row.latency_p95_s, row.tokens_per_s
        interval(left, [median], [at], [median], [tail], look, **fill)
        left.annotate(f"{median:.2g} to {tail:.2g} s", (tail, at), (6, 0), **beside)
        right.plot([rate], [at], look.marker, color=look.colour, ms=7, **fill)
        right.annotate(f"{rate:,.0f}", (rate, at), (8, 0), **beside)
    for axes, name in (
        (left, "seconds a call, median to 95th percentile"),
        (right, "completion tokens a second"),
    ):
        marks.plain_log(axes)
        axes.set_xlabel(name)
    for axes, low, high in (
        (left, speed.latency_p50_s.min(), speed.latency_p95_s.max()),
        (right, speed.tokens_per_s.min(), speed.tokens_per_s.max()),
    ):
        axes.set_xlim(low / 1.5, high * (high / low) ** 0.45 * 1.5)
    return figure


def undecodable(shares: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Share of outputs that are no readable call, by real model (table of `outcomes.undecodable`)."""
    table = shares.sort_values("estimate")
    groups = marks.group_of(table, "tuned_for_tools")
    figure, (axes,) = canvas(title, subtitle, width=8.5, height=1.9 + 0.25 * len(table))
    labels = [model.split("_", 1)[-1] for model in table.model]
    marks.forest(axes, table, labels, [marks.GROUPS[g][0] for g in groups], [f"{e:.1%}" for e in table.estimate])
    axes.set_xscale("symlog", linthresh=0.01, linscale=0.5)
    ticks = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    axes.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
    axes.set(xlim=(-0.0004, 0.9), xlabel="outputs that do not parse as a call (95 % Wilson interval)")
    marks.group_key(figure, groups)
    return figure


def what_the_large_adds(parts: pd.DataFrame, title: str, subtitle: str = "", limit: float = 0.10) -> Figure:
    """Who solves the items, and the share that needs the large model with its interval.

    Takes the table of `outcomes.what_the_large_adds`, one bar a pair or, where there are several, a group;
    `limit` is the share up to which the small model counts as good enough.
    """
    by_group = parts.group.nunique() > 1
    table = parts.assign(row=parts.group if by_group else parts.small.str.split("_", n=1).str[-1])
    needed = table[table.part == "large only"].sort_values("estimate")
    shares = table.pivot_table(index="row", columns="part", values="estimate")
    shares = shares.loc[needed.row, ["both", "small only", "large only", "neither"]]
    figure, (left, right) = canvas(
        title, subtitle, 2, width=10, height=2 + 0.4 * len(shares), sharey=True, width_ratios=[1.5, 1]
    )
    marks.stacked(left, shares, [RIGHT, ROLES["slm"].colour, ROLES["llm"].colour, NEITHER])
    left.set_xlabel("share of items solved by")
    figure.legend(loc="outside lower left", ncols=4, fontsize=8.5, handleheight=1.2)
    notes = [f"{r.estimate:.1%} [{r.low:.1%}, {r.high:.1%}]" for r in needed.itertuples()]
    marks.forest(right, needed, list(shares.index), [ROLES["llm"]] * len(needed), notes)
    marks.threshold(right, limit, f"{limit:.0%}")
    right.set(xlim=(0, max(needed.high.max() * 1.05, limit * 1.5)), xlabel="needs the large model (95 %)")
    percent(left)
    percent(right)
    return figure


def agreement(pairs: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Cohen's kappa of right and wrong for every pair of real models (table of `outcomes.agreement`)."""
    import seaborn as sns

    names = list(dict.fromkeys([*pairs.a, *pairs.b]))
    square = pairs.pivot_table(index="b", columns="a", values="kappa").reindex(index=names[1:], columns=names[:-1])
    short = {name: name.split("_", 1)[-1] for name in names}
    figure, (axes,) = canvas(title, subtitle, width=9.5, height=1.6 + 0.45 * len(names))
    sns.heatmap(
        square.rename(index=short, columns=short),
        ax=axes,
        vmin=0,
        vmax=1,
        cmap="Blues",
        annot=True,
        fmt=".2f",
        annot_kws={"fontsize": 8.5},
        linewidths=1,
        cbar_kws={"label": "Cohen's kappa", "shrink": 0.6},
    )
    axes.set(xlabel="", ylabel="")
    axes.grid(visible=False)
    axes.set_xticks(axes.get_xticks(), axes.get_xticklabels(), rotation=35, ha="right", fontsize=8.5)
    return figure


def where_time_goes(profile: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Shares of the time by part and model, and how near each part comes to its bound (table of `live.profile`)."""
    parts = profile[profile.part != "total"]
    shares = parts.pivot_table(index="model", columns="part", values="share", sort=False)
    bound = parts.dropna(subset="reached")
    figure, (left, right) = canvas(
        title, subtitle, 2, width=10.5, height=1.8 + 0.5 * max(len(shares), len(bound) / 2), width_ratios=[1.5, 1]
    )
    marks.stacked(left, shares, CYCLE)
    left.set_xlabel("share of the processor's time")
    percent(left)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=6, fontsize=8.5, handleheight=1.2)
    y = marks.rows_axis(right, [f"{row.model} / {row.part}" for row in bound.itertuples()])
    for at, row in zip(y, bound.itertuples(), strict=True):
        right.plot([0, row.reached], [at, at], color=ROLES["reference"].colour, lw=1.4, alpha=0.5)
        right.plot([row.reached], [at], "o", color=INK, ms=6)
        by = "arithmetic" if row.compute_s > row.bandwidth_s else "bandwidth"
        right.text(row.reached + 0.03, at, f"{row.reached:.0%} of {by}", va="center", fontsize=8.5)
    right.set(xlim=(0, 1.25), xticks=[0, 0.5, 1], xlabel="bound over time taken; 100 %: as fast as the machine can")
    percent(right)
    return figure
