"""Rules on price: hours of a night, a short round with its labels, and the cost of entry."""

from __future__ import annotations

import pandas as pd

from slmkit.judging import Finding, Rule, first_true
from slmkit.specialization.studies import price
from slmkit.specialization.verdicts.evidence import Evidence

CYCLE_S, CYCLE_LONG_S = 180, 1_800  # of S4-4
CYCLE_USD, CYCLE_MUCH_USD = 10, 100
OVERNIGHT_H = 12  # of A2.4


def overnight(e: Evidence) -> Finding:
    """A2.4: GPU hours of a LoRA on 10,000 examples, 8 bn, and the contrast with 70 bn."""
    jobs = e.tables["projection"]
    job = jobs[jobs["job"].str.contains("examples")].set_index("model")
    small, large = job.loc["8 bn"], job.loc["70 bn"]
    shown = large.hours_low > OVERNIGHT_H
    mine = price.headline(e.tables["trainings"])
    return Finding(
        first_true(
            holds=small.hours_high <= OVERNIGHT_H,
            fails=small.hours_low > OVERNIGHT_H,
            conditional=True,
        ),
        rule=f"8 bn: {small.hours:.2f} [{small.hours_low:.2f}, {small.hours_high:.2f}] H100-hours for "
        f"{small.tokens:,.0f} tokens; 70 bn: {large.hours:.1f} [{large.hours_low:.1f}, {large.hours_high:.1f}], so the "
        f"contrast is {'shown' if shown else 'not shown'}; here {mine['seconds'].max():.0f} s for "
        f"{int(mine['n'].iloc[0])} examples",
        method="4 N D floating-point operations, MFU 0.05 to 0.40 (published runs; no GPU was at hand)",
        figure="figure-price",
        unit="H100-hours, 8 bn",
        condition=f"up to {small.tokens * OVERNIGHT_H / small.hours_high:,.0f} tokens at the lowest MFU",
        models=[e.base],
        estimate=float(small.hours),
        interval=(float(small.hours_low), float(small.hours_high)),
        n=len(mine),
    )


def short_rounds(e: Evidence) -> Finding:
    """S4-4: seconds of one cycle here, USD of one cycle for 8 bn, with labels and without."""
    mine = price.headline(e.tables["trainings"])
    cycle = price.cycle(e.tables["trainings"], e.tables["ladder"])
    seconds = mine["seconds"].to_numpy() + cycle["evaluate_s"]
    cost = _one_cycle(e)
    labelled = cost.usd_high + cost.labels_usd_high
    share = cost.labels_usd / (cost.labels_usd + cost.usd)
    quick = seconds.max() <= CYCLE_S and cost.usd_high <= CYCLE_USD
    return Finding(
        first_true(
            inconclusive=cycle["n"] != price.CYCLE_EXAMPLES,
            fails=seconds.min() > CYCLE_LONG_S or cost.usd_low > CYCLE_MUCH_USD,
            holds=quick and labelled <= CYCLE_USD,
            conditional=quick,
        ),
        rule=f"one cycle of {cycle['n']} examples: {seconds.max():.0f} s here; 8 bn: USD {cost.usd:.2f} "
        f"[{cost.usd_low:.2f}, {cost.usd_high:.2f}] of GPU time, labels USD {cost.labels_usd:.2f} "
        f"[{cost.labels_usd_low:.2f}, {cost.labels_usd_high:.2f}]",
        method="wall time of training with its evaluations and of one pass over the test set; 4 N D over MFU and rent",
        figure="figure-price",
        unit="seconds of one cycle here",
        condition=f"without labels, which are {share:.0%} of the cost (USD {cost.labels_usd_low:.2f} to "
        f"{cost.labels_usd_high:.2f} a cycle against USD {cost.usd_high:.2f} of GPU time at most)",
        models=[e.base],
        estimate=float(seconds.mean()),
        interval=(float(seconds.min()), float(seconds.max())),
        n=len(seconds),
    )


def lower_entry(e: Evidence) -> Finding:
    """A3.2: a social claim; the price of one adapter stands beside it."""
    cost = _one_cycle(e)
    return Finding(
        "not_testable",
        rule=f"a social claim, which no run can measure; beside it, one adapter of {price.CYCLE_EXAMPLES} examples for "
        f"8 bn: USD {cost.usd:.2f} of GPU time and USD {cost.labels_usd:.2f} of labels "
        f"[{cost.labels_usd_low:.2f}, {cost.labels_usd_high:.2f}]",
        method="cost model of notebook 02",
        figure="figure-price",
    )


def _one_cycle(e: Evidence) -> pd.Series:
    """The row of the projection for one short round on 8 bn."""
    jobs = e.tables["projection"]
    return jobs[(jobs["job"] == "one cycle") & (jobs["model"] == "8 bn")].iloc[0]


RULES: dict[str, Rule] = {"A2.4": overnight, "A3.2": lower_entry, "S4-4": short_rounds}
