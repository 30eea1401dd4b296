"""The verdicts of notebook 02: every rule of the ledger's claims, applied as its `threshold` says.

`judge` runs the rule of each claim on the tables of `tables`. The rules stand by subject: `serving` (same GPUs),
`operation` (load, sharing, development), `devices` and `edges` (definitions, consumer hardware), `prices` (lists and
published rows). They judge the pair that the claims name, 8 bn against dense 70 bn, whatever a run compares; no
parameter of a run moves a margin.
"""

from __future__ import annotations

from slmkit.economics.verdicts import devices, edges, operation, prices, serving
from slmkit.economics.verdicts.evidence import LLM, SLM, Claim, Evidence, Finding, Rule
from slmkit.errors import unknown
from slmkit.records import Verdict

__all__ = ["LLM", "RULES", "SLM", "Evidence", "judge"]

RULES: dict[str, Rule] = serving.RULES | operation.RULES | devices.RULES | edges.RULES | prices.RULES


def judge(evidence: Evidence) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    verdicts = []
    for claim in evidence.claims:
        if claim.id not in RULES:
            raise unknown("claim", claim.id, RULES)
        verdicts.append(_verdict(claim, RULES[claim.id](evidence)))
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
