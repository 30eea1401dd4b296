"""Rules of notebook 04 on small tables: undecided is not refuted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slmkit.agent.studies import compute, mixed
from slmkit.agent.verdicts import Evidence, steps


def solved(arms: dict[str, float], n: int) -> pd.DataFrame:
    """`n` tasks an arm, the first share of them solved."""
    parts = []
    for arm, share in arms.items():
        reward = (np.arange(n) < round(share * n)).astype(float)
        parts.append(pd.DataFrame({"arm": arm, "task_id": [f"t{i}" for i in range(n)], "reward": reward}))
    fixed = {"kind": "call", "extra": False, "prompt_tokens": 90, "completion_tokens": 10, "usd": 1.0, "joules": 2.0}
    return pd.concat(parts, ignore_index=True).assign(**fixed)


def evidence(**tables: pd.DataFrame) -> Evidence:
    return Evidence((), tables, "mini-1m", "mini-2m", n_bootstrap=300)


@pytest.mark.parametrize(
    "gains, n, outcome",
    [
        ((0.2, 0.2, 0.2), 200, "holds"),
        ((0.2, 0.2, 0.0), 200, "conditional"),
        ((0.0, 0.0, 0.0), 2_000, "fails"),
        ((0.0, 0.0, 0.0), 30, "inconclusive"),
        ((-0.2, 0.0, 0.0), 30, "inconclusive"),
    ],
)
def test_aids(gains, n, outcome):
    arms = {compute.SINGLE: 0.4, **{aid: 0.4 + gain for aid, gain in zip(compute.AIDS, gains, strict=True)}}
    assert steps.aids(evidence(compute=solved(arms | {compute.LARGE: 0.9}, n))).outcome == outcome


@pytest.mark.parametrize(
    "code, n, outcome",
    [(0.9, 200, "holds"), (0.6, 200, "conditional"), (0.4, 2_000, "fails"), (0.35, 30, "inconclusive")],
)
def test_code_in_charge(code, n, outcome):
    runs = solved({mixed.SLM: 0.4, mixed.LLM: 0.9}, n)
    found = steps.code_in_charge(evidence(runs=runs, code=solved({steps.CODE_SLM: code}, n)))
    assert found.outcome == outcome
