"""Cost against success on the world: calibrate on one split, then every arm on the test tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.agent.routing import calibrate
from slmkit.agent.routing.router import PreCall, TextRouter
from slmkit.agent.routing.routing import RULES, Routing
from slmkit.agent.studies import forced
from slmkit.agent.studies.arms import Arms
from slmkit.agent.studies.deciders import ByKind, RandomMix
from slmkit.agent.tasks import Task
from slmkit.agent.teacher import goal_steps

BUDGET = 0.35  # of the calls that the large model alone makes
TRACED = (0.0, 0.1, 0.2, 0.3, 0.45, 0.7)  # shares of calibration replies that the thresholds of the trace send on
RULE_SETS = (RULES, ("invalid", "irreversible"))
SEEDS = (0, 1, 2)  # of random mixing
SLM, LLM, CHOSEN, GONE, BARE = "small alone", "large alone", "cascade", "cascade, large gone", "cascade, no guardrails"
SPLIT, ROUTER, RANDOM, ORACLE = "split by kind", "pre-call router", "random mix", "oracle"
STEP_KINDS = {"call": "after the user", "result": "after a result"}


def signal_table(arms: Arms, tasks: Sequence[Task]) -> pd.DataFrame:
    """The small model's replies on the goal's way of the calibration tasks: signals, and whether each was wrong."""
    goal = goal_steps(tasks)
    table = forced.steps(tasks, goal, arms.small, "slm", max_tokens=arms.max_tokens)
    return table.assign(wrong=~table["right"])


def calibrated(
    arms: Arms, tasks: Sequence[Task], table: pd.DataFrame, access: dict[str, str], references: tuple[str, str],
    target: str = "budget", value: float = BUDGET, seed: int = 0, traced: Sequence[float] = TRACED,
) -> tuple[Routing, pd.DataFrame]:  # fmt: skip
    """The routing chosen on the calibration tasks, and a row a task, rule set and threshold tried.

    Tried are all rules, and only those that guard against harm (the score sees the other signals as well), each at the
    thresholds of `traced`.
    """
    learnt = calibrate.learn(*references, table, access=access)
    levels = calibrate.thresholds(learnt, table, traced)
    alone = arms.run(f"calibration: {LLM}", arms.alone(arms.large, "large"), tasks)
    tried: dict[Routing, pd.DataFrame] = {}
    for rules in RULE_SETS:
        for level in levels.values():
            routing = learnt.at(rules=rules, threshold=level)
            made = arms.run(f"calibration: {level:.4f}", arms.cascade(routing), tasks)
            tried[routing] = made.assign(threshold=level, rules=" ".join(rules))
    chosen = calibrate.choose(tried, alone, target, value, seed)
    return chosen, pd.concat([*tried.values(), alone.assign(threshold=np.nan, rules="")], ignore_index=True)


def share_of(table: pd.DataFrame, arm: str = CHOSEN) -> float:
    """Large calls of an arm over those of the large model alone."""
    calls = table.groupby("arm")["large_calls"].sum()
    return float(calls[arm] / max(1, calls[LLM]))


def runs(
    arms: Arms, tasks: Sequence[Task], routing: Routing, levels: Mapping[float, float], seed: int = 0,
    mixes: int = len(SEEDS),
) -> pd.DataFrame:  # fmt: skip
    """A row a task and arm on the test tasks: both models alone, the trace, the chosen point, its rivals, no large one.

    `levels` are the thresholds of the trace by the share that each sends on (`calibrate.thresholds`).
    Columns of `Arms.run`, `threshold` (of the trace) and `seed` (of random mixing).
    """
    bare = routing.at(rules=(), confirm=False, threshold=2.0, scorer=None)
    parts = [
        arms.run(SLM, arms.alone(arms.small, "small"), tasks),
        arms.run(LLM, arms.alone(arms.large, "large"), tasks),
        arms.run(CHOSEN, arms.cascade(routing), tasks),
        arms.run(GONE, arms.cascade(routing, gone=True), tasks),
        arms.run(BARE, arms.cascade(bare), tasks, defence=None),
    ]
    for share, level in levels.items():
        made = arms.run(f"trace {share:.2f}", arms.cascade(routing.at(threshold=level)), tasks)
        parts.append(made.assign(arm="trace", threshold=level))
    share = parts[2]["large_calls"].sum() / max(1, parts[1]["large_calls"].sum())
    for number in SEEDS[:mixes]:
        mix = RandomMix(arms.small, arms.large, _chance(parts, share), seed + number, **arms.options)
        parts.append(arms.run(f"{RANDOM} {number}", mix, tasks).assign(arm=RANDOM, seed=number))
    split = ByKind(arms.small, arms.large, lambda ask: ask.state.kind == "call", SPLIT, **arms.options)
    parts.append(arms.run(SPLIT, split, tasks))
    return pd.concat(parts, ignore_index=True)


def _chance(parts: Sequence[pd.DataFrame], share: float) -> float:
    """The chance a step at which a random mix makes that share of large calls, for paths as long as the mean."""
    steps = (parts[0]["steps"].sum() + parts[1]["steps"].sum()) / 2
    return float(np.clip(share * parts[1]["large_calls"].sum() / max(1, steps), 0, 1))


def pre_call(
    arms: Arms, tasks: Sequence[Task], known: Sequence[Task], known_runs: pd.DataFrame, share: float
) -> pd.DataFrame:
    """The rival that reads only the first words: learnt on the calibration tasks, at the same share of tasks."""
    texts = [task.turns[0].text for task in known]
    solved = {arm: known_runs[known_runs["arm"] == arm].set_index("task_id")["reward"] >= 1 for arm in (SLM, LLM)}
    router = TextRouter().fit(texts, *(solved[arm].reindex([t.task_id for t in known]) for arm in (SLM, LLM)))
    threshold = float(np.quantile(router.score(texts), 1 - min(1.0, max(0.0, share))))
    return arms.run(ROUTER, PreCall(arms.small, arms.large, router, threshold, **arms.options), tasks)


def oracle(table: pd.DataFrame) -> pd.DataFrame:
    """The bound: the large model alone only where it solves a task that the small one does not."""
    wide = {arm: table[table["arm"] == arm].set_index("task_id") for arm in (SLM, LLM)}
    needs = (wide[LLM]["reward"] > wide[SLM]["reward"]).reindex(wide[SLM].index)
    return wide[SLM].where(~needs, wide[LLM].reindex(wide[SLM].index)).reset_index().assign(arm=ORACLE)


def frontier(table: pd.DataFrame, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """A row an arm (and threshold): success and USD a task with 95 % bootstrap intervals over tasks, share of calls.

    Columns arm, threshold, n, success, success_low, success_high, usd, usd_low, usd_high, share (large calls over those
    of the large model alone) with low and high, usd_per_solved.
    """
    base = table[table["arm"] == LLM].set_index("task_id")["large_calls"]
    rows = []
    whole = pd.concat([table, oracle(table)])
    for (arm, threshold), part in whole.groupby(["arm", "threshold"], dropna=False, sort=False):
        tasks = part.groupby("task_id")[["reward", "usd", "large_calls"]].mean()
        success = stats.bootstrap(tasks["reward"], n_resamples=n_resamples, rng=rng)
        usd = stats.bootstrap(tasks["usd"], n_resamples=n_resamples, rng=rng)
        pair = np.c_[tasks["large_calls"], base.reindex(tasks.index)]
        share = stats.bootstrap(pair, lambda r: r[:, 0].sum() / max(r[:, 1].sum(), 1), n_resamples=n_resamples, rng=rng)
        low, high = stats.wilson(round(tasks["reward"].sum()), len(tasks))
        rows.append({
            "arm": arm, "threshold": threshold, "n": len(tasks), "success": success.estimate,
            "success_low": min(success.low, low), "success_high": max(success.high, high),
            "usd": usd.estimate, "usd_low": usd.low, "usd_high": usd.high,
            "share": share.estimate, "share_low": share.low, "share_high": share.high,
            "usd_per_solved": usd.estimate / success.estimate if success.estimate else np.inf,
        })  # fmt: skip
    return pd.DataFrame(rows)


def solved(table: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Tasks solved by arm, Wilson: arm, n, k, estimate, low, high, in the order of `arms`."""
    rows = []
    for arm in arms:
        part = table[table["arm"] == arm]
        k, n = int((part["reward"] >= 1).sum()), len(part)
        low, high = stats.wilson(k, n)
        rows.append({"arm": arm, "n": n, "k": k, "estimate": k / n, "low": low, "high": high})
    return pd.DataFrame(rows)


