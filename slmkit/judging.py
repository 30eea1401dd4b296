"""From the rules of a notebook to verdicts: what a rule answers, and how the ledger's row completes it.

A rule is a function of the notebook's evidence, written for one claim as its `threshold` says. The rules of an
argument live in its folder (`capability.verdicts`, `economics.verdicts`, ...); what they share is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from slmkit.errors import unknown
from slmkit.records import Outcome, Verdict


class Claim(Protocol):
    """A row of the ledger, as far as a verdict needs it (`claims.Claim` is one)."""

    id: str
    statement: str
    kind: str
    threshold: str


class Finding(NamedTuple):
    """What a rule found: the part of a Verdict that does not stand in the ledger.

    `rule` says in one line what decided; `condition` counts only where the outcome is conditional; `figure` is
    the figure of the notebook that shows it, if one does.
    """

    outcome: Outcome
    rule: str
    method: str
    figure: str = ""
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    unit: str = ""
    n: int = 0
    condition: str = ""
    models: Iterable[str] = ()
    evidence_from: Iterable[str] = ()


Rule = Callable[[Any], Finding]


def first_true(**cases: Any) -> Outcome:
    """The first outcome whose case is met, in the order given; `inconclusive` where no rule decides."""
    return next((outcome for outcome, met in cases.items() if met), "inconclusive")  # type: ignore[return-value]


def judge(evidence: Any, rules: Mapping[str, Rule]) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    verdicts = []
    for claim in evidence.claims:
        if claim.id not in rules:
            raise unknown("claim", claim.id, rules)
        verdicts.append(_verdict(claim, rules[claim.id](evidence)))
    return verdicts


def _verdict(claim: Claim, found: Finding) -> Verdict:
    """The finding with what the ledger says; where nothing could be tested, there is no number to ask for."""
    return Verdict(
        claim_id=claim.id,
        statement=claim.statement,
        threshold=claim.threshold,
        kind="audit" if found.outcome == "not_testable" else claim.kind,
        **found._asdict()
        | {
            "condition": found.condition if found.outcome == "conditional" else "",
            "models": list(dict.fromkeys(str(model) for model in found.models)),
            "evidence_from": list(found.evidence_from),
        },
    )
