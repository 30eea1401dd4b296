"""Rules about kinds of steps, agency, long tasks, abilities and compute: A6, S4-10, A11, S0-6, A1.12, A10."""

from __future__ import annotations

import pandas as pd

from slmkit import stats
from slmkit.agent.studies import compute, forced, horizons, mixed, recovery
from slmkit.agent.verdicts.evidence import METHOD, Evidence, inferior, listed, non_inferior, points, spelled, undecided
from slmkit.judging import Finding, Rule, first_true

MARGIN, ABILITY_MARGIN = 0.03, 0.05
CODE_SLM, CODE_LLM = "small, code agency", "large, code agency"


def kinds_differ(e: Evidence) -> Finding:
    """A6: step kinds, and code agency with the small model at the leaves."""
    kinds = forced.by_kind(e["steps"], MARGIN, **e.resampling)
    if kinds.empty:
        return undecided("too few steps of any kind", e)
    fine, worse = kinds["kind"][non_inferior(kinds, MARGIN)], kinds["kind"][inferior(kinds, MARGIN)]
    both = _agencies(e)
    code = mixed.paired(both, CODE_SLM, mixed.LLM, MARGIN, **e.resampling)
    split = e.paired(mixed.SPLIT, mixed.LLM, MARGIN)
    differ = len(fine) > 0 and len(worse) > 0
    by_code, by_lm = code.verdict == "non-inferior", split.verdict == "non-inferior"
    return Finding(
        first_true(
            holds=differ and by_code,
            conditional=differ and by_lm,
            fails=len(worse) == len(kinds) or len(fine) == len(kinds),
        ),
        rule=f"non-inferior at 3 (Holm): {listed(fine)}; inferior: {listed(worse)}; of {len(kinds)} kinds; code agency "
        f"with the small model minus the large at the root: {spelled(code)}, {code.verdict}; split by kind: "
        f"{split.verdict}",
        condition="kinds differ, and a large model at the root profits (split by kind), code in charge does not",
        method=f"{METHOD}; step kinds on the goal's way, paired by step, resampled by task, Holm",
        figure="figure-kinds",
        models=e.models,
        **points(code),
    )


def _agencies(e: Evidence) -> pd.DataFrame:
    return pd.concat([e["code"], e["runs"][e["runs"]["arm"].isin([mixed.SLM, mixed.LLM])]], ignore_index=True)


def code_in_charge(e: Evidence) -> Finding:
    """S4-10: what a fixed graph does for the small model."""
    both = _agencies(e)
    gain = mixed.paired(both, CODE_SLM, mixed.SLM, None, **e.resampling)
    against = mixed.paired(both, CODE_SLM, mixed.LLM, MARGIN, **e.resampling)
    behind = [
        kind
        for kind, part in both.groupby("kind")
        if mixed.rewards(part, CODE_SLM).mean() < mixed.rewards(part, mixed.LLM).mean() - MARGIN
    ]
    raises = gain.low > 0
    return Finding(
        first_true(
            holds=raises and against.verdict == "non-inferior",
            conditional=raises,
            fails=gain.high < MARGIN,
        ),
        rule=f"code minus LM agency, small model: {spelled(gain)}; minus the large model at the root: "
        f"{spelled(against)}, {against.verdict} at 3",
        condition=f"it raises the small model, which stays behind on: {listed(behind)}",
        method=f"{METHOD}; the same tasks in both agencies; no gain: the upper end is below 3 points",
        figure="figure-agency",
        models=e.models,
        **points(gain),
    )


def long_tasks(e: Evidence) -> Finding:
    """A11: does the gap vanish because work is broken into steps?"""
    table = horizons.differences(e.more, mixed.SLM, mixed.LLM, MARGIN, **e.resampling)
    fit = horizons.fitted(e.more, [mixed.SLM, mixed.LLM], e.n_bootstrap, e.seed)
    if len(table) < 2 or fit.empty:
        return undecided("too few tasks of more than one length", e)
    by = table.set_index("calls")
    longest = by.iloc[-1]
    small = fit.set_index("arm").loc[mixed.SLM]
    fine = [calls for calls in by.index if by.loc[calls, "ruling"] == "non-inferior"]
    upto = [calls for place, calls in enumerate(by.index) if list(by.index[: place + 1]) == fine[: place + 1]]
    several = by[[not calls.startswith("1") or "-" in calls for calls in by.index]]
    flat = small["low"] <= 0 <= small["high"]
    reached = by.index[-1] == horizons.bin_of(12)
    return Finding(
        first_true(
            holds=reached and longest["ruling"] == "non-inferior" and flat,
            conditional=bool(upto),
            fails=len(several) > 0 and (several["ruling"] == "inferior").all(),
        ),
        rule="small minus large by calls: "
        + "; ".join(f"{calls}: {spelled(row)}, {row['ruling']}" for calls, row in by.iterrows())
        + f"; small: p {small['p']:.2f}, self-conditioning term {small['term']:+.3f} [{small['low']:+.3f}, "
        f"{small['high']:+.3f}]",
        condition=f"non-inferior up to {upto[-1] if upto else 'no length'} calls",
        method=f"{METHOD}; p^n q^(n(n-1)/2) by maximum likelihood, the term is log q",
        figure="figure-horizon",
        models=e.models,
        **points(longest),
    )


