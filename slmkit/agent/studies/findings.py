"""One line on each table of notebook 04: the finding as a figure's title, worked out from the table it titles."""

from __future__ import annotations

from typing import Any

import pandas as pd

from slmkit.agent.routing.scorer import auroc
from slmkit.agent.studies import compute, mixed


def _points(value: float) -> str:
    return f"{100 * value:+.0f} points"


def by_gap(table: pd.DataFrame, gap: Any) -> str:
    """Success of both models, whether there is anything for a cascade to win, and what known wordings add."""
    by = table.set_index("arm")["estimate"]
    met = gap.difference >= 0.1 and gap.low > 0
    told = "the gap that the bars ask for is there" if met else "the gap that the bars ask for is not there"
    known = [by[f"{arm}, known wordings"] for arm in (mixed.SLM, mixed.LLM)]
    return (
        f"Small {by[mixed.SLM]:.0%}, large {by[mixed.LLM]:.0%} of the tasks: {told}; in known wordings {known[0]:.0%} "
        f"and {known[1]:.0%}"
    )


def by_frontier(table: pd.DataFrame) -> str:
    """The chosen point against the large model alone and random mixing."""
    by = table[table["arm"] != "trace"].set_index("arm")
    chosen, large, mix = by.loc[mixed.CHOSEN], by.loc[mixed.LLM], by.loc[mixed.RANDOM]
    return (
        f"Cascade {chosen['success']:.0%} with {chosen['share']:.0%} of the large calls; large alone "
        f"{large['success']:.0%}, random mix {mix['success']:.0%}"
    )


def by_calibration(table: pd.DataFrame) -> str:
    """How well the score tells wrong replies from right ones."""
    area = auroc(table["risk"], table["wrong"].astype(bool))
    if area != area:
        return f"{'All' if table['wrong'].all() else 'None'} of the calibration replies are wrong: no score to learn"
    return f"The score tells wrong replies from right ones with an AUROC of {area:.2f} (in sample)"


def by_need(table: pd.DataFrame) -> str:
    """The range of the oracle's share over pairs."""
    tuned = table[table["tuned"].astype(bool)]["estimate"]
    general = table[~table["tuned"].astype(bool)]["estimate"]
    return (
        f"Only {tuned.min():.0%} to {tuned.max():.0%} of the items need the large model if the small one is tuned, "
        f"{general.min():.0%} to {general.max():.0%} if not"
    )


def by_pairs(table: pd.DataFrame) -> str:
    """How many routers do what S0-22 asks for."""
    good = (table["ruling"] == "non-inferior") & (table["cost_high"] < 1) & (table["random_low"] > 0)
    above = int((table["random_low"] > 0).sum())
    return f"{int(good.sum())} of {len(table)} routers keep the quality at lower cost; {above} beat random mixing"


def by_routellm(table: pd.DataFrame) -> str:
    """Our text router beside the best published one."""
    parts = []
    for name, rows in table[table["who"] != "oracle"].groupby("set", sort=False):
        ours, theirs = rows[~rows["published"].astype(bool)], rows[rows["published"].astype(bool)]
        mine = ours.set_index("who")["apgr"]["text router"]
        parts.append(f"{str(name).upper()} {mine:.2f} against {theirs['apgr'].max():.2f}")
    return f"TF-IDF router and RouteLLM's best, share of the gap recovered: {'; '.join(parts)}"


def by_curves(table: pd.DataFrame) -> str:
    """Quality of the text router at half of the calls, by set."""
    half = table[(table["who"] == "text router") & (table["share"].sub(0.5).abs() < 0.01)]
    ends = table[table["who"] == "text router"].groupby("panel")["quality"].agg(["first", "last"])
    told = []
    for row in half.itertuples():
        first, last = ends.loc[row.panel]
        told.append(f"{row.panel} {(row.quality - first) / (last - first):.0%}" if last != first else str(row.panel))
    return f"Half of the calls to the large model recover of the gap: {', '.join(told)}"


