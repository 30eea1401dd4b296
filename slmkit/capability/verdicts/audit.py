"""Rules that hold a claim against its source: how many of its details the source bears out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import pandas as pd

from slmkit.capability.verdicts.evidence import Evidence, Finding, Rule, first_true
from slmkit.errors import InputError

# What a claim needs when not every detail matches: (conditional, fails), from the details that match.
Short = Callable[[Mapping[str, bool]], tuple[bool, bool]]
Matches = dict[str, bool]


def needs(*details: str) -> Short:
    """Conditional while these details match, else it fails."""
    return lambda match: (all(match[d] for d in details), not all(match[d] for d in details))


def needs_some(least: int, beside: tuple[str, ...] = ()) -> Short:
    """Conditional while so many details match, those in `beside` not counted, else it fails."""

    def short(match: Mapping[str, bool]) -> tuple[bool, bool]:
        enough = sum(met for detail, met in match.items() if detail not in beside) >= least
        return enough, not enough

    return short


def needs_a_group(*groups: str) -> Short:
    """Conditional while every comparison of one group matches, groups being the start of a detail's name."""

    def short(match: Mapping[str, bool]) -> tuple[bool, bool]:
        won = any(all(met for name, met in match.items() if name.startswith(group)) for group in groups)
        return won, not won

    return short


def commonsense_only(match: Mapping[str, bool]) -> tuple[bool, bool]:
    """A1.4: conditional where commonsense (d2) matches and MMLU (d1) does not; fails where neither does."""
    return match["d2"] and not match["d1"], not (match["d1"] or match["d2"])


def other_size_only(match: Mapping[str, bool]) -> tuple[bool, bool]:
    """A1.5: conditional where the ratio (a) is met, but by no model of like size (b); fails without it."""
    return match["a"] and not match["b"], not match["a"]


SHORT: dict[str, Short] = {
    "A1.1": needs("c", "d"),
    "A1.2": needs_some(1),
    "A1.3": needs("d"),
    "A1.4": commonsense_only,
    "A1.5": other_size_only,
    "A1.6": needs_some(6, beside=("k",)),
    "A1.7": needs("a"),
    "A1.8": needs("b"),
    "A1.9": needs_a_group("lama", "maths", "qa"),
    "A1.10": needs("b"),
}
ONE_DETAIL = {"d1": "d", "d2": "d"}  # A1.4 reads its fourth detail in two benchmarks: both must match


def matches(e: Evidence, claim_id: str) -> Matches:
    """The details that decide a claim, and whether all rows of each match; InputError for a claim without."""
    rows = e.audit[(e.audit.claim_id == claim_id) & e.audit.decides]
    if rows.empty:
        raise InputError(
            f"citation audit: no deciding row for claim {claim_id}; restore data/citation_audit.csv"
        )
    met = (rows.verdict == "match").groupby(rows.detail, sort=False).all()
    return {str(detail): bool(found) for detail, found in met.items()}


def counted(match: Matches) -> Matches:
    """The same by detail as the ledger counts them."""
    names = dict.fromkeys(ONE_DETAIL.get(name, name) for name in match)
    return {name: all(met for d, met in match.items() if ONE_DETAIL.get(d, d) == name) for name in names}


def all_match(e: Evidence, claim_id: str) -> bool:
    """Whether the source bears out every detail of a claim."""
    return all(matches(e, claim_id).values())


def against_source(e: Evidence, claim_id: str) -> Finding:
    """A1.1 to A1.10: holds when every detail matches; else what is left decides, as `SHORT` says."""
    match = matches(e, claim_id)
    conditional, fails = SHORT[claim_id](match)
    rows = e.audit[e.audit.claim_id == claim_id]
    held, missed, beside = (
        "; ".join(_read(rows[chosen]))
        for chosen in (
            rows.decides & (rows.verdict == "match"),
            rows.decides & (rows.verdict != "match"),
            ~rows.decides,
        )
    )
    details = counted(match)
    lost = [name for name, met in details.items() if not met]
    beside = f"; beside: {beside}" if beside else ""
    return Finding(
        first_true(holds=all(match.values()), conditional=conditional, fails=fails),
        rule=f"{len(details) - len(lost)} of {len(details)} details match, missed: "
        f"{', '.join(lost) or 'none'}{beside}",
        condition=f"borne out: {held}; not: {missed}",
        method="detail by detail against the cited source; scores from published_benchmarks.csv where there"
        + ("" if rows.one_table.all() else "; some pairs stand in two tables or harnesses"),
        figure="figure-audit",
        estimate=len(details) - len(lost),
        unit=f"of {len(details)} details",
        n=len(details),
        models=[*rows.model, *rows.rival_row[rows.rival_row != ""]],
    )


def _read(rows: pd.DataFrame) -> list[str]:
    return [
        f"{row.checked} ({row.source_says})" if row.source_says else row.checked for row in rows.itertuples()
    ]


RULES: dict[str, Rule] = {
    claim_id: functools.partial(against_source, claim_id=claim_id) for claim_id in SHORT
}
