"""What is done well beside the end: recovery after a tool error, calls, and the order of the plan."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from slmkit import stats
from slmkit.agent.outcome import Outcome
from slmkit.agent.tasks import Task


def recovery(table: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Success on tasks in which a tool breaks, by arm, Wilson: arm, n, k, estimate, low, high."""
    rows = []
    for arm in arms:
        part = table[(table["arm"] == arm) & (table["kind"] == "tool_error")]
        if len(part):
            k, n = int((part["reward"] >= 1).sum()), len(part)
            low, high = stats.wilson(k, n)
            rows.append({"arm": arm, "n": n, "k": k, "estimate": k / n, "low": low, "high": high})
    return pd.DataFrame(rows, columns=["arm", "n", "k", "estimate", "low", "high"])


def in_order(tasks: Sequence[Task], outcomes: Sequence[Outcome], arm: str) -> pd.DataFrame:
    """Share of the goal's calls that were made in the goal's order (longest common subsequence of tool names)."""
    by_id = {task.task_id: task for task in tasks}
    rows = []
    for outcome in outcomes:
        wanted = [call["name"] for call in by_id[outcome.task_id].goal]
        made = [effect.name for effect in outcome.effects if effect.status in ("ok", "error")]
        if wanted:
            rows.append({"arm": arm, "task_id": outcome.task_id, "in_order": common(wanted, made) / len(wanted)})
    return pd.DataFrame(rows, columns=["arm", "task_id", "in_order"])


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for name in one:
        before = 0
        for place, rival in enumerate(other, 1):
            before, row[place] = row[place], before + 1 if name == rival else max(row[place], row[place - 1])
    return row[-1]


def four_abilities(
    table: pd.DataFrame, more: pd.DataFrame, steps: pd.DataFrame, order: pd.DataFrame, slm: str, llm: str,
    margin: float, n_resamples: int, rng: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Small minus large, paired, on the four abilities of claim S0-6; recovery is judged on the tasks of `more`.

    Columns ability, n, small, large, difference, low, high, ruling. An ability without two items is left out.
    """
    whole = table[table["arm"].isin((slm, llm))].pivot_table(index="task_id", columns="arm", values="reward").dropna()
    broken = more[more["arm"].isin((slm, llm)) & (more["kind"] == "tool_error")]
    repaired = broken.pivot_table(index="task_id", columns="arm", values="reward").dropna()
    plan = order.pivot_table(index="task_id", columns="arm", values="in_order").dropna()
    calls = steps[steps["gold_is_call"].astype(bool)].assign(right=lambda t: t["right"].astype(float))
    calls = calls.assign(arm=calls["role"].map({"slm": slm, "llm": llm}))
    calls = calls.pivot_table(index=["task_id", "step"], columns="arm", values="right").dropna()
    found = {"task success": whole, "call accuracy": calls, "plan in order": plan, "recovery": repaired}
    rows = []
    for ability, wide in found.items():
        if len(wide) < 2 or not {slm, llm} <= set(wide.columns):
            continue
        tasks = wide.index.get_level_values("task_id")
        unit = tasks if tasks.nunique() > 1 else None
        one = stats.paired_difference(wide[slm], wide[llm], unit, margin, n_resamples, rng)
        rows.append({"ability": ability, "n": one.n, "small": wide[slm].mean(), "large": wide[llm].mean(),
                     "difference": one.difference, "low": one.low, "high": one.high,
                     "ruling": one.verdict})  # fmt: skip
    return pd.DataFrame(rows)
