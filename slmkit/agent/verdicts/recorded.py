"""The rule that recorded outcomes of real models decide: S0-22."""

from __future__ import annotations

from slmkit import stats
from slmkit.agent.verdicts.evidence import Evidence, listed
from slmkit.judging import Finding, Rule, first_true

JUDGED = ("learned", "text router")


def hybrid_is_best(e: Evidence) -> Finding:
    """S0-22: is a learned router as good as the large model, at lower cost, and above random mixing?"""
    table = e["routers"][e["routers"]["who"].isin(JUDGED)]
    kept, saves, sure = table["ruling"] == "non-inferior", table["cost_high"] < 1, table["random_low"] > 0
    good = table[kept & saves & sure]
    k, n = len(good), len(table)
    low, high = stats.wilson(k, n)
    named = listed(f"{row.pair} ({row.share:.0%} large calls)" for row in good.itertuples())
    return Finding(
        first_true(holds=k > n / 2, conditional=k > 0 and bool(good["tuned"].all()), fails=k == 0),
        rule=f"{k} of {n} pairs pass all three: {named}; non-inferior at 2 points {int(kept.sum())}, cheaper "
        f"{int(saves.sum())}, above random mixing {int(sure.sum())}; inferior "
        f"{int((table['ruling'] == 'inferior').sum())}, undecided {int((table['ruling'] == 'inconclusive').sum())}",
        condition=f"for tuned small models only: {named}",
        method="thresholds from one half of the items, tested on the other, both ways; BFCL v1: category and whether "
        "the small output can be read, both calls paid; MMLU and GSM8K: TF-IDF router before the call; a small call "
        "costs a tenth of a large one; bootstrap over items",
        figure="figure-pairs",
        estimate=100 * k / n,
        interval=(100 * low, 100 * high),
        unit="% of pairs",
        n=n,
        models=list(table["pair"]),
    )


RULES: dict[str, Rule] = {"S0-22": hybrid_is_best}
