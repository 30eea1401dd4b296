"""Rules that published scores decide, small beside large within one table (`capability.published`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.capability import published, trends
from slmkit.capability.published import COLUMNS
from slmkit.capability.verdicts.audit import all_match
from slmkit.capability.verdicts.evidence import CAVEAT, Evidence, listed, measures, percent, spelled
from slmkit.judging import Finding, Rule, first_true

KNOWLEDGE, REASONING, CODE, MULTI_STEP = "knowledge", "reasoning", "code", "multi-step"
FAMILIES = ("Llama 3.1", "Qwen3", "Gemma 3", "xLAM-2", "Hammer2.1", "Arch-Agent", "Qwen2.5")
MODEL_BULLETS = tuple(f"A1.{number}" for number in range(1, 10))
SKILLS = ("single-turn", "multi-turn", "web search", "memory")


class Gap:
    """Best small minus best large in the tables of one ability: `whole`, and `parts` by benchmark."""

    def __init__(self, e: Evidence, ability: str) -> None:
        rows = published.gaps(e.facts, ability, **e.resampling)
        self.whole = next(rows.itertuples())
        self.parts = rows[1:].set_index("benchmark").estimate
        self.pairs = published.same_table_pairs(e.facts, published.ABILITIES[ability])
        self.models = [*self.pairs.small, *self.pairs.large]

    def finding(self, condition: str = "", beside: str = "", figure: str = "", **cases: bool) -> Finding:
        """The finding of a rule over this gap, the cases in the order of `first_true`."""
        return Finding(
            first_true(**cases),
            rule=f"best small minus best large, {self.whole.n} tables: {spelled(self.whole)}; by benchmark: "
            f"{listed(self.parts)}{beside}",
            condition=condition,
            method=f"within-table gap; bootstrap over tables; {CAVEAT} each; a best of many is optimistic",
            figure=figure,
            unit="points",
            models=self.models,
            **measures(self.whole),
        )


def in_knowledge(e: Evidence) -> Finding:
    """S0-9: slightly lower means at most 5 points."""
    gap = Gap(e, KNOWLEDGE)
    return gap.finding(holds=gap.whole.low > -5, fails=gap.whole.high < -5)


def in_reasoning(e: Evidence) -> Finding:
    """S0-10: comparable on the whole, or in the mean of at least one benchmark."""
    gap = Gap(e, REASONING)
    near = gap.parts >= -5
    return gap.finding(
        condition=f"{listed(gap.parts[near])}; not {listed(gap.parts[~near])}",
        holds=gap.whole.low > -5,
        conditional=near.any(),
        fails=gap.whole.high < -5,
    )


def in_code(e: Evidence) -> Finding:
    """S0-11: competitive on the whole, or undecided there and near in at least one table."""
    gap = Gap(e, CODE)
    near = gap.pairs[gap.pairs.gap >= -5]
    tables = ", ".join(f"{row.benchmark}: {row.small} {row.gap:+.1f} to {row.large}" for row in near.itertuples())
    return gap.finding(
        condition=f"near in {len(near)} of {len(gap.pairs)} tables: {tables}",
        holds=gap.whole.low > -5,
        conditional=gap.whole.high >= -5 and len(near) > 0,
        fails=gap.whole.high < -5,
    )


def over_several_steps(e: Evidence) -> Finding:
    """S0-4: within 10 points on every multi-step board, on some, on none."""
    gap = Gap(e, MULTI_STEP)
    near = gap.parts >= -10
    generalists = published.same_table_pairs(e.facts, published.ABILITIES[MULTI_STEP], generalists=True)
    alone = generalists.set_index("benchmark").gap
    return gap.finding(
        condition=f"boards within 10 points: {listed(gap.parts[near])}; not {listed(gap.parts[~near])}",
        beside=f"; without the tool specialists: {listed(alone)}",
        figure="figure-gaps",
        conditional=near.any() and not near.all(),
        holds=gap.whole.low > -10 and near.all(),
        fails=not near.any(),
    )


def in_planning(e: Evidence) -> Finding:
    """S0-8: medians of the two groups on ACEBench's agent part."""
    rows = published.select(e.facts, "ACEBench agent")
    small, large = (rows["size"] == size for size in ("small", "large"))
    gap = trends.median_gap(rows, "score", small, large, **e.resampling)
    best = rows.loc[[rows.score[small].idxmax(), rows.score[large].idxmax()]]
    return Finding(
        first_true(holds=gap.low > -10, fails=gap.high < -10),
        rule=f"median of {small.sum()} small minus median of {large.sum()} large: {spelled(gap)}; best of "
        "each: " + ", ".join(f"{row.model} {row.score:.1f}" for row in best.itertuples()),
        method=f"difference of medians, bootstrap over models; one table, {CAVEAT}",
        unit="points",
        models=rows.model[small | large],
        **measures(gap),
    )


