"""The verdicts of notebook 03: every rule of the ledger's claims, applied as its `threshold` says.

The rules stand by what they are about: `gains` (what tuning gives), `operation` (formats, change, prompts), `money`
(hours and dollars) and `designs` (models trained from scratch). Margins are the ledger's; no parameter of a run moves
them.
"""

from __future__ import annotations

from slmkit import judging
from slmkit.records import Verdict
from slmkit.specialization.verdicts import designs, gains, money, operation
from slmkit.specialization.verdicts.evidence import MARGIN, Evidence
from slmkit.specialization.verdicts.numbers import headline

__all__ = ["MARGIN", "RULES", "Evidence", "headline", "judge"]

RULES: dict[str, judging.Rule] = designs.RULES | gains.RULES | money.RULES | operation.RULES


def judge(evidence: Evidence) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    return judging.judge(evidence, RULES)
