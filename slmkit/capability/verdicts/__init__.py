"""The verdicts of notebook 01: every rule of the ledger's claims, applied as its `threshold` says.

`judge` runs the rule of each claim. The rules stand by kind of evidence: `tables` (published scores within
one table), `board` (BFCL V4), `audit` (sources), `outcomes` (BFCL v1, item by item), `live` (models run
here). Margins are the ledger's; no parameter of a run moves them.
"""

from __future__ import annotations

from slmkit import judging
from slmkit.capability.verdicts import audit, board, live, outcomes, tables
from slmkit.capability.verdicts.evidence import Evidence
from slmkit.capability.verdicts.outcomes import agreements, needs, pairs
from slmkit.records import Verdict

__all__ = ["RULES", "Evidence", "agreements", "judge", "needs", "pairs"]

RULES: dict[str, judging.Rule] = audit.RULES | board.RULES | live.RULES | outcomes.RULES | tables.RULES


def judge(evidence: Evidence) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    return judging.judge(evidence, RULES)
