"""Rules that the board of BFCL V4 decides (50 configurations, state of 12 April 2026)."""

from __future__ import annotations

import pandas as pd

from slmkit.capability import trends
from slmkit.capability.published import SMALL_BN
from slmkit.capability.trends import AGENTIC
from slmkit.capability.verdicts.evidence import CAVEAT, Evidence, listed, measures, non_inferior, percent, spelled
from slmkit.capability.verdicts.live import decodable, in_schema
from slmkit.capability.verdicts.outcomes import MARGIN, TINY_BN
from slmkit.judging import Finding, Rule, first_true

METHOD = f"BFCL V4, bootstrap over models, {CAVEAT}; models are no random sample"
CALLS = ("non-live AST", "live AST")


def abilities_stand_for_the_rest(e: Evidence) -> Finding:
    """A1.13: rank correlation of single-turn calls with each ability that the benchmarks leave out."""
    ranks = trends.rank_correlations(e.facts, e.board, ["single-turn"], AGENTIC, **e.resampling)
    ranks = ranks.set_index("agentic")
    follows, apart = ranks[ranks.low >= 0.6].index, ranks[ranks.high < 0.6].index
    weakest = ranks.loc[ranks.estimate.idxmin()]
    read = "; ".join(f"{name} {_rho(row)}" for name, row in ranks.iterrows())
    return Finding(
        first_true(
            holds=len(follows) == len(ranks),
            fails=len(apart) == len(ranks),
            conditional=len(follows) > 0 and len(apart) > 0,
        ),
        rule=f"Spearman with single-turn calls: {read}",
        condition=f"single-turn calls stand for {', '.join(follows)}; not for {', '.join(apart)}",
        method=f"{METHOD}; Spearman correlation",
        figure="figure-ranks",
        unit="Spearman correlation",
        models=e.board.model,
        **measures(weakest),
    )


def small_models_rise(e: Evidence) -> Finding:
    """B2: whether agentic ranks leave general ranks, and small models rise from one to the other."""
    ranks = trends.rank_correlations(e.facts, e.board, ["GPQA", "MMLU"], ["overall"], **e.resampling)
    decides, check = ranks.iloc[0], ranks.iloc[1]
    undecided = decides.low < 0.5 <= decides.high
    rising = _rising(e) if undecided else []
    shift = f"{decides['shift']:+.1f} [{decides.shift_low:+.1f}, {decides.shift_high:+.1f}] percentiles"
    return Finding(
        first_true(
            holds=decides.high < 0.5 and decides.shift_low > 10,
            fails=decides.low >= 0.5 or decides.shift_high < 0,
            conditional=undecided and len(rising) > 0 and set(rising) <= set(CALLS),
        ),
        rule=f"GPQA with V4 overall {_rho(decides)}, {decides.n} models; MMLU as a check {_rho(check)}, "
        f"{check.n} models; {decides.n_small} small models move {shift}",
        condition=f"ranks undecided; small models rise in single-turn columns only: {', '.join(rising)}",
        method=f"{METHOD}; Spearman correlation; the general score is a mean over harnesses",
        figure="figure-ranks",
        unit="Spearman correlation",
        models=e.board.model[e.board.model.isin(e.facts.model[e.facts.benchmark == "GPQA"])],
        **measures(decides),
    )


def slopes_differ(e: Evidence) -> Finding:
    """S0-16: points a tenfold size by skill, each minus that of single-turn calls, Holm over the four."""
    slopes = trends.slopes_by_skill(e.board, ("single-turn", *AGENTIC, "irrelevance"), **e.resampling)
    steeper = slopes.set_index("skill").drop(index="single-turn")
    differs = steeper.p_holm[steeper.p_holm < 0.05].index.intersection(AGENTIC)
    web = steeper.loc["web search"]
    read = "; ".join(
        f"{name} {row.steeper:+.1f} [{row.steeper_low:+.1f}, {row.steeper_high:+.1f}], p {row.p_holm:.2f}"
        for name, row in steeper.iterrows()
    )
    level = slopes.set_index("skill").estimate["single-turn"]
    return Finding(
        first_true(
            holds=len(differs) > 0,
            fails=bool((steeper.steeper_low >= -5).all() and (steeper.steeper_high <= 5).all()),
        ),
        rule=f"slope minus that of single-turn calls ({level:+.1f} points a tenfold size): {read} (Holm)",
        method=f"{METHOD}; sized generalists, least squares on log10 of total size, paired over models, Holm",
        figure="figure-slopes",
        estimate=float(web.steeper),
        interval=(float(web.steeper_low), float(web.steeper_high)),
        unit="points per tenfold size, web search minus single-turn",
        n=int(web.n),
        models=e.board.model[~e.board.specialist & e.board.params_b.notna()],
    )


