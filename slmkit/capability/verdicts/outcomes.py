"""Rules that the items of BFCL v1 decide: real models on the same calls, board of 11 August 2024.

`pairs` and `needs` make the two small tables that the rules read; they are committed with the results, so a
reader without the data set gets the same verdicts.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from slmkit import stats
from slmkit.capability import outcomes as v1
from slmkit.capability import published
from slmkit.capability.verdicts.evidence import Evidence, listed, measures, percent, spelled
from slmkit.errors import InputError
from slmkit.judging import Finding, Rule, first_true

LARGE = "claude-3-5-sonnet-20240620"
TUNED = "Salesforce_xLAM-7b-fc-r"
TINY_BN = 2
UNTUNED = "meta-llama_Meta-Llama-3-8B-Instruct"
SMALL = (
    TUNED,
    "Salesforce_xLAM-1b-fc-r",
    "gorilla-openfunctions-v2",
    "meetkai_functionary-small-v3.2-FC",
    UNTUNED,
)
RIVALS = (  # large models beside it, of four makers, each at its better mode
    "gpt-4-0125-preview",
    "meta-llama_Meta-Llama-3-70B-Instruct",
    "nvidia_nemotron-4-340b-instruct",
    "open-mixtral-8x22b",
)
MARGIN = 0.05
METHOD = (
    "BFCL v1 items of the board of 11 August 2024, one recorded run a model, broken runs left out; {}, "
    "resampling unit: the item"
)


def pairs(table: pd.DataFrame, **resampling: Any) -> pd.DataFrame:
    """Paired differences in accuracy, as shares, that the rules need, from `outcomes.load()`.

    The tuned 7 bn caller minus Claude 3.5 Sonnet over all items and over call items; each model under 2 bn
    minus each of 2 bn and more. Columns: small, large, group (all, calls), small_bn, large_bn (NaN: not
    published), score_small, score_large, n, difference, low, high.
    """
    size = v1.models().params_b.reindex(table.columns)
    wanted = [(TUNED, LARGE, "all"), (TUNED, LARGE, "calls")]
    wanted += [(a, b, "all") for a in size.index[size < TINY_BN] for b in size.index[size >= TINY_BN]]
    rows = []
    for small, large, group in wanted:
        part = v1.calls(table) if group == "calls" else table
        found = v1.compare(part, small, large, MARGIN, **resampling)
        rows.append(
            {"small": small, "large": large, "group": group, "small_bn": size[small], "large_bn": size[large]}
            | {"score_small": (part[small] == "ok").mean(), "score_large": (part[large] == "ok").mean()}
            | {name: getattr(found, name) for name in ("n", "difference", "low", "high")}
        )
    return pd.DataFrame(rows)


def needs(table: pd.DataFrame) -> pd.DataFrame:
    """`outcomes.what_the_large_adds` of five small models and Claude 3.5 Sonnet, over all and by category."""
    tables = [v1.what_the_large_adds(table, small, LARGE, by) for small in SMALL for by in (None, "category")]
    return pd.concat(tables, ignore_index=True)


def agreements(table: pd.DataFrame) -> pd.DataFrame:
    """`outcomes.agreement` of the five small models of `needs` and five large ones, each pair once."""
    return v1.agreement(table, [*SMALL, LARGE, *RIVALS])


def within_power(e: Evidence) -> Finding:
    """V1: the tuned caller against the large model item by item, and four errands of V4 beside."""
    pair = _pair(e, "all")
    gaps = e.gaps.estimate.loc[["irrelevance", "multi-turn", "web search", "memory"]]
    near = gaps >= -5
    ruling = stats.non_inferiority(pair.low, pair.high, MARGIN)
    return Finding(
        first_true(
            holds=ruling == "non-inferior" and near.all(),
            conditional=ruling == "non-inferior",
            fails=ruling == "inferior",
        ),
        rule=f"{TUNED} minus {LARGE}: {spelled(pair, scale=100)}, {ruling} at 5; V4, best small minus best "
        f"large: {listed(gaps)}",
        condition=f"single-turn calls in a schema tuned for ({100 * pair.difference:+.1f} points); inside "
        f"5 points on V4: {listed(gaps[near])}; outside: {listed(gaps[~near])}",
        method=METHOD.format("paired bootstrap") + "; V4 gaps are point estimates of one harness",
        figure="figure-large-adds",
        unit="points",
        models=[TUNED, LARGE, *e.gaps.loc[gaps.index, ["small", "large"]].to_numpy().ravel()],
        **measures(pair, 100),
    )


def comparable_in_tool_use(e: Evidence) -> Finding:
    """S0-7: the same pair over call items only, and ACEBench as another style of schema."""
    pair = _pair(e, "calls")
    other = published.same_table_pairs(e.facts, "ACEBench overall").iloc[0]
    ruling = stats.non_inferiority(pair.low, pair.high, MARGIN)
    return Finding(
        first_true(
            holds=ruling == "non-inferior" and other.gap >= -5,
            conditional=ruling == "non-inferior",
            fails=ruling == "inferior",
        ),
        rule=f"{TUNED} minus {LARGE} on call items: {spelled(pair, scale=100)}, {ruling} at 5; ACEBench, "
        f"{other.small} minus {other.large}: {other.gap:+.1f}",
        condition=f"tuned and in its own format ({100 * pair.difference:+.1f} points); not in another "
        f"style of schema (ACEBench {other.gap:+.1f})",
        method=METHOD.format("paired bootstrap") + "; speed and price are judged elsewhere",
        figure="figure-large-adds",
        unit="points",
        models=[TUNED, LARGE, other.small, other.large],
        **measures(pair, 100),
    )


def will_sometimes_do(e: Evidence) -> Finding:
    """S4-2: share of items that need the large model, for five small ones; the best of them decides."""
    needed = e.needs[(e.needs.part == "large only") & (e.needs.large == LARGE)]
    whole = needed[needed.group == "all"].set_index("small").loc[list(SMALL)]
    best = whole.high.idxmin()
    groups = needed[(needed.small == best) & (needed.group != "all")].set_index("group").estimate
    lowest = whole.high[best]
    shares = "; ".join(f"{name} {percent(row)}" for name, row in whole.iterrows())
    return Finding(
        first_true(holds=lowest <= 0.10, conditional=lowest <= 0.20, fails=bool((whole.low > 0.20).all())),
        rule=f"needs {LARGE}: {shares}; boundary, untuned: {UNTUNED}",
        condition=f"{best}, at most 10 % needed in: {listed_shares(groups[groups <= 0.10])}; more in: "
        f"{listed_shares(groups[groups > 0.10])}",
        method=METHOD.format("share solved by the large model only, Wilson"),
        figure="figure-large-adds",
        unit="% of items",
        models=[*SMALL, LARGE],
        **measures(whole.loc[TUNED], 100),
    )


def listed_shares(shares: pd.Series) -> str:
    """`simple (3.1 %), java (8.0 %)`."""
    return ", ".join(f"{name} ({100 * share:.1f} %)" for name, share in shares.items()) or "none"


def _pair(e: Evidence, group: str) -> pd.Series:
    rows = e.pairs[(e.pairs.small == TUNED) & (e.pairs.large == LARGE) & (e.pairs.group == group)]
    if rows.empty:
        raise InputError(f"table of pairs: no row {TUNED} / {LARGE} / {group}; make it with verdicts.pairs()")
    return rows.iloc[0]


RULES: dict[str, Rule] = {"V1": within_power, "S0-7": comparable_in_tool_use, "S4-2": will_sometimes_do}
