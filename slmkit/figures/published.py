"""Figures of published scores; each takes a table of `capability.published`, `.trends` or `.audit`.

The finding is the title, given by the caller. A published score comes without its items, so single scores
have no interval (hollow marks); what is computed over models or tables has one. Scores are percentages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit.figures import INK, ROLES, Look, canvas, marks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN = Look(INK, "o")
PAPER, SOURCE = Look(INK, "o"), Look(ROLES["llm"].colour, "s")
DETAIL = {  # what became of an audited detail
    "match": Look(ROLES["specialist"].colour, "o"),
    "half": Look("#8A7A00", "d"),
    "mismatch": Look(ROLES["slm"].colour, "X"),
}


def capability_against_size(
    table: pd.DataFrame, title: str, subtitle: str = "", x: str = "params_b", names: Sequence[str] = ()
) -> Figure:
    """Score against size (log) with the frontier, or against release date with `x="released"`.

    Takes the table of `published.capability_by_size` with the same `x`; models on the frontier, and those in
    `names`, are named.
    """
    rows = table.sort_values([x, "score"])
    groups = marks.group_of(rows)
    figure, (axes,) = canvas(title, subtitle, width=8.5, height=5)
    for name, (look, _) in marks.GROUPS.items():
        mine = rows[groups == name]
        axes.plot(mine[x], mine.score, look.marker, color=look.colour, ms=6.5, mec="white", mew=0.6, zorder=3)
    steps = rows.drop_duplicates(x)
    axes.step(steps[x], steps.frontier, where="post", color=ROLES["reference"].colour, lw=1.2, zorder=2)
    if x == "params_b":
        marks.plain_log(axes)
        axes.set_xlabel("parameters, billions (log); the line is the best score at or below each size")
    else:
        axes.xaxis.set_major_formatter(lambda year, _: f"{int(year)}-{int(year % 1 * 12) + 1:02d}")
        axes.set_xlabel("release date; the line is the best score so far")
    axes.set(ylim=(min(0, rows.score.min()), min(100, rows.score.max() * 1.12)), ylabel="score, %")
    marks.group_key(figure, groups)
    named = rows.sort_values("score", ascending=False)
    marks.name_points(
        axes,
        [
            (at, score, model if first or model in names else "")
            for at, score, model, first in zip(named[x], named.score, named.model, named.on_frontier, strict=True)
        ],
    )
    return figure


def slopes_by_skill(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Points a tenfold size, by skill (table of `trends.slopes_by_skill`), single-turn as the reference."""
    rows = table.sort_values("estimate", ascending=False)
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.6 + 0.36 * len(rows))
    over = [f"{r.steeper:+.1f} [{r.steeper_low:+.1f}, {r.steeper_high:+.1f}]" for r in rows.itertuples()]
    notes = ["reference" if s == "single-turn" else a for s, a in zip(rows.skill, over, strict=True)]
    marks.forest(axes, rows, list(rows.skill), [PLAIN] * len(rows), notes)
    axes.text(1.01, 1.0, "minus single-turn", transform=axes.transAxes, fontsize=8.5, va="bottom")
    base = rows[rows.skill == "single-turn"].estimate
    if len(base):
        marks.threshold(axes, base.iloc[0], "single-turn")
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_xlabel("points a tenfold size (95 %, HC3)")
    return figure