def by_traces(table: pd.DataFrame) -> str:
    """Which signal foretells failure over all agents."""
    rows = table[table["agent"] == "all agents"]
    sure = rows[rows["low"] > 0.5]
    if sure.empty:
        return "None of the rules foretells a failed run better than chance"
    best = sure.loc[sure["estimate"].idxmax()]
    within = table[(table["agent"] != "all agents") & (table["signal"] == best["signal"])]
    return (
        f"{best['says'].capitalize()}: {best['failed_flagged']:.0%} of such runs fail, {best['failed_clear']:.0%} of "
        f"the others; surely above chance within {int((within['low'] > 0.5).sum())} of {len(within)} agents"
    )


def by_kind(table: pd.DataFrame) -> str:
    """The step kind with the largest gap, and one without."""
    if table.empty:
        return "Too few steps of any kind"
    worst, best = table.loc[table["difference"].idxmin()], table.loc[table["difference"].idxmax()]
    return (
        f"Small minus large: {_points(worst['difference'])} where it must {worst['says']}, "
        f"{_points(best['difference'])} where it must {best['says']}"
    )


def by_length(fit: pd.DataFrame) -> str:
    """Chance of a call and the self-conditioning term of both."""
    by = fit.set_index("arm")
    told = [f"{arm.split()[0]} {row['p']:.2f} ({row['term']:+.2f})" for arm, row in by.iterrows()]
    return f"Chance of a right call (and self-conditioning): {', '.join(told)}"


def by_compute(table: pd.DataFrame) -> str:
    """The best aid against one answer."""
    by = table.set_index("arm")
    aids = by.drop(index=[compute.SINGLE, compute.LARGE])
    best = aids.loc[aids["gain"].idxmax()]
    times = best["tokens"] / max(1, by.loc[compute.SINGLE, "tokens"])
    return f"Best aid, {best.name}: {_points(best['gain'])} for {times:.1f} times the tokens of one answer"


def by_ability(table: pd.DataFrame, recovered: pd.DataFrame) -> str:
    """Recovery by arm."""
    told = [f"{row.arm.split()[0]} {row.estimate:.0%}" for row in recovered.itertuples()]
    return f"Solved although a tool broke: {', '.join(told) or 'no such task'}"


def by_share(steps: pd.DataFrame) -> str:
    """Who answers."""
    share = (steps["answered_by"] == "large").mean()
    return f"The large model answers {share:.0%} of the steps, and is asked on {steps['escalated'].mean():.0%}"


def by_latency(table: pd.DataFrame) -> str:
    """Median and tail of the cascade against the large model."""
    from slmkit.agent.studies.latency import quantiles

    by = quantiles(table).set_index("arm")
    return (
        f"Cascade: median {by.loc['cascade', 'p50'] / by.loc['large', 'p50']:.1f} times the large model's, 95th "
        f"percentile {by.loc['cascade', 'p95'] / by.loc['large', 'p95']:.1f} times"
    )


def by_writes(table: pd.DataFrame) -> str:
    """Wrong writes with and without guardrails."""
    by = table.set_index("arm")
    with_, without = by.loc[mixed.CHOSEN], by.loc[mixed.BARE]
    return (
        f"Wrong writes on {with_['wrong_tasks']} of {with_['tasks']} tasks with guardrails, {without['wrong_tasks']} "
        f"without; {with_['wrong_irreversible']} and {without['wrong_irreversible']} of them cannot be undone"
    )


def by_absence(table: pd.DataFrame) -> str:
    """What is left when the large model is gone."""
    arm = {name: table[table["arm"] == name].set_index("task_id") for name in (mixed.CHOSEN, mixed.GONE)}
    said = int((arm[mixed.GONE]["status"] == "gave_up").sum())
    gone, whole = arm[mixed.GONE]["reward"], arm[mixed.CHOSEN]["reward"]
    return (
        f"Large model gone: {gone.mean():.0%} solved instead of {whole.mean():.0%}; {said} of {len(gone)} tasks are "
        "handed back in words"
    )


def by_agency(table: pd.DataFrame) -> str:
    """What code in charge does for either model."""
    by = table.set_index(["mode", "role"])["estimate"]
    small, large = (by["code in charge", role] - by["model in charge", role] for role in ("slm", "llm"))
    return f"Code in charge: {_points(small)} for the small model, {_points(large)} for the large one"


def by_bricks(table: pd.DataFrame) -> str:
    """The router over specialists against both rivals."""
    rows = table[table["group"] == "all"].set_index("rival")["difference"]
    return "Two specialists: " + ", ".join(f"{_points(gap)} to {rival}" for rival, gap in rows.items())
