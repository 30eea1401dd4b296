"""Figures of serving cost: ratios, frontiers, load and rivals; each takes a tidy table.

The finding is the title, given by the caller. Money is US dollars on log axes; intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slmkit.figures import CYCLE, FAINT, INK, ROLES, Look, canvas, marks, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = (10.0, 30.0)  # the claim: 10 to 30 times
BAND_COLOUR = "#F3E3B3"
SPARSE, DENSE = Look(ROLES["router"].colour, "^"), Look(ROLES["llm"].colour, "s")


def money(axes: Axes, axis: str = "y") -> None:
    """A log axis whose ticks are dollars, as many digits as they need; whole decades only where there are many."""
    from matplotlib.ticker import LogLocator

    marks.plain_log(axes, axis)
    side = getattr(axes, f"{axis}axis")
    low, high = side.get_view_interval()
    if low > 0 and high / low > 1e4:
        side.set_major_locator(LogLocator())
    side.set_major_formatter(lambda usd, _: f"${usd:,.0f}" if usd >= 10 else f"${usd:.2g}")


def short(number: float) -> str:
    """Two digits and more, without exponents: 0.93, 6.1, 35, 140."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"


def claim_band(axes: Axes, horizontal: bool = True) -> None:
    """The claimed 10 to 30 times, shaded and named."""
    draw = axes.axhspan if horizontal else axes.axvspan
    draw(*BAND, color=BAND_COLOUR, zorder=0, lw=0)