def rank_correlation(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Spearman of pairs of scores (table of `trends.rank_correlations`); hollow where harnesses are mixed."""
    rows = table.sort_values("estimate", ascending=False)
    labels = [f"{r.general} with {r.agentic}" for r in rows.itertuples()]
    figure, (axes,) = canvas(title, subtitle, width=8.5, height=1.6 + 0.3 * len(rows))
    notes = [f"n = {r.n}{', mixed harnesses' if r.mixed_harness else ''}" for r in rows.itertuples()]
    marks.forest(axes, rows, labels, [PLAIN] * len(rows), notes, list(rows.mixed_harness))
    axes.axvline(0, color=INK, linewidth=1)
    axes.set(xlim=(min(-0.1, rows.low.min() - 0.05), 1.02), xlabel="rank correlation of models (95 %)")
    return figure


def gaps(table: pd.DataFrame, title: str, subtitle: str = "", label: str = "benchmark", margin: float = 5) -> Figure:
    """Best small minus best large in points, the margin shaded; `published.gaps` or `trends.best_gaps`."""
    whole = table[table[label] == "all"]
    rows = pd.concat([whole, table.drop(whole.index).sort_values("estimate", ascending=False)])
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.6 + 0.3 * len(rows))
    if "small" in rows:
        about = [f"{r.small} against {r.large}" for r in rows.itertuples()]
    else:
        about = [f"{r.n} tables" if r.n > 1 else "one table" for r in rows.itertuples()]
    notes = [f"{gap:+.1f}  {text}" for gap, text in zip(rows.estimate, about, strict=True)]
    shape = [Look(INK, "D") if name == "all" else PLAIN for name in rows[label]]
    marks.forest(axes, rows, list(rows[label]), shape, notes, list(rows.low.isna()))
    axes.axvspan(-margin, 0, color="#000000", alpha=0.07, zorder=0)
    axes.axvline(0, color=INK, linewidth=1)
    marks.threshold(axes, -margin, f"{margin:g} points behind")
    axes.set_xlabel("best small minus best large of the same table, points (95 %)")
    return figure


def family_ladder(steps: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """What the next size of the same family gains in the same table (table of `published.ladders`), points.

    One mark a table and step; a mark left of zero is a table in which the larger sibling scores lower.
    """
    lines = steps.groupby("line").rise.agg([lambda rise: (rise > 0).mean(), "size", "median"])
    lines.columns = ["share", "n", "median"]
    lines = lines.sort_values(["share", "median"], ascending=False)
    figure, (axes,) = canvas(title, subtitle, width=9, height=1.8 + 0.42 * len(lines))
    y = marks.rows_axis(axes, list(lines.index))
    for at, row in zip(y, lines.itertuples(), strict=True):
        rises = np.sort(steps.rise[steps.line == row.Index].to_numpy())
        shift = 0.22 * np.sin(np.arange(len(rises)) * 2.4)  # a fixed scatter, so that marks do not hide each other
        for chosen, role in ((rises > 0, "llm"), (rises <= 0, "slm")):
            look = ROLES[role]
            axes.plot(rises[chosen], (at + shift)[chosen], look.marker, color=look.colour, ms=4.5, alpha=0.7, mew=0)
        axes.plot([row.median], [at], "|", color=INK, ms=16, mew=1.6)
        note = f"{row.share:.0%} of {row.n} up, median {row.median:+.1f}"
        axes.text(1.01, at, note, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_xlabel("score of the larger sibling minus the smaller, same table, points; bar: median")
    return figure


def format_sensitivity(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Largest change of accuracy across prompt formats, by model, from `published.format_sensitivity`."""
    rows = table.sort_values("spread", ascending=False)
    groups = marks.group_of(rows)
    figure, (axes,) = canvas(title, subtitle, width=8.5, height=1.9 + 0.26 * len(rows))
    sizes = ["" if np.isnan(size) else f", {size:g} bn" for size in rows.params_b]
    y = marks.rows_axis(axes, [model + size for model, size in zip(rows.model, sizes, strict=True)])
    for at, spread, group in zip(y, rows.spread, groups, strict=True):
        look = marks.GROUPS[group][0]
        axes.plot([0, spread], [at, at], color=look.colour, lw=1.4, alpha=0.5)
        axes.plot([spread], [at], look.marker, color=look.colour, ms=7)
        axes.text(spread + 1.6, at, f"{spread:g}", va="center", fontsize=8.5, color=INK)
    axes.set(xlim=(0, 100), xlabel="accuracy in the best prompt format minus the worst, points")
    marks.group_key(figure, groups)
    return figure


def citation_audit(audit: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Every detail checked, by claim: match, half, mismatch; and each figure stated, beside the source's.

    Takes the table of `audit.citation_audit`. A detail of several rows is as bad as its worst row.
    """
    rows = audit[audit.decides]
    worst = ["mismatch", "half", "match"]
    details = rows.groupby(["claim_id", "model", "detail"], sort=False).verdict.agg(
        lambda found: min(found, key=worst.index)
    )
    claims = list(dict.fromkeys(details.index.droplevel("detail")))
    stated = rows.dropna(subset="paper_figure")
    figure, (left, right) = canvas(title, subtitle, 2, width=12.5, height=5.2, width_ratios=[1, 1.05])
    y = marks.rows_axis(left, [f"{model}  {claim}" for claim, model in claims])
    for at, claim in zip(y, claims, strict=True):
        found = list(details.loc[claim])
        for k, verdict in enumerate(found):
            left.plot([k], [at], DETAIL[verdict].marker, color=DETAIL[verdict].colour, ms=9)
        left.text(len(found) - 0.3, at, f"{found.count('match')} of {len(found)}", va="center", fontsize=8.5)
    left.grid(visible=False)
    left.set(xticks=[], xlim=(-0.6, details.groupby(level=0).size().max() + 1.2), xlabel="details checked")
    y = marks.rows_axis(right, [f"{r.model}: {r.unit}" for r in stated.itertuples()])
    for at, row in zip(y, stated.itertuples(), strict=True):
        ends = [row.paper_figure, row.source_figure]
        right.plot(ends, [at, at], color="#BBBBBB", lw=2, zorder=1)
        right.plot(ends[1:], [at], SOURCE.marker, color=SOURCE.colour, ms=7)
        right.plot(ends[:1], [at], PAPER.marker, color=PAPER.colour, mfc="none", ms=9, mew=1.5)
        source = "none" if np.isnan(row.source_figure) else f"{row.source_figure:.3g}"
        said = f"{row.paper_figure:g}, source: {source}"
        right.text(1.01, at, said, transform=right.get_yaxis_transform(), va="center", fontsize=8.5)
    marks.plain_log(right)
    right.set_xlabel("figure stated (log, unit in the label)")
    shapes = [left.plot([], [], look.marker, color=look.colour, label=name) for name, look in DETAIL.items()]
    shapes += [
        right.plot([], [], PAPER.marker, color=PAPER.colour, mfc="none", mew=1.5, label="the paper's figure"),
        right.plot([], [], SOURCE.marker, color=SOURCE.colour, label="the source's figure"),
    ]
    figure.legend(handles=[shape[0] for shape in shapes], loc="outside lower left", ncols=5, fontsize=8.5)
    return figure


def claimed_parity(audit: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """The scores behind the nine models: the small model's and its rival's, one row a comparison, percent."""
    rows = audit[audit.unit == "points"]
    figure, (axes,) = canvas(title, subtitle, width=10.5, height=1.9 + 0.24 * len(rows))
    y = marks.rows_axis(axes, [f"{r.model}: {r.checked}" for r in rows.itertuples()])
    for at, row in zip(y, rows.itertuples(), strict=True):
        axes.plot([row.score, row.rival_score], [at, at], color="#BBBBBB", lw=2, zorder=1)
        for role, score in (("llm", row.rival_score), ("slm", row.score)):
            axes.plot([score], [at], ROLES[role].marker, color=ROLES[role].colour, ms=6)
        note = f"{row.difference:+.1f}  {row.verdict}{'' if row.one_table else ', two tables'}"
        axes.text(1.01, at, note, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    axes.set(xlim=(0, 100), xlabel="published score, %")
    names = {"slm": "the small model that the paper names", "llm": "its rival"}
    shapes = [axes.plot([], [], ROLES[r].marker, color=ROLES[r].colour, label=n)[0] for r, n in names.items()]
    figure.legend(handles=shapes, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure
