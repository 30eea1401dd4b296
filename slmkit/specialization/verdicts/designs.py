"""Rules on models trained from scratch at equal tokens: designs, sizes, and parts of the training data."""

from __future__ import annotations

import pandas as pd

from slmkit import stats
from slmkit.judging import Finding, Rule, first_true
from slmkit.specialization.studies import scratch
from slmkit.specialization.verdicts.evidence import METHOD, Evidence, below, measures, points

GAIN = 0.05  # of A8
COST = 0.10  # of S0-15
UNSEEN = scratch.SKILLS[0]
WHY = "nothing is trained from scratch at this scale (`full` does, some hours); published: "
HOW = "models trained from scratch on the same stream, equal tokens; " + METHOD
PUBLISHED = {
    "A8": "Hymba's mean over seven tasks is 61.06 against 60.04 for SmolLM2-1.7B and 59.51 for Qwen2.5-1.5B, with 664 "
    "against 238 and 469 tokens/s and a cache of 79 against 1,573 and 229 MB",
    "S0-14": "no study of both effects at once; Hymba's design gains 1.0 and 1.6 points over models of its size",
    "S0-15": "BFCL v1: Llama-3-8B 60.7 untuned, xLAM-7b 88.8 tuned for calls; no ablation of the data",
}


def design_counts(e: Evidence) -> Finding:
    """A8: LFM2 minus Llama blocks of one size, by number of training tokens."""
    by_steps = {steps: e.difference(_of(e, steps, "LFM2"), _of(e, steps, "Llama")) for steps in _steps(e)}
    if not by_steps:
        return _not_run("A8")
    last = max(by_steps)
    found = by_steps[last]
    early = [steps for steps, one in by_steps.items() if one.low >= GAIN]
    return Finding(
        first_true(holds=found.low >= GAIN, conditional=bool(early), fails=found.high < GAIN),
        rule="LFM2 minus Llama blocks by training tokens: " + _said(by_steps),
        method=HOW,
        figure="figure-scratch",
        unit="points, unseen tools",
        condition=f"up to {_tokens(max(early, default=0))} training tokens; at {_tokens(last)} it is {points(found)}",
        models=[scratch.SMALL],
        **measures(found),
    )


def design_against_size(e: Evidence) -> Finding:
    """S0-14: what the design gains minus what a step of size gains, by number of training tokens."""
    by_steps = {}
    for steps in _steps(e):
        means = [
            _of(e, steps, *which).groupby("id")["correct"].mean().astype(float)
            for which in (("LFM2",), ("Llama",), ("LFM2", scratch.LARGE))
        ]
        small, plain, large = (one.loc[means[0].index.intersection(means[2].index)] for one in means)
        effect = ((small - plain) - (large - small)).dropna()
        if len(effect) > 1:
            found = stats.bootstrap(effect.to_numpy(), n_resamples=e.n_bootstrap, rng=e.seed)
            by_steps[steps] = stats.PairedDifference(found.n, *found[:3], None, None, None, None)
    if not by_steps:
        return _not_run("S0-14")
    last = by_steps[max(by_steps)]
    ahead, behind = ([s for s, one in by_steps.items() if test(one)] for test in (_above, _below))
    return Finding(
        first_true(conditional=bool(ahead and behind), holds=_above(last), fails=_below(last)),
        rule="design minus size by training tokens: " + _said(by_steps),
        method=HOW,
        figure="figure-scratch",
        unit="points, design minus size",
        condition=f"the design counts more at {_tokens(*ahead)} tokens, the size at {_tokens(*behind)}",
        models=[scratch.SMALL, scratch.LARGE],
        **measures(last),
    )


def data_needed(e: Evidence) -> Finding:
    """S0-15: what leaving out tool calls, and instructions, costs on own suites."""
    steps = max(_steps(e), default=0)
    if not steps:
        return _not_run("S0-15")
    both = _of(e, steps, "LFM2", unseen=False)
    tests = {data: e.difference(_of(e, steps, "LFM2", data=data, unseen=False), both) for data in scratch.DATA[1:]}
    costs = below(tests, -COST)
    needed = [name for name, yes in costs.items() if yes]
    first = tests[scratch.DATA[1]]
    return Finding(
        first_true(
            holds=all(costs.values()),
            conditional=bool(needed),
            fails=all(one.low > -COST for one in tests.values()),
        ),
        rule="; ".join(f"{name} {points(one)}" for name, one in tests.items()),
        method=f"{HOW}; suites {', '.join(scratch.SKILLS)}, Holm; planning is left to claim A6",
        figure="figure-scratch",
        unit="points, without tool calls",
        condition=f"needed: {', '.join(needed)}",
        models=[scratch.SMALL],
        **measures(first),
    )


def _steps(e: Evidence) -> list[int]:
    return sorted(int(steps) for steps in e.tables["scratch"]["steps"].unique())


def _of(
    e: Evidence, steps: int, design: str, size: str = scratch.SMALL, data: str = "both", unseen: bool = True
) -> pd.DataFrame:
    items = e.tables["scratch"]
    found = items[(items["steps"] == steps) & (items["design"] == design) & (items["size"] == size)]
    found = found[(found["data"] == data) & ((found["set"] == UNSEEN) | (not unseen))]
    return found.assign(id=found["set"] + "/" + found["id"].astype(str))


def _above(found: stats.PairedDifference) -> bool:
    return found.low > 0


def _below(found: stats.PairedDifference) -> bool:
    return found.high < 0


def _tokens(*steps: int) -> str:
    """Steps as training tokens: `1,024,000, 2,048,000`; `none` for nothing."""
    return ", ".join(f"{step * scratch.BATCH_TOKENS:,}" for step in steps) or "none"


def _said(by_steps: dict[int, stats.PairedDifference]) -> str:
    return "; ".join(f"{_tokens(steps)}: {points(found)}" for steps, found in by_steps.items())


def _not_run(claim: str) -> Finding:
    return Finding("not_testable", rule=WHY + PUBLISHED[claim], method=HOW)


RULES: dict[str, Rule] = {"A8": design_counts, "S0-14": design_against_size, "S0-15": data_needed}