def keeps_pace(e: Evidence) -> Finding:
    """S0-6: four abilities, recovery the estimate."""
    table = recovery.four_abilities(
        e["runs"], e.more, e["steps"], e["order"], mixed.SLM, mixed.LLM, ABILITY_MARGIN, **e.resampling
    )
    by = table.set_index("ability")
    if "recovery" not in by.index:
        return undecided("too few tasks with an injected tool error", e)
    fine = pd.Series(non_inferior(table, ABILITY_MARGIN), index=by.index)
    worse = pd.Series(inferior(table, ABILITY_MARGIN), index=by.index)
    return Finding(
        first_true(holds=fine.all() and len(fine) == 4, conditional=fine.any(), fails=worse.all()),
        rule="small minus large: " + "; ".join(f"{name} {spelled(row)}" for name, row in by.iterrows()),
        condition=f"in {listed(fine.index[fine])}",
        method=f"{METHOD}; calls on the goal's way, plan by longest common subsequence; Holm over four",
        figure="figure-abilities",
        models=e.models,
        **points(by.loc["recovery"]),
    )


def aids(e: Evidence) -> Finding:
    """A1.12: vote, verifier, self-critique against one answer."""
    ways = compute.summary(e["compute"], e.sparse, MARGIN, **e.resampling).set_index("arm")
    table, single = ways.loc[list(compute.AIDS)], ways.loc[compute.SINGLE]
    sure = (table["gain_low"] > 0) & (stats.holm(table["gain_p"]) < 0.05)
    extra = table["tokens"] / max(single["tokens"], 1)
    best = table["gain"].idxmax()
    said = "; ".join(f"{aid} {100 * row.gain:+.1f} [{100 * row.gain_low:+.1f}, {100 * row.gain_high:+.1f}] points at "
                     f"{extra[aid]:.1f} times the tokens" for aid, row in table.iterrows())  # fmt: skip
    return Finding(
        first_true(holds=sure.all(), conditional=sure.any(), fails=(table["gain_high"] < MARGIN).all()),
        rule=f"{said}; one answer solves {single['success']:.0%}",
        condition=f"by {listed(f'{aid} ({extra[aid]:.1f} times the tokens)' for aid in sure.index[sure])}",
        method=f"{METHOD}; Holm over three; no gain: every upper end is below 3 points",
        figure="figure-compute",
        estimate=100 * table.loc[best, "gain"],
        interval=(100 * table.loc[best, "gain_low"], 100 * table.loc[best, "gain_high"]),
        unit=f"points, {best}",
        n=int(table.loc[best, "n"]),
        models=[e.slm],
    )


def more_compute(e: Evidence) -> Finding:
    """A10: the small model with more compute against one answer of the large one, at cost."""
    table = compute.summary(e["compute"], e.sparse, MARGIN, **e.resampling).set_index("arm")
    table = table.drop(index=[compute.SINGLE, compute.LARGE, "self-critique"])
    reached = table[table["ruling"] == "non-inferior"]
    dense, sparse = reached["cost_high"] < 1, reached["sparse_high"] < 1
    best = table.loc[table["difference"].idxmax()]
    said = "; ".join(
        f"{way}: {100 * row.difference:+.1f} points ({row.ruling}), cost a solved task {row.cost_ratio:.2f} "
        f"[{row.cost_low:.2f}, {row.cost_high:.2f}] times the dense, {row.sparse_ratio:.2f} the sparse"
        for way, row in table.iterrows()
    )
    return Finding(
        first_true(
            holds=bool(sparse.any()),
            conditional=bool((reached["cost_high"] <= 1).any()),
            fails=(table["ruling"] == "inferior").all() or (len(reached) > 0 and (reached["cost_low"] > 1).all()),
        ),
        rule=said,
        condition=f"against a dense large model, by {listed(reached.index[dense])}; not against a sparse one",
        method=f"{METHOD}; tokens at list prices of the models that ours stand for; failed tasks are paid for too",
        figure="figure-compute",
        estimate=100 * best["difference"],
        interval=(100 * best["difference_low"], 100 * best["difference_high"]),
        unit=f"points against one large answer, {best.name}",
        n=int(best["n"]),
        models=e.models,
    )


RULES: dict[str, Rule] = {
    "A6": kinds_differ,
    "S4-10": code_in_charge,
    "A11": long_tasks,
    "S0-6": keeps_pace,
    "A1.12": aids,
    "A10": more_compute,
}
