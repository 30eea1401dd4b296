"""What notebook 04 shows in one call each: tables put together from several studies, and one task as a card."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from slmkit import config
from slmkit.agent.card import Card
from slmkit.agent.outcome import Outcome
from slmkit.agent.stress import faults as broken
from slmkit.agent.stress import security
from slmkit.agent.studies import bfcl_v1, findings, mixed, recovery, routellm, specialists
from slmkit.agent.studies.lab import Lab
from slmkit.agent.tasks import Task
from slmkit.agent.verdicts.steps import ABILITY_MARGIN, CODE_LLM, CODE_SLM, MARGIN
from slmkit.parameters import Run

ROUTING_MARGIN = 0.02  # of claim S0-22
SMALL_COST = 0.1  # of a large call: the paper's 10 to 30 times cheaper, at its lower end
SMOKE_ITEMS = 150  # of each set of RouteLLM at smoke scale
PANELS = {"mmlu": "MMLU", "gsm8k": "GSM8K"}


def faults(bench: Lab) -> pd.DataFrame:
    """The calibrated cascade with each kind of broken tool, on a few test tasks (`stress.faults.table`)."""
    return broken.table(bench.arms.cascade(bench.routing), _few(bench), seed=bench.run.seed)


def _few(bench: Lab) -> list[Task]:
    """A quarter of the test tasks, at least twelve; two at smoke scale."""
    return bench.test[: max(12, len(bench.test) // 4) if bench.run.scale.evidence else 2]


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
    return bfcl_v1.needed(bfcl_v1.scored(bfcl_v1.load(data), seed))


def routers(data: str | Path | None, run: Run) -> pd.DataFrame:
    """Learned routers on BFCL v1 and, where at hand, on the sets of RouteLLM (`bfcl_v1.pairs`, `routellm.pairs`)."""
    how = (SMALL_COST, ROUTING_MARGIN, run.scale.n_bootstrap, run.seed)
    parts = [bfcl_v1.pairs(bfcl_v1.scored(bfcl_v1.load(data), run.seed), *how)]
    if config.has_dataset("routellm", data):
        parts.append(routellm.pairs(routellm.load(data, _limit(run), run.seed), *how))
    return pd.concat(parts, ignore_index=True)


def labels(table: pd.DataFrame) -> list[str]:
    """`xLAM-7b-fc-r / claude-3-5-sonnet, learned`."""
    return [f"{row.pair}, {row.who}" for row in table.itertuples()]


def notes(table: pd.DataFrame) -> list[str]:
    """`24% of the calls, cost 0.34, inconclusive`."""
    return [f"{row.share:.0%} of the calls, cost {row.cost_ratio:.2f}, {row.ruling}" for row in table.itertuples()]


def curves(data: str | Path | None, run: Run) -> pd.DataFrame:
    """The trade-off of each router on both sets of RouteLLM; `panel` names the set."""
    table = routellm.curves(_scored(data, run))
    return table.assign(panel=table["set"].map(PANELS))


def metrics(data: str | Path | None, run: Run) -> pd.DataFrame:
    """APGR and CPT with intervals, RouteLLM's own beside."""
    return routellm.metrics(_scored(data, run), min(run.scale.n_bootstrap, 1_000), run.seed)


def _scored(data: str | Path | None, run: Run) -> pd.DataFrame:
    return routellm.scored(routellm.load(data, _limit(run), run.seed), run.seed)


def _limit(run: Run) -> int:
    return 0 if run.scale.evidence else SMOKE_ITEMS


def attacks(bench: Lab) -> pd.DataFrame:
    """Injected instructions by channel, undefended and defended (`stress.security.table`), on a few test tasks.

    `gullible` obeys every instruction that it sees, the worst case; the other rows are the bare small model where
    undefended and the calibrated cascade where defended.
    """
    some, arms, seed = _few(bench), bench.arms, bench.run.seed
    cascade = arms.cascade(bench.routing)
    worst = security.table(some, seed=seed)
    bare = security.table(some, lambda *_: arms.alone(arms.small, "small"), seed)
    whole = security.table(some, lambda *_: cascade, seed)
    own = [bare[bare["arm"] == "undefended"], whole[whole["arm"] == "defended"]]
    return pd.concat([worst, *own], ignore_index=True)


def agency_card(bench: Lab) -> Outcome:
    """The outcome of the calibrated cascade that shows most: solved, with an escalation and a write if there is one."""
    bench.ran()
    return max(bench.arms.outcomes[mixed.CHOSEN], key=_shown)


def _shown(outcome: Outcome) -> tuple[Any, ...]:
    escalated = any(step.decision.escalated_because for step in outcome.steps)
    return (escalated and outcome.reward >= 1, bool(outcome.right_writes), escalated, -len(outcome.steps))


def card(run: Any, bench: Lab) -> None:
    """Show one task as a card; its lines are a table of the results, so that recorded runs show it too."""
    from IPython.display import HTML, display

    kept: list[Outcome] = []

    def lines() -> pd.DataFrame:
        kept.append(agency_card(bench))
        return pd.DataFrame({"line": repr(Card(kept[0])).splitlines()})

    table = run.table("card", lines)
    plain = "<br>".join(escape(line) for line in table["line"].astype(str))
    display(
        Card(kept[0]) if kept else HTML(f'<div style="font-family: monospace; white-space: pre-wrap">{plain}</div>')
    )