def capability_a_parameter(e: Evidence) -> Finding:
    """A1.0: points a year at fixed size, over all tables and by skill of V4; the nine bullets beside."""
    terms = trends.size_and_date(e.facts, **e.resampling).set_index("term")
    date, years = terms.loc["date"], terms.estimate["years"]
    dates = pd.DataFrame({skill: date_slope(e.board, skill, **e.resampling)._asdict() for skill in SKILLS}).T
    still = dates[dates.high <= 0]
    borne_out = sum(all_match(e, claim) for claim in MODEL_BULLETS)
    return Finding(
        first_true(
            conditional=date.low > 0 and (years > 5 or len(still) > 0),
            holds=date.low > 0 and years <= 5,
            fails=date.high <= 0,
        ),
        rule=f"{spelled(date)} a year at fixed size over {date.n_tables:.0f} tables; a tenth of the size "
        f"takes {years:.1f} years; V4 by skill: {listed(dates.estimate)}; every detail matches in "
        f"{borne_out} of {len(MODEL_BULLETS)} model bullets",
        condition=f"a tenth of the size takes {years:.1f} years; no gain with date: {listed(still.estimate)}",
        method="least squares on log10 of size and release date, fixed effect a table; bootstrap over "
        "models; tables differ in harness, models are no random sample",
        figure="figure-date",
        unit="points a year",
        **measures(date),
    )


def larger_is_better(e: Evidence) -> Finding:
    """AV1/CA1: share of steps up a family at which the larger scores higher, and specialists that lead V4."""
    steps = published.ladders(e.facts)
    steps = steps[steps.line.isin(FAMILIES)]
    share = stats.bootstrap(steps.rise > 0, unit=steps.line, **e.resampling)
    small = e.board[(e.board["size"] == "small") & e.board.specialist]
    large = e.board[(e.board["size"] == "large") & ~e.board.specialist]
    lead = small[list(COLUMNS)].max() - large[list(COLUMNS)].max()
    led = lead[lead > 5]
    by_family = (steps.rise > 0).groupby(steps.line, sort=False).mean() * 100
    return Finding(
        first_true(
            conditional=share.low >= 0.8 and len(led) > 0,
            holds=share.low >= 0.8,
            fails=share.high < 0.8,
        ),
        rule=f"the larger leads at {percent(share)} of {share.n} steps "
        f"({', '.join(f'{name} {value:.0f} %' for name, value in by_family.items())}); small "
        f"specialists lead every large generalist of V4 by more than 5 points in: {listed(led)}",
        condition=f"within a family; small specialists lead in: {listed(led)}",
        method=f"share of adjacent sizes in one table, bootstrap over {steps.line.nunique()} families; "
        f"{CAVEAT} each; columns of one board go together",
        figure="figure-size",
        unit="% of size steps",
        models=[*steps.smaller, *steps.larger],
        **measures(share, 100),
    )


def large_for_hard_things(e: Evidence) -> Finding:
    """S0-13: of reasoning, knowledge, creative work and special fields, where a large model is called for."""
    reasoning, knowledge = Gap(e, REASONING), Gap(e, KNOWLEDGE)
    parts = {
        "reasoning": measures(reasoning.whole)["interval"],
        "knowledge": measures(knowledge.whole)["interval"],
        "specialised domains": e.specialised,
    }
    tested = {name: ends for name, ends in parts.items() if ends is not None}
    called_for = [name for name, (_, high) in tested.items() if high < -5]
    untested = [name for name in parts if name not in tested]
    read = ", ".join(f"{name} [{low:+.1f}, {high:+.1f}]" for name, (low, high) in tested.items())
    return Finding(
        first_true(
            holds=len(called_for) == len(parts),
            conditional=len(called_for) > 0,
            fails=not untested,
        ),
        rule=f"small minus large, points: {read}; not tested: {', '.join([*untested, 'creative work'])}",
        condition=f"{' and '.join(called_for)}; not shown: "
        + ", ".join(name for name in (*parts, "creative work") if name not in called_for),
        method="a part counts where the whole interval of small minus large lies below -5 points; "
        "within-table gaps, bootstrap over tables",
        estimate=len(called_for),
        unit=f"of {len(parts)} testable parts",
        n=len(parts),
        models=[*reasoning.models, *knowledge.models],
        evidence_from=["03_specialization"] if e.specialised else [],
    )


def date_slope(board: pd.DataFrame, skill: str, **resampling: Any) -> stats.Estimate:
    """Points a year at fixed size in one column of the board: `trends.size_and_date` of a single table."""
    rows = board.dropna(subset=["params_b", "released", skill])
    values = np.c_[np.log10(rows.params_b), rows.released, rows[skill]].astype(float)

    def slope(drawn: np.ndarray) -> float:
        c = np.cov(values[drawn].T)  # least squares on two columns, solved by hand
        spread = c[0, 0] * c[1, 1] - c[0, 1] ** 2
        return (c[0, 0] * c[1, 2] - c[0, 1] * c[0, 2]) / spread if spread > 0 else np.nan

    return trends.over_models(rows, slope, **resampling)


RULES: dict[str, Rule] = {
    "A1.0": capability_a_parameter,
    "AV1/CA1": larger_is_better,
    "S0-4": over_several_steps,
    "S0-8": in_planning,
    "S0-9": in_knowledge,
    "S0-10": in_reasoning,
    "S0-11": in_code,
    "S0-13": large_for_hard_things,
}
