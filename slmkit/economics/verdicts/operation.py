"""Rules about cost as it is run: load, sharing, fixed cost, development, and the uses said to favour small models."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit.economics.studies.workloads import surely_cheaper
from slmkit.economics.verdicts.evidence import LLM, NEVER, SLM, Evidence, listed, measures, named, spelled
from slmkit.judging import Finding, Rule, first_true

BILLION = 1e9


def cheaper_for_most(e: Evidence) -> Finding:
    """V3: share of the grid whose lower end of the ratio lies above 1."""
    share, table = e["share"].set_index("way"), e["grid"]
    own = share.loc["own endpoint"]
    sure = surely_cheaper(table)
    by_load = sure.groupby(table["load"]).mean()
    by_rival = sure.groupby(table["rival"], sort=False).mean()
    lost = sure.groupby([table["rival"], table["load"]], sort=False).mean()
    turns = [
        f"{rival} below a load of {_turn(part):.0%}" for rival, part in lost.groupby(level=0, sort=False) if _turn(part)
    ]
    return Finding(
        first_true(
            holds=own["low"] >= 0.9,
            conditional=0.5 <= own["estimate"] <= 0.9,
            fails=own["high"] < 0.5,
        ),
        rule=f"{_percent(own)} of {len(table)} cells with an own endpoint; by load: {listed(by_load, '{:.0%}')}; by "
        f"rival: {listed(by_rival, '{:.0%}')}; {_percent(share.loc['best of endpoint and API'])} where the small "
        "model may also be had by API",
        condition=f"turns against {', '.join(turns) or 'no rival'}",
        method="limits x loads x shapes x rivals; a cell counts where 1.96 spreads of its prediction error leave "
        "the ratio above 1; interval by Monte Carlo over rents, list prices and shares of solved tasks; a shared "
        "large model is at least 50 % busy",
        figure="figure-grid",
        models=[SLM, LLM, "Llama-3.1-405B", "Qwen3-32B", "gpt-oss-120b"],
        **measures(own["estimate"], own["low"], own["high"], len(table), "% of cells", 100),
    )


def _turn(part: pd.Series) -> float:
    """The load of the small model below which fewer than half of a rival's cells are won; 0 where none is."""
    loads = part.droplevel(0).sort_index()
    won = loads[loads >= 0.5]
    return float(won.index.min()) if len(won) and won.index.min() > loads.index.min() else 1.0 if won.empty else 0.0


def _percent(row: pd.Series) -> str:
    return f"{row['estimate']:.0%} [{row['low']:.0%}, {row['high']:.0%}]"


def central_is_cheaper(e: Evidence) -> Finding:
    """AV2/CA3: the relative load at which a dedicated small endpoint equals a shared large one."""
    found = e["load"].iloc[0]
    ten = e["shared"][(e["shared"]["k"] == 10) & np.isclose(e["shared"]["load_share"], 0.05)].iloc[0]
    return Finding(
        first_true(
            holds=found["estimate"] > 0.5,
            conditional=0.05 <= found["estimate"] <= 0.5,
            fails=found["estimate"] < 0.05,
        ),
        rule=f"break-even u_SLM/u_LLM {spelled(found['estimate'], found['low'], found['high'])} a solved task",
        condition=f"below a relative load of {found['estimate']:.0%} [{found['low']:.0%}, {found['high']:.0%}]; ten "
        f"adapters of 5 % load each on one base fill it to {ten['shared_utilization']:.0%} and take the case away",
        method="cost a solved task of both endpoints, prediction errors and shares of solved tasks by Monte Carlo",
        figure="figure-utilization",
        models=[SLM, LLM],
        **measures(found["estimate"], found["low"], found["high"], found["n"], "u_SLM / u_LLM at break-even"),
    )


def sharing_lifts(e: Evidence) -> Finding:
    """A12: cost of ten own endpoints over ten adapters on one base."""
    table = e["shared"]
    ten = table[(table["k"] == 10) & np.isclose(table["load_share"], 0.05)].iloc[0]
    enough = table[(table["low"] >= 3) & (table["llm_low"] > 1)]
    where = ", ".join(f"{k:g} adapters at up to {part['load_share'].max():.0%}" for k, part in enough.groupby("k"))
    return Finding(
        first_true(
            holds=ten["low"] >= 3 and ten["llm_low"] > 1,
            conditional=len(enough) > 0,
            fails=ten["high"] < 1.5,
        ),
        rule=f"k = 10 at 5 %: {spelled(ten['cost_ratio'], ten['low'], ten['high'])} times; LLM endpoint over the "
        f"shared base {ten['llm_over_shared']:.2g} (lower end {ten['llm_low']:.2g})",
        condition=where,
        method="queue of slots (Erlang, Allen-Cunneen), mean wait within 1 s, one busy hour; mixed adapters keep 50 "
        "to 100 % of the base's throughput (an assumption)",
        figure="figure-adapters",
        models=[SLM, LLM],
        **measures(
            ten["cost_ratio"], ten["low"], ten["high"], ten["n"], "times the cost, own endpoints over shared base"
        ),
    )