def rewards(table: pd.DataFrame, arm: str, column: str = "reward") -> pd.Series:
    """One number a task for an arm, the mean over its seeds, by task id."""
    return table[table["arm"] == arm].groupby("task_id")[column].mean()


def paired(
    table: pd.DataFrame, a: str, b: str, margin: float | None, n_resamples: int, rng: int = 0, column: str = "reward"
) -> stats.PairedDifference:
    """Arm a minus arm b, paired by task."""
    one, other = rewards(table, a, column), rewards(table, b, column)
    both = one.index.intersection(other.index)
    return stats.paired_difference(one[both], other[both], None, margin, n_resamples, rng)


def shares(arms: Arms, arm: str = CHOSEN) -> pd.DataFrame:
    """Of the chosen cascade: steps by kind and by who answered, with the share of each kind that escalated."""
    rows: list[dict[str, Any]] = []
    for outcome in arms.outcomes[arm]:
        for step in outcome.steps:
            made = step.decision
            who = "user" if made.answered_by == "user" else "large" if made.answered_by == arms.large.ref else "small"
            what = "call" if made.reply.tool_calls else "words"
            rows.append({"task_id": outcome.task_id, "kind": f"{STEP_KINDS.get(step.kind, step.kind)}: {what}",
                         "answered_by": who, "escalated": bool(made.escalated_because),
                         "reason": ", ".join(made.escalated_because)})  # fmt: skip
    return pd.DataFrame(rows)
