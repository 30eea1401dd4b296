"""Rules on what tuning gains: over the base, over a larger model, with how much data and by which way."""

from __future__ import annotations

import numpy as np

from slmkit import stats
from slmkit.judging import Finding, Rule, first_true
from slmkit.specialization.studies import generality, ways
from slmkit.specialization.studies.lab import short
from slmkit.specialization.studies.ladder import TASK
from slmkit.specialization.verdicts.evidence import MARGIN, METHOD, SEEDS, Evidence, above, measures, points

EXAMPLES, GAIN = 200, 0.10  # of A1.11
SIZE_EXAMPLES = 1_000  # of A9
MANY, FEW = 5_000, 1_000  # of S2


def tuning_lifts(e: Evidence) -> Finding:
    """A1.11: the specialist minus its base on the held-out domain, and out of schema."""
    tuned, base = e.arm("ladder", e.tuned), e.arm("ladder", short(e.base))
    found = e.difference(tuned, base)
    outside = _out_of_schema(e)
    n, seeds = int(tuned["n"].iloc[0]), tuned["seed"].nunique()
    lifted = found.low >= GAIN
    return Finding(
        first_true(
            inconclusive=seeds < SEEDS or n != EXAMPLES,
            fails=found.high < GAIN,
            conditional=lifted and outside.high < 0,
            holds=lifted,
        ),
        rule=f"{n} examples, {seeds} of {SEEDS} seeds: in schema {points(found)}, out of schema {points(outside)}",
        method=METHOD,
        figure="figure-ladder",
        unit="points over the base, in schema",
        condition=f"in schema; out of schema (other names, style, format, domain) it changes by {points(outside)}",
        models=[e.base],
        **measures(found),
    )


def _out_of_schema(e: Evidence) -> stats.PairedDifference:
    items = e.tables["generality"]
    items = items[items["set"].isin(generality.OUT_OF_SCHEMA)]
    items = items.assign(id=items["set"] + "/" + items["id"].astype(str))
    mine = items[np.isclose(items["share"], e.share)]
    return e.difference(mine, items[(items["share"] < 0) & (items["role"] == "slm")])


def size_effect_shrinks(e: Evidence) -> Finding:
    """A9: large minus small, before minus after the same examples."""
    items = e.tables["sizes"]
    n = int(items["n"].max())
    wide = items.groupby(["id", "size", "tuned"])["correct"].mean().unstack(["size", "tuned"]).astype(float).dropna()
    before, after = ((wide[("llm", tuned)] - wide[("slm", tuned)]).to_numpy() for tuned in (False, True))
    shrinks = stats.bootstrap(before - after, n_resamples=e.n_bootstrap, rng=e.seed)
    left = stats.bootstrap(after, n_resamples=e.n_bootstrap, rng=e.seed)
    first = stats.bootstrap(before, n_resamples=e.n_bootstrap, rng=e.seed)
    return Finding(
        first_true(
            inconclusive=n < SIZE_EXAMPLES,
            holds=shrinks.low > 0 and left.low > -MARGIN and left.high < MARGIN,
            conditional=shrinks.low > 0 and left.estimate > MARGIN,
            fails=shrinks.high <= 0,
        ),
        rule=f"{n:,} of {SIZE_EXAMPLES:,} examples: size effect {points(first)} before, {points(left)} after, "
        f"difference {points(shrinks)}",
        method=METHOD,
        figure="figure-sizes",
        unit="points of size effect that tuning takes away",
        condition=f"the size effect shrinks and stays at {points(left)} after {n:,} examples",
        models=e.models,
        **measures(shrinks),
    )


def how_many_examples(e: Evidence) -> Finding:
    """S2: the fewest examples from which the specialist stays non-inferior to the untuned larger model."""
    reference = e.arm("ladder", short(e.llm))
    curve = e.tables["curve"]
    rows = []
    for n, group in curve.groupby("n"):
        found = e.difference(group, reference, MARGIN)
        rows.append((int(n), group["seed"].nunique(), found))
    sure = [n for n, seeds, found in rows if seeds >= SEEDS and _stays(rows, n)]
    not_yet = [n for n, seeds, found in rows if seeds >= SEEDS and found.high < -MARGIN]
    high = float(min(sure)) if sure else np.inf
    low = float(max(not_yet, default=0))
    fewest = next((n for n, _, found in rows if found.difference >= -MARGIN), int(curve["n"].max()))
    said = ", ".join(f"{n:,}: {points(found)} ({seeds} seeds)" for n, seeds, found in rows)
    top = min(high, 100_000.0)
    return Finding(
        first_true(holds=low >= MANY, fails=high <= FEW, conditional=low >= FEW and high <= MANY),
        rule=f"specialist minus {short(e.llm)} by examples: {said}; non-inferior at {SEEDS} seeds from "
        f"{f'{high:,.0f}' if sure else 'no number run'}",
        method=f"{METHOD}; numbers of examples with fewer than {SEEDS} seeds decide nothing; upper end 100,000 where "
        "no number run suffices",
        figure="figure-curve",
        unit="examples",
        condition=f"between {low:,.0f} and {top:,.0f} examples",
        models=e.models,
        estimate=float(np.clip(fewest, low, top)),
        interval=(low, top),
        n=int(reference["id"].nunique()),
    )