def ratio_against_parameters(table: pd.DataFrame, sizes: Mapping[str, float], title: str, subtitle: str = "") -> Figure:
    """Measured-model cost ratio against the ratio of parameters, one mark a GPU and rival (`serving.saturated`).

    `sizes`: billions of parameters by model name. On the dashed line cost goes with parameters, as the claim assumes.
    """
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=5.2)
    claim_band(axes)
    ratio = table["llm"].map(sizes) / table["slm"].map(sizes)
    ends = np.array([ratio.min() * 0.7, ratio.max() * 1.5])
    axes.plot(ends, ends, "--", color=ROLES["reference"].colour, lw=1.2)
    named = []
    for rival, rows in table.groupby("llm", sort=False):
        look = SPARSE if rows["sparse"].iloc[0] else DENSE
        x = ratio[rows.index].to_numpy()
        spread = np.linspace(0.94, 1.06, len(rows))
        axes.vlines(x * spread, rows["low"], rows["high"], color=look.colour, alpha=0.25, lw=1)
        axes.plot(x * spread, rows["ratio"], look.marker, color=look.colour, ms=6, mec="white", mew=0.5)
        named.append((float(x[0] * 1.08), float(rows["ratio"].median()), str(rival)))
    marks.plain_log(axes, "x")
    marks.plain_log(axes, "y")
    axes.set(
        xlabel="large over small, parameters in all (log)", ylabel="large over small, cost a token, saturated (log)"
    )
    axes.set_xlim(ends[0], ends[1] * 1.6)
    axes.text(ends[0] * 1.05, 17, "claimed: 10 to 30 times", va="center", fontsize=8.5, color="#7A6420")
    axes.annotate("cost = parameters", (ends[1], ends[1]), (4, 2), textcoords="offset points", fontsize=8, color=FAINT)
    marks.name_points(axes, named)
    shapes = [axes.plot([], [], look.marker, color=look.colour, label=name)[0]
              for name, look in (("dense rival", DENSE), ("sparse rival", SPARSE))]  # fmt: skip
    figure.legend(handles=shapes, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure


def ratio_map(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Cost ratio over latency limit and relative load (`serving.ratio_map`), with contours at 1, 10 and 30."""
    from matplotlib.colors import LogNorm

    wide = table.pivot_table(index="relative_load", columns="limit_ms", values="ratio", dropna=False)
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=4.8)
    x, y, values = wide.columns.to_numpy(float), wide.index.to_numpy(), wide.to_numpy()
    seen = np.ma.masked_invalid(values)
    image = axes.pcolormesh(x, y, seen, norm=LogNorm(1 / 40, 40), cmap="PuOr_r", shading="gouraud", rasterized=True)
    lines = axes.contour(
        x, y, seen, levels=[1, 10, 30], colors=INK, linewidths=[1.2, 1.8, 1.8], linestyles=["--", "-", "-"]
    )
    axes.clabel(lines, fmt=lambda level: f"{level:g}x", fontsize=9)
    floor = table["floor_ms"].iloc[0]
    for axis in ("x", "y"):
        marks.plain_log(axes, axis)
    axes.set(xlabel="limit on the time a token, ms (log)", ylabel="busy share of the small model over the large one's")
    percent(axes, "y")
    axes.set_xlim(floor * 0.8, x.max())
    axes.axvspan(axes.get_xlim()[0], floor, color="#DDDDDD", hatch="//", ec="white", zorder=1)
    axes.annotate(
        f"large model cannot: floor {floor:.3g} ms",
        (floor, y.min()),
        (4, 6),
        textcoords="offset points",
        fontsize=8,
        color=INK,
    )
    bar = figure.colorbar(image, ax=axes, pad=0.01, ticks=[0.03, 0.1, 0.3, 1, 3, 10, 30], format="%g")
    bar.set_label("large over small, cost a token", fontsize=9)
    return figure


def frontiers(table: pd.DataFrame, title: str, subtitle: str = "", roles: Mapping[str, str] | None = None) -> Figure:
    """Tokens/s a GPU against tokens/s a user (`serving.frontiers`), one line a model, some batches named."""
    figure, (axes,) = canvas(title, subtitle, width=8.6, height=5)
    taken = {ROLES[role].colour for role in (roles or {}).values()}
    free = iter([Look(*pair) for pair in zip(CYCLE, marks.MARKERS, strict=True) if pair[0] not in taken] * 3)
    for model, rows in table.groupby("model", sort=False):
        rows = rows.sort_values("tok_s_per_user")
        look = ROLES[roles[str(model)]] if roles and model in roles else next(free)
        axes.plot(rows["tok_s_per_user"], rows["tok_s_per_gpu"], "-", color=look.colour, lw=1.6)
        shown = rows[np.isin(rows["batch"], [1, 8, 64, 256])].drop_duplicates("batch")
        axes.plot(shown["tok_s_per_user"], shown["tok_s_per_gpu"], look.marker, color=look.colour, ms=6)
        small = {"textcoords": "offset points", "fontsize": 7.5, "color": look.colour}
        for row in shown.itertuples():
            gpus = f"{row.tp * row.pp:g} GPU{'s' * (row.tp * row.pp > 1)}"
            axes.annotate(f"{row.batch:g} on {gpus}", (row.tok_s_per_user, row.tok_s_per_gpu), (5, 5), **small)
        first = rows.iloc[0]
        bold = {"textcoords": "offset points", "fontsize": 9, "fontweight": "bold", "ha": "right", "color": look.colour}
        axes.annotate(str(model), (first["tok_s_per_user"], first["tok_s_per_gpu"]), (-6, 3), **bold)
    for axis in ("x", "y"):
        marks.plain_log(axes, axis, "{:,g}")
    axes.set(xlabel="tokens a second for each user (log)", ylabel="output tokens a second a GPU (log)")
    axes.set_xlim(table["tok_s_per_user"].min() / 2.6, table["tok_s_per_user"].max() * 2)
    axes.set_ylim(table["tok_s_per_gpu"].min() / 1.6, table["tok_s_per_gpu"].max() * 1.8)
    return figure


def cost_against_load(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """USD per million tokens against the busy share, APIs as lines, break-even points (`operation.by_utilization`)."""
    figure, (axes,) = canvas(title, subtitle, width=9.2, height=5.4)
    for role, rows in table[table["kind"] == "self-hosted"].groupby("role"):
        look = ROLES[str(role)]
        axes.fill_between(rows["utilization"], rows["low"], rows["high"], color=look.colour, alpha=0.13, lw=0)
        axes.plot(rows["utilization"], rows["usd_per_mtok"], color=look.colour, lw=2)
        at = rows.iloc[2]
        axes.annotate(at["offer"], (at["utilization"], at["usd_per_mtok"]), (8, 4), textcoords="offset points",
                      fontsize=9, fontweight="bold", color=look.colour)  # fmt: skip
    apis = table[table["kind"] == "api"].sort_values("usd_per_mtok")
    shown = apis.groupby("role").nth([0, -1]).drop_duplicates("offer") if len(apis) > 6 else apis
    for row in shown.itertuples():
        look = ROLES[row.role]
        axes.axhline(row.usd_per_mtok, color=look.colour, lw=1, ls=":")
        axes.annotate(f"{row.offer}, ${row.usd_per_mtok:.2g}", (1.02, row.usd_per_mtok), xycoords=("axes "
        "fraction", "data"),
                      va="center", fontsize=8, color=look.colour)  # fmt: skip
        if 0.01 < row.break_even <= 1:
            axes.plot([row.break_even], [row.usd_per_mtok], "o", mfc="white", mec=ROLES["slm"].colour, ms=7, mew=1.6)
            axes.annotate(f"{row.break_even:.0%}", (row.break_even, row.usd_per_mtok), (0, 7), textcoords="offset "
            "points",
                          ha="center", fontsize=8.5, color=INK)  # fmt: skip
    marks.plain_log(axes, "x")
    percent(axes)
    money(axes)
    axes.set(
        xlabel="busy share of the endpoint (log)",
        ylabel="USD per million tokens, in and out together (log)",
        xlim=(0.01, 1),
    )
    return figure


def dense_and_sparse(table: pd.DataFrame, touched: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Left: cost ratio by rival on one GPU with intervals; right: share of experts that a step of so many tokens reads.

    `touched`: columns model, batch, share.
    """
    from matplotlib.patheffects import withStroke

    figure, (left, right) = canvas(title, subtitle, 2, width=11.5, height=4.2, width_ratios=[1.25, 1])
    rows = table.sort_values("ratio", ascending=False).rename(columns={"ratio": "estimate"})
    looks = [SPARSE if sparse else DENSE for sparse in rows["sparse"]]
    notes = [f"{short(row.estimate)} [{short(row.low)}, {short(row.high)}]" for row in rows.itertuples()]
    claim_band(left, horizontal=False)
    marks.forest(left, rows, list(rows["llm"]), looks, notes)
    marks.plain_log(left)
    left.axvline(1, color=INK, lw=1)
    left.set_xlabel("large over small, cost a token, saturated (log)")
    halo = [withStroke(linewidth=3, foreground="white")]
    for (model, part), colour in zip(touched.groupby("model", sort=False), CYCLE[3:], strict=False):
        right.plot(part["batch"], part["share"], color=colour, lw=1.8)
        at = part.iloc[int((part["share"] - 0.3).abs().argmin())]
        style = {"textcoords": "offset points", "fontsize": 8, "color": colour, "path_effects": halo, "va": "center"}
        right.annotate(
            str(model), (at["batch"], at["share"]), (6, 12 - 14 * list(touched["model"].unique()).index(model)), **style
        )
    marks.plain_log(right)
    percent(right, "y")
    right.set(xlabel="tokens in a step (log)", ylabel="share of experts read", ylim=(0, 1.03))
    return figure


def grid_shares(table: pd.DataFrame, title: str, subtitle: str = "") -> Figure:
    """Share of cells in which the small model is surely cheaper, by rival and load (columns rival, load, share, n)."""
    wide = table.pivot_table(index="rival", columns="load", values="share", sort=False)
    wide = wide.reindex(wide.mean(axis=1).sort_values(ascending=False).index)[sorted(wide.columns)]
    figure, (axes,) = canvas(title, subtitle, width=8, height=1.5 + 0.52 * len(wide))
    axes.imshow(wide.to_numpy(), cmap="PuOr_r", vmin=-0.25, vmax=1.25, aspect="auto")
    for i, j in np.ndindex(wide.shape):
        share = wide.iloc[i, j]
        axes.text(
            j,
            i,
            f"{share:.0%}",
            ha="center",
            va="center",
            fontsize=9.5,
            color=INK,
        )
    axes.set_xticks(range(wide.shape[1]), [f"{load:.0%}" for load in wide.columns])
    axes.set_yticks(range(len(wide)), list(wide.index))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.set_xlabel("busy share of the small model's own endpoint")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure
