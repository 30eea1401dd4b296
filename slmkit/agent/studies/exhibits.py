"""What notebook 04 shows in one call each: tables put together from several studies, and one task as a card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from slmkit import config, stats
from slmkit.agent.cascade import Cascade
from slmkit.agent.studies import bfcl_v1, findings, mixed, recovery, routellm, specialists
from slmkit.agent.studies.lab import Lab, Run
from slmkit.agent.verdicts.steps import ABILITY_MARGIN, CODE_LLM, CODE_SLM, MARGIN

ROUTING_MARGIN = 0.02  # of claim S0-22
SMALL_COST = 0.1  # of a large call: the lower end of the paper's 10 to 30
SMOKE_ITEMS = 150  # of each set of RouteLLM at smoke scale
PANELS = {"mmlu": "MMLU", "gsm8k": "GSM8K"}


def faults(bench: Lab) -> pd.DataFrame:
    """The calibrated cascade with each kind of broken tool, on a few test tasks (`agent.faults.table`)."""
    from slmkit.agent import faults as broken

    cascade = Cascade(bench.arms.small, bench.arms.large, bench.routing, **bench.arms.options)
    n = 4 if not bench.run.scale.evidence else max(12, len(bench.test) // 4)
    return broken.table(cascade, bench.test[:n], seed=bench.run.seed)


def abilities(
    runs: pd.DataFrame, steps: pd.DataFrame, order: pd.DataFrame, n_resamples: int, rng: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The four abilities of S0-6, and recovery by arm."""
    tested = runs[~runs["extra"].astype(bool)]
    four = recovery.four_abilities(tested, runs, steps, order, mixed.SLM, mixed.LLM, ABILITY_MARGIN, n_resamples, rng)
    return four, recovery.recovery(runs, [mixed.SLM, mixed.LLM, mixed.CHOSEN])


def agencies(tested: pd.DataFrame, coded: pd.DataFrame) -> pd.DataFrame:
    """Tasks solved by mode and role: mode, role, n, estimate, low, high."""
    modes = {mixed.SLM: ("model in charge", "slm"), mixed.LLM: ("model in charge", "llm"),
             CODE_SLM: ("code in charge", "slm"), CODE_LLM: ("code in charge", "llm")}  # fmt: skip
    table = mixed.solved(pd.concat([tested, coded]), list(modes))
    table["mode"], table["role"] = zip(*table["arm"].map(modes), strict=True)
    return table


def bricks(run: Any, table: pd.DataFrame, n_resamples: int, rng: int) -> None:
    """Show the router over specialists against its rivals, where their adapters were at hand."""
    from slmkit.figures import agent

    if table.empty:
        return
    found = specialists.summary(table, MARGIN, n_resamples, rng)
    label = found["group"] + ", minus " + found["rival"]
    axis = "tasks solved, router over two specialists minus rival (95 %)"
    picture = agent.differences(found.assign(label=label), "label", findings.by_bricks(found), "", MARGIN, axis)
    run.figure("figure-bricks", picture, found, "Paired by task; the router reads the first words of the user.")


def needs(data: str | Path | None, seed: int) -> pd.DataFrame:
    """What an oracle needs the large model for, by pair of BFCL v1."""
    return bfcl_v1.needed(bfcl_v1.scored(bfcl_v1.load(data or None), seed))


def routers(data: str | Path | None, run: Run) -> pd.DataFrame:
    """Learned routers on BFCL v1 and, where at hand, on the sets of RouteLLM (`bfcl_v1.pairs`, `routellm.pairs`)."""
    how = (SMALL_COST, ROUTING_MARGIN, run.scale.n_bootstrap, run.seed)  # type: ignore[attr-defined]
    parts = [bfcl_v1.pairs(bfcl_v1.scored(bfcl_v1.load(data or None), run.seed), *how)]
    if config.has_dataset("routellm", data or None):
        parts.append(routellm.pairs(routellm.load(data or None, _limit(run), run.seed), *how))
    return pd.concat(parts, ignore_index=True)


def labels(table: pd.DataFrame) -> list[str]:
    """`xLAM-7b-fc-r / claude-3-5-sonnet, learned: 24 % large calls, cost 0.34`."""
    return [f"{row.pair}, {row.who}: {row.share:.0%} large calls, cost {row.cost_ratio:.2f}"
            for row in table.itertuples()]  # fmt: skip


def curves(data: str | Path | None, run: Run) -> pd.DataFrame:
    """The trade-off of each router on both sets of RouteLLM; `panel` names the set."""
    table = routellm.curves(_scored(data, run))
    return table.assign(panel=table["set"].map(PANELS))


def metrics(data: str | Path | None, run: Run) -> pd.DataFrame:
    """APGR and CPT with intervals, RouteLLM's own beside."""
    return routellm.metrics(_scored(data, run), min(run.scale.n_bootstrap, 1_000), run.seed)


def _scored(data: str | Path | None, run: Run) -> pd.DataFrame:
    return routellm.scored(routellm.load(data or None, _limit(run), run.seed), run.seed)


def _limit(run: Run) -> int:
    return 0 if run.scale.evidence else SMOKE_ITEMS


def counted(table: pd.DataFrame) -> pd.DataFrame:
    """Attacks by arm: how many, how many led to a write that nobody authorised (upper 95 % end), legitimate writes."""
    rows = []
    for arm, part in table.groupby("arm", sort=False):
        k, n = int(part["harm"].sum()), len(part)
        rows.append({"arm": arm, "attacks": n, "unauthorised writes": k, "upper end": stats.wilson(k, n)[1],
                     "legitimate writes kept": part["kept"].mean()})  # fmt: skip
    return pd.DataFrame(rows, columns=["arm", "attacks", "unauthorised writes", "upper end", "legitimate writes kept"])
