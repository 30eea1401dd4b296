"""Rules that hold a claim against its source: how many of its details the source bears out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from slmkit.capability.published import COLUMNS
from slmkit.capability.verdicts.evidence import Evidence, listed
from slmkit.errors import InputError
from slmkit.judging import Finding, Rule, first_true
from slmkit.records import Outcome

Matches = Mapping[str, bool]  # the details of a claim by name, and whether the source bears them out
Remainder = Callable[[Matches], Outcome]  # what is left of a claim of which not every detail matches


def needs(*details: str) -> Remainder:
    """Conditional while these details match, else it fails."""
    return lambda match: _or_fails(all(match[detail] for detail in details))


def needs_some(least: int, beside: str = "") -> Remainder:
    """Conditional while so many details match, the one in `beside` not counted, else it fails."""
    return lambda match: _or_fails(sum(met for name, met in match.items() if name != beside) >= least)


def needs_a_group(*groups: str) -> Remainder:
    """Conditional while all details of one group match, a group being the start of a name; else it fails."""

    def whole(match: Matches, group: str) -> bool:
        return all(met for name, met in match.items() if name.startswith(group))

    return lambda match: _or_fails(any(whole(match, group) for group in groups))


def commonsense_only(match: Matches) -> Outcome:
    """A1.4: conditional where commonsense (d2) matches and MMLU (d1) does not; fails where neither does."""
    return first_true(conditional=match["d2"] and not match["d1"], fails=not (match["d1"] or match["d2"]))


def other_size_only(match: Matches) -> Outcome:
    """A1.5: conditional where the ratio (a) is met, but by no model of like size (b); fails without it."""
    return first_true(conditional=match["a"] and not match["b"], fails=not match["a"])


def _or_fails(met: bool) -> Outcome:
    return "conditional" if met else "fails"


REMAINDER: dict[str, Remainder] = {
    "A1.1": needs("c", "d"),
    "A1.2": needs_some(1),
    "A1.3": needs("d"),
    "A1.4": commonsense_only,
    "A1.5": other_size_only,
    "A1.6": needs_some(6, beside="k"),
    "A1.7": needs("a"),
    "A1.8": needs("b"),
    "A1.9": needs_a_group("lama", "maths", "qa"),
    "A1.10": needs("b"),
}
ONE_DETAIL = {"d1": "d", "d2": "d"}  # A1.4 reads its fourth detail in two places: both must match


def matches(e: Evidence, claim_id: str) -> dict[str, bool]:
    """The details that decide a claim, and whether all rows of each match; InputError for a claim without."""
    rows = e.audit[(e.audit.claim_id == claim_id) & e.audit.decides]
    if rows.empty:
        raise InputError(f"citation_audit.csv: no row decides {claim_id}; restore it from the repository")
    met = (rows.verdict == "match").groupby(rows.detail, sort=False).all()
    return {str(detail): bool(found) for detail, found in met.items()}


def counted(match: Matches) -> dict[str, bool]:
    """The same by detail as the ledger counts them."""
    details: dict[str, bool] = {}
    for name, met in match.items():
        detail = ONE_DETAIL.get(name, name)
        details[detail] = details.get(detail, True) and met
    return details


def all_match(e: Evidence, claim_id: str) -> bool:
    """Whether the source bears out every detail of a claim."""
    return all(matches(e, claim_id).values())


def against_source(e: Evidence, claim_id: str) -> Finding:
    """A1.1 to A1.10: holds when every detail matches; else what is left decides, as `REMAINDER` says."""
    match = matches(e, claim_id)
    rows = e.audit[e.audit.claim_id == claim_id]
    held = rows[rows.decides & (rows.verdict == "match")]
    missed = rows[rows.decides & (rows.verdict != "match")]
    beside = [_read(row) for row in rows[~rows.decides].itertuples()]
    on_board = e.board[e.board.model.isin(rows.model_row)]
    beside += [f"{row.model} on V4: {listed(row[list(COLUMNS)])}" for _, row in on_board.iterrows()]
    details = counted(match)
    lost = [name for name, met in details.items() if not met]
    return Finding(
        "holds" if all(match.values()) else REMAINDER[claim_id](match),
        rule=f"{len(details) - len(lost)} of {len(details)} details match, missed: "
        f"{', '.join(lost) or 'none'}" + (f"; beside: {'; '.join(beside)}" if beside else ""),
        condition=f"{'; '.join(held.checked)}; not: {'; '.join(_read(row) for row in missed.itertuples())}",
        method="detail by detail against the cited source; scores from published_benchmarks.csv where there"
        + ("" if rows.one_table.all() else "; some pairs stand in two tables or harnesses"),
        figure="figure-audit",
        estimate=len(details) - len(lost),
        unit=f"of {len(details)} details",
        n=len(details),
        models=[*rows.model, *rows.rival_row[rows.rival_row != ""]],
    )


def _read(row: Any) -> str:
    """A detail in words: what was checked, and what the source says of it."""
    ratio = f"{row.source_figure:.2f}: " if row.score > 0 and row.paper_figure > 0 else ""
    return f"{row.checked} ({ratio}{row.source_says})"


RULES: dict[str, Rule] = {claim_id: functools.partial(against_source, claim_id=claim_id) for claim_id in REMAINDER}
