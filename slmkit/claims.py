"""The ledger of claims (`papers/claims.yaml`) and the rules by which a verdict is let in."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field, ValidationError, field_validator

from slmkit import config
from slmkit.errors import InputError, unknown
from slmkit.records import Kind, Outcome, Record, Verdict

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOKS = (
    "01_capability",
    "02_economics",
    "03_specialization",
    "04_heterogeneous_agent",
    "05_conversion",
    "06_verdicts",
)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
QUANTITATIVE = ("measured", "computed")  # kinds whose verdict must carry an estimate with an interval


class Claim(Record):
    """One row of the ledger; the head of `claims.yaml` says what each field means."""

    id: str
    place: str
    statement: str
    cites: list[str] = Field(default_factory=list)
    sources: list[str] = Field(default_factory=list)
    source_says: str
    kind: Kind
    owner: str
    threshold: str
    refuted_by: str
    prior: str
    related: list[str] = Field(default_factory=list)

    @field_validator("id", "place", "statement", "source_says", "threshold", "refuted_by", "prior")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is blank")
        return text

    @field_validator("owner")
    @classmethod
    def _is_notebook(cls, owner: str) -> str:
        if owner not in NOTEBOOKS:
            raise unknown("notebook", owner, NOTEBOOKS)
        return owner


def load(path: str | Path | None = None) -> dict[str, Claim]:
    """The claims by id, in the order of the ledger; `path` defaults to the one that travels with the package.

    Raises InputError naming file, claim and field of a row that is malformed, doubled or not owned.
    """
    return dict(_read(Path(path) if path else config.resource("papers/claims.yaml")))


@functools.cache
def _read(path: Path) -> dict[str, Claim]:
    import yaml

    if not path.is_file():
        raise InputError(f"{path}: no such ledger")
    try:
        # The C loader reads the ledger in a tenth of the time, where libyaml is there.
        rows = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of claims, found {type(rows).__name__}")
    ledger: dict[str, Claim] = {}
    for number, row in enumerate(rows, 1):
        claim = _parse(path, number, row)
        if claim.id in ledger:
            raise InputError(f"{path}: claim {claim.id!r} stands twice; remove one of its rows")
        ledger[claim.id] = claim
    for claim in ledger.values():
        for other in claim.related:
            if other not in ledger:
                raise InputError(f"{path}: claim {claim.id!r}, field related: {unknown('claim', other, ledger)}")
    return ledger


def _parse(path: Path, number: int, row: Any) -> Claim:
    name = f"claim {row['id']!r}" if isinstance(row, dict) and row.get("id") else f"row {number}"
    try:
        return Claim.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "row"
        raise InputError(f"{path}: {name}, field {field}: {first['msg'].removeprefix('Value error, ')}") from None


def claim(claim_id: str) -> Claim:
    """One claim of the ledger; raises InputError with the nearest id when there is none."""
    ledger = load()
    if claim_id not in ledger:
        raise unknown("claim", claim_id, ledger)
    return ledger[claim_id]


def owned_by(notebook: str) -> list[Claim]:
    """The claims that `notebook` (e.g. `01_capability`) judges; raises InputError for an unknown notebook."""
    if notebook not in NOTEBOOKS:
        raise unknown("notebook", notebook, NOTEBOOKS)
    return [row for row in load().values() if row.owner == notebook]


def check_verdict(verdict: Verdict) -> Claim:
    """The ledger row that `verdict` judges; raises InputError when the verdict may not be let in.

    Refused are: a claim without a ledger row; a notebook that neither owns the claim nor stands in
    `evidence_from`; `measured` or `computed` without a finite estimate and an ordered interval; another kind
    where the ledger wants one of these two, unless the outcome is `not_testable`; `conditional` without its
    condition.
    """
    row = claim(verdict.claim_id)
    where = f"verdict on {row.id!r}"
    for notebook in (verdict.notebook, *verdict.evidence_from):
        if notebook not in NOTEBOOKS:
            raise InputError(f"{where}: {unknown('notebook', notebook, NOTEBOOKS)}")
    if verdict.notebook != row.owner and verdict.notebook not in verdict.evidence_from:
        raise InputError(
            f"{where}: notebook {row.owner} owns the claim; {verdict.notebook} may only give evidence "
            f"(name it in evidence_from)"
        )
    if verdict.outcome not in OUTCOMES:  # a model_copy is not validated
        raise InputError(f"{where}: {unknown('outcome', verdict.outcome, OUTCOMES)}")
    if verdict.outcome == "conditional" and not verdict.condition.strip():
        raise InputError(f"{where}: 'conditional' needs a condition: where it holds, and the boundary found")
    if row.kind in QUANTITATIVE and verdict.kind not in QUANTITATIVE and verdict.outcome != "not_testable":
        raise InputError(f"{where}: the ledger asks for a {row.kind} verdict, not {verdict.kind!r}")
    _check_numbers(where, verdict)
    return row


def _check_numbers(where: str, verdict: Verdict) -> None:
    """A measured or computed verdict needs estimate and interval; whatever is given must be finite."""
    needed = verdict.kind in QUANTITATIVE
    estimate = math.nan if verdict.estimate is None else verdict.estimate
    low, high = verdict.interval or (math.nan, math.nan)
    if (needed or verdict.estimate is not None) and not math.isfinite(estimate):
        raise InputError(f"{where}: a {verdict.kind} verdict needs a finite estimate, got {verdict.estimate}")
    if (needed or verdict.interval is not None) and not (math.isfinite(high - low) and low <= high):
        raise InputError(f"{where}: a {verdict.kind} verdict needs a finite interval, got {verdict.interval}")


def _estimate(verdict: Verdict) -> str:
    if verdict.estimate is None:
        return ""
    bounds = f" [{verdict.interval[0]:.3g}, {verdict.interval[1]:.3g}]" if verdict.interval else ""
    return f"{verdict.estimate:.3g}{bounds} {verdict.unit}".strip()


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a verdict, in the ledger's order, for display; `estimate` is text with interval and unit."""
    import pandas as pd

    order = {claim_id: place for place, claim_id in enumerate(load())}
    columns = ["claim", "statement", "outcome", "condition", "estimate", "n", "threshold", "kind", "scale"]
    rows = [
        each.model_dump()
        | {
            "claim": each.claim_id,
            "outcome": each.outcome.replace("_", " "),
            "estimate": _estimate(each),
        }
        for each in sorted(verdicts, key=lambda each: order.get(each.claim_id, len(order)))
    ]
    return pd.DataFrame(rows, columns=[*columns, "notebook"])