def hosting_is_dear(e: Evidence) -> Finding:
    """AV2/CA4: tokens a month at which self-hosting equals the cheaper API, over the range of fixed cost."""
    table = e["fixed"]
    above = table["low"] > BILLION
    middle = table.iloc[len(table) // 2 - 1]
    said = "; ".join(f"USD {row.fixed_usd_per_month:,.0f}: {_tokens(row.estimate)} [{_tokens(row.low)}, "
    f"{_tokens(row.high)}]"
                     for row in table.itertuples())  # fmt: skip
    return Finding(
        first_true(
            holds=above.all(),
            conditional=above.any() or (table["estimate"] > BILLION).any(),
            fails=(table["high"] < BILLION).all(),
        ),
        rule=f"tokens a month, by fixed cost: {said}; against {named(table['against'])}",
        condition="at a fixed cost of USD "
        f"{table.loc[table['estimate'] > BILLION, 'fixed_usd_per_month'].min():,.0f} or more",
        method="whole replicas by the month at 30 % load, the cheaper of SLM and LLM by API, Monte Carlo over rent, "
        f"prediction and list price; an infinite number (an API that is always cheaper) is cut at {NEVER:.0e}",
        figure="figure-fixed",
        models=[SLM, LLM],
        **measures(middle["estimate"], middle["low"], middle["high"], len(table),
                   f"tokens a month at USD {middle['fixed_usd_per_month']:,.0f} fixed"),
    )  # fmt: skip


def _tokens(count: float) -> str:
    return "never" if not np.isfinite(count) or count >= NEVER else f"{count / BILLION:.3g} bn"


def development_repaid(e: Evidence) -> Finding:
    """S0-32: tasks until development is repaid, for each open LLM price and number of refreshes."""
    table = e["payback"]
    soon, late = table["high"] <= 1e5, table["low"] > 1e6
    base = table[(table["llm"] == LLM) & (table["refreshes"] == 0)].sort_values("llm_usd_per_task")
    middle = base.iloc[(len(base) - 1) // 2]
    by_llm = table[table["refreshes"] == 0].groupby("llm", sort=False)["tasks"].median()
    within = table[soon]
    return Finding(
        first_true(
            holds=soon.all(),
            conditional=soon.any(),
            fails=late.all(),
        ),
        rule=f"tasks to payback without refresh, median over providers: {listed(by_llm, '{:,.0f}')}; upper end "
        f"within 100,000 for {int(soon.sum())} of {len(table)} prices and refresh rates, lower end above 1,000,000 "
        f"for {int(late.sum())}",
        condition="; ".join(f"{row.llm} by {row.provider}, {row.refreshes} refreshes" for row in within.itertuples()),
        method="labels, GPU hours, evaluation and people as ranges (assumptions, notebook), Monte Carlo; eight "
        "calls a task",
        figure="figure-payback",
        models=[SLM, *by_llm.index],
        **measures(
            middle["tasks"], middle["low"], middle["high"], len(table), "tasks to payback against dense 70 bn by API"
        ),
    )


def five_uses(e: Evidence) -> Finding:
    """S0-12: five uses, the cheapest small against the cheapest large way."""
    table = e["uses"].set_index("use")
    won = table["only"].astype(bool) | (table["ratio"] > 1)
    sure = table["only"].astype(bool) | (table["low"] > 1)
    scale = table.loc["100 M calls a month"]
    said = "; ".join(
        f"{use}: {'the only option' if row.only else spelled(row.ratio, row.low, row.high)} ({row.slm_way} against "
        f"{row.llm_way or 'none'})" for use, row in table.iterrows()
    )  # fmt: skip
    return Finding(
        first_true(holds=won.all(), conditional=won.sum() >= 3, fails=won.sum() <= 2),
        rule=said,
        condition=f"{named(won.index[won])}; not: {named(won.index[~won])}; by more than the error only: "
        f"{named(won.index[sure])}",
        method="cheapest way of each size that meets the use; LLM over SLM a solved task, Monte Carlo over "
        "prediction and shares of solved tasks",
        figure="figure-uses",
        models=[SLM, LLM, "gpt-oss-120b", "Qwen3-30B-A3B"],
        **measures(
            scale["ratio"], scale["low"], scale["high"], len(table), "times the cost a solved task, 100 M calls a month"
        ),
    )


RULES: dict[str, Rule] = {
    "V3": cheaper_for_most,
    "AV2/CA3": central_is_cheaper,
    "A12": sharing_lifts,
    "AV2/CA4": hosting_is_dear,
    "S0-32": development_repaid,
    "S0-12": five_uses,
}