def _stays(rows: list, n: int) -> bool:
    """Whether every number of examples from `n` on is non-inferior, as far as enough seeds were run."""
    return all(found.low > -MARGIN for m, seeds, found in rows if m >= n and seeds >= SEEDS)


def lora_against_full(e: Evidence) -> Finding:
    """S5: LoRA minus full tuning, and minus distilled targets, at equal examples and steps."""
    lora, full, distilled = (e.arm("ways", name) for name in (ways.SUPERVISED, ways.FULL, ways.DISTILLED))
    found = e.difference(lora, full, MARGIN)
    beside = e.difference(lora, distilled)
    sure = above({"full": found, "distilled": beside}, -MARGIN)
    ranks = e.tables["ranks"]
    ranks = ranks[(ranks["set"] == TASK) & (ranks["modules"] == "all")]
    n = int(ranks["n"].min()) if len(ranks) else 0
    reference = ranks[(ranks["rank"] == 0) & (ranks["n"] == n)]
    by_rank = {
        int(rank): e.difference(group, reference, MARGIN)
        for rank, group in ranks[(ranks["rank"] > 0) & (ranks["n"] == n)].groupby("rank")
        if len(reference)
    }
    level = [rank for rank, one in by_rank.items() if one.low > -MARGIN]
    said = ", ".join(f"rank {rank} {points(one)}" for rank, one in by_rank.items())
    return Finding(
        first_true(
            holds=sure["full"],
            conditional=bool(level),
            fails=found.high < -MARGIN and all(one.high < -MARGIN for one in by_rank.values()),
        ),
        rule=f"{int(lora['n'].iloc[0])} examples, LoRA minus full {points(found)}, minus distilled {points(beside)}; "
        f"over full by rank: {said or 'not run'}; forgetting: {_forgetting(e)}",
        method=f"{METHOD}; equal examples and steps, Holm over the two",
        figure="figure-ways",
        unit="points, LoRA minus full tuning",
        condition=f"non-inferior to full tuning at rank {', '.join(map(str, level))} with {n} examples",
        models=e.models,
        **measures(found),
    )


def _forgetting(e: Evidence) -> str:
    items = e.tables["ways"]
    old = items[~items["set"].isin([TASK, "no call"])]
    base = old[old["name"] == short(e.base)]
    parts = {}
    for name in (ways.SUPERVISED, ways.FULL):
        mine = old[old["name"] == name]
        parts[name] = 100 * (mine["correct"].mean() - base["correct"].mean())
    return ", ".join(f"{name} {change:+.1f}" for name, change in parts.items()) + " points on old skills"


def methods_work(e: Evidence) -> Finding:
    """S0-17: each way to train minus the base, and minus supervised tuning."""
    items = e.tables["ways"]
    base = e.arm("ways", short(e.base))
    run = [name for name in dict.fromkeys(items["name"]) if name not in (short(e.base), ways.FULL)]
    tests = {name: e.difference(e.arm("ways", name), base) for name in run}
    sure = above(tests)
    plain = e.arm("ways", ways.SUPERVISED)
    adds = above({name: e.difference(e.arm("ways", name), plain) for name in run if name != ways.SUPERVISED})
    wanted = {ways.SUPERVISED, ways.DISTILLED, ways.PREFERENCE, ways.CURRICULUM, ways.MULTI_TASK}
    missing = sorted(wanted - set(run))
    works, not_shown = [n for n in run if sure[n]], [n for n in run if not sure[n]]
    more = [name for name, added in adds.items() if added]
    seeds = plain["seed"].nunique()
    return Finding(
        first_true(
            holds=all(sure.values()) and not missing,
            conditional=bool(works),
            fails=all(found.high < 0.05 for found in tests.values()) and not works,
        ),
        rule=f"{int(plain['n'].iloc[0])} examples, {seeds} seeds, over the base: "
        + "; ".join(f"{name} {points(found)}" for name, found in tests.items())
        + (f"; not run: {', '.join(missing)}" if missing else ""),
        method=f"{METHOD}; equal examples and steps, Holm",
        figure="figure-ways",
        unit="points over the base, supervised",
        condition=f"gains shown: {', '.join(works) or 'none'}; "
        f"not shown: {', '.join([*not_shown, *missing]) or 'none'}; "
        f"more than supervised tuning: {', '.join(more) or 'none'}",
        models=[e.base],
        **measures(tests[ways.SUPERVISED]),
    )


RULES: dict[str, Rule] = {
    "A1.11": tuning_lifts,
    "A9": size_effect_shrinks,
    "S2": how_many_examples,
    "S5": lora_against_full,
    "S0-17": methods_work,
}
