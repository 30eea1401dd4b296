"""The verdicts of notebook 04: every rule of the ledger's claims, applied as its `threshold` says.

`judge` runs the rule of each claim. The rules stand by evidence: `cascade` (arms on the world), `steps` (kinds of
steps, long tasks, abilities, compute), `recorded` (outcomes of real models). Margins are the ledger's; no parameter of
a run moves them. On a world where even the large model solves next to nothing, arms can't differ, and no rule about the
world decides.
"""

from __future__ import annotations

from slmkit import judging, stats
from slmkit.agent.studies import mixed
from slmkit.agent.verdicts import cascade, recorded, steps
from slmkit.agent.verdicts.evidence import Evidence
from slmkit.records import Verdict

__all__ = ["RULES", "Evidence", "judge"]

FLOOR = 0.2  # share of the tasks that the large model may solve, by the upper 95 % limit, for success to show nothing


def above_floor(rule: judging.Rule) -> judging.Rule:
    """The rule, inconclusive where the large model alone surely solves less than `FLOOR` of the tasks."""

    def judged(evidence: Evidence) -> judging.Finding:
        found, solved = rule(evidence), mixed.rewards(evidence["runs"], mixed.LLM) >= 1
        if found.outcome == "not_testable" or stats.wilson(int(solved.sum()), len(solved))[1] >= FLOOR:
            return found
        floor = f"the large model solves {solved.mean():.0%} of {len(solved)} tasks, too few for arms to differ; "
        return found._replace(outcome="inconclusive", rule=floor + found.rule)

    return judged


WORLD = {claim: above_floor(rule) for claim, rule in (cascade.RULES | steps.RULES).items()}
RULES: dict[str, judging.Rule] = WORLD | recorded.RULES


def judge(evidence: Evidence) -> list[Verdict]:
    """One verdict for each of `evidence.claims`, in that order; InputError for a claim without a rule."""
    return judging.judge(evidence, RULES)
