"""The verdicts of notebook 02: every rule of the ledger's claims, applied as its `threshold` says.

`judge` runs the rule of each claim on the tables of `tables`. The rules stand by subject: `serving` (same GPUs),
`operation` (load, sharing, development), `devices` and `edges` (definitions, consumer hardware), `prices` (lists and
published rows). They judge the pair that the claims name, 8 bn against dense 70 bn, whatever a run compares; no
parameter of a run moves a margin.
"""

from __future__ import annotations

from slmkit import judging
from slmkit.economics.verdicts import devices, edges, operation, prices, serving
from slmkit.economics.verdicts.evidence import LLM, SLM, Evidence
from slmkit.records import Verdict

__all__ = ["LLM", "RULES", "SLM", "Evidence", "judge"]

RULES: dict[str, judging.Rule] = serving.RULES | operation.RULES | devices.RULES | edges.RULES | prices.RULES


def judge(evidence: Evidence) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    return judging.judge(evidence, RULES)