def smaller_is_enough(e: Evidence) -> Finding:
    """S0-30: share of six columns in which the best small model is within 5 points of the best large."""
    share = trends.share_within(e.board, 5, **e.resampling)
    kind = e.board.set_index("model").specialist.map({True: "tool specialist", False: "generalist"})
    near = e.gaps.estimate >= -5
    reached = ", ".join(
        f"{name} ({row.small}, {kind[row.small]}, {row.estimate:+.1f})" for name, row in e.gaps[near].iterrows()
    )
    return Finding(
        first_true(
            holds=near.all() and share.low > 0.8,
            conditional=0 < near.sum() < len(near),
            fails=not near.any(),
        ),
        rule=f"best small within 5 points of best large in {near.sum()} of {len(near)} columns: "
        f"{listed(e.gaps.estimate)}",
        condition=f"{reached}; not {listed(e.gaps.estimate[~near])}",
        method=METHOD,
        figure="figure-gaps",
        unit="% of columns",
        models=[*e.gaps.small, *e.gaps.large],
        **measures(share, 100),
    )


def no_billions_needed(e: Evidence) -> Finding:
    """S0-33: medians below and above 2 bn, and whether a model under 2 bn has a schema of its own."""
    rows = e.board[e.board.params_b < SMALL_BN]
    tiny = rows.params_b < TINY_BN
    gap = trends.median_gap(rows, "overall", tiny, ~tiny, **e.resampling)
    known = e.pairs[(e.pairs.small_bn < TINY_BN) & (e.pairs.large_bn >= TINY_BN)]
    tests = pd.concat([known.assign(schema="BFCL v1 calls"), in_schema(e)], ignore_index=True)
    niche = tests[non_inferior(tests, MARGIN)].sort_values("score_large")
    best = "" if niche.empty else _niche(niche.iloc[-1])
    return Finding(
        first_true(holds=gap.low > -5, conditional=len(niche) > 0, fails=gap.high < -5),
        rule=f"V4 overall, median of {tiny.sum()} under 2 bn minus that of {(~tiny).sum()} from 2 to 10 bn: "
        f"{spelled(gap)}; under 2 bn non-inferior at 5 points in {len(niche)} of {len(tests)} pairs (Holm)",
        condition=f"in schema: {best}; boundary: {spelled(gap)} over all of V4",
        method=f"{METHOD}; difference of medians; pairs: same items, paired bootstrap over items",
        figure="figure-size",
        unit="points",
        models=[*rows.model, *niche.small, *niche.large],
        **measures(gap),
    )


def choose_by_the_job(e: Evidence) -> Finding:
    """S4-12: what one loses by taking the small model that is best overall, over the six columns."""
    small = e.board[e.board["size"] == "small"]
    regret = trends.regret(small, **e.resampling).set_index("job")
    mean, jobs = regret.loc["mean"], regret.drop(index="mean")
    costly = jobs[jobs.low >= 5]
    return Finding(
        first_true(holds=mean.low >= 5, conditional=len(costly) > 0, fails=mean.high < 5),
        rule=f"regret of {mean.chosen}, best overall: {spelled(mean)} in the mean; by job: "
        + ", ".join(f"{name} {spelled(row, unit='')}" for name, row in jobs.iterrows()),
        condition=", ".join(f"{name} ({spelled(row)}, best: {row.best})" for name, row in costly.iterrows()),
        method=METHOD,
        figure="figure-ranks",
        unit="points",
        models=small.model,
        **measures(mean),
    )


def many_are_strong(e: Evidence) -> Finding:
    """S4-17: share of small models near the median large one in calls (a), and in irrelevance too (b)."""
    calls, both = (trends.near_large(e.board, columns) for columns in (["single-turn"], ["single-turn", "irrelevance"]))
    return Finding(
        first_true(
            holds=both.low > 1 / 3,
            conditional=calls.low > 1 / 3,
            fails=calls.high < 1 / 3,
        ),
        rule=f"near the median large model: calls {percent(calls)}, calls and irrelevance "
        f"{percent(both)} of {both.n} small models; beside, live: {decodable(e)}",
        condition=f"call syntax ({percent(calls)}), not restraint ({percent(both)})",
        method=f"BFCL V4, Wilson over the small models, {CAVEAT}; within 5 points of the median large model",
        figure="figure-gaps",
        unit="% of small models",
        models=e.board.model[e.board["size"] == "small"],
        **measures(both, 100),
    )


def _rising(e: Evidence) -> list[str]:
    """Columns of V4 in which small models rank higher than in GPQA, the whole interval above 0."""
    ranks = trends.rank_correlations(e.facts, e.board, ["GPQA"], (*CALLS, *AGENTIC), **e.resampling)
    return list(ranks.agentic[ranks.shift_low > 0])


def _niche(pair: pd.Series) -> str:
    return f"{pair.small} minus {pair.large}: {spelled(pair, scale=100)} ({pair.schema}, {pair.n} items)"


def _rho(row: pd.Series) -> str:
    return f"{row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]"


RULES: dict[str, Rule] = {
    "A1.13": abilities_stand_for_the_rest,
    "B2": small_models_rise,
    "S0-16": slopes_differ,
    "S0-30": smaller_is_enough,
    "S0-33": no_billions_needed,
    "S4-12": choose_by_the_job,
    "S4-17": many_are_strong,
}
