"""The verdicts of notebook 01: every rule of the ledger's claims, applied as its `threshold` says.

`judge` runs the rule of each claim. The rules stand by kind of evidence: `tables` (published scores within
one table), `board` (BFCL V4), `audit` (sources), `outcomes` (BFCL v1, item by item), `live` (models run
here). Margins are the ledger's; no parameter of a run moves them.
"""

from __future__ import annotations

from slmkit.capability.verdicts import audit, board, live, outcomes, tables
from slmkit.capability.verdicts.evidence import Claim, Evidence, Finding, Rule
from slmkit.capability.verdicts.outcomes import agreements, needs, pairs
from slmkit.errors import unknown
from slmkit.records import Verdict

__all__ = ["RULES", "Evidence", "agreements", "judge", "needs", "pairs"]

RULES: dict[str, Rule] = audit.RULES | board.RULES | live.RULES | outcomes.RULES | tables.RULES


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
            "models": list(dict.fromkeys(found.models)),
            "evidence_from": list(found.evidence_from),
        },
    )
