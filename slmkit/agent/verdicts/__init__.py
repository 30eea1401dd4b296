"""The verdicts of notebook 04: every rule of the ledger's claims, applied as its `threshold` says.

`judge` runs the rule of each claim. The rules stand by evidence: `cascade` (arms on the world), `steps` (kinds of
steps, long tasks, abilities, compute), `recorded` (outcomes of real models). Margins are the ledger's; no parameter of
a run moves them.
"""

from __future__ import annotations

from slmkit import judging
from slmkit.agent.verdicts import cascade, recorded, steps
from slmkit.agent.verdicts.evidence import Evidence
from slmkit.records import Verdict

__all__ = ["RULES", "Evidence", "judge"]

RULES: dict[str, judging.Rule] = cascade.RULES | steps.RULES | recorded.RULES


def judge(evidence: Evidence) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    return judging.judge(evidence, RULES)
