"""Step by step on the goal's way: both models answer the same questions, so nothing of one hangs on the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from slmkit import stats
from slmkit.agent.decision import Ask
from slmkit.agent.language import ENDS, marked
from slmkit.agent.routing.grounding import plain
from slmkit.agent.routing.signals import signals
from slmkit.agent.tasks import Task
from slmkit.capability.scoring import same_json
from slmkit.models.base import Model, Request
from slmkit.records import Reply

KINDS = {"first call": "choose the first call", "next call": "go on after a result", "retry": "call once more",
         "answer": "answer from results", "done": "say that it is done", "refuse": "refuse by the rules",
         "ask": "ask for what is missing", "report": "report a failure"}  # fmt: skip


def kind_of(ask: Ask, gold: Reply, task: Task) -> str:
    """The kind of a step by what the goal does there: one of `KINDS`."""
    if gold.tool_calls:
        if ask.state.kind == "call":
            return "first call"
        last = next((m for m in reversed(ask.state.history) if m.get("tool_calls")), None)
        repeated = last is not None and last["tool_calls"][-1]["function"]["name"] == gold.tool_calls[0].name
        same = repeated and last["tool_calls"][-1]["function"]["arguments"] == gold.tool_calls[0].arguments
        return "retry" if same else "next call"
    for end in ENDS:
        if marked(gold.content, end):
            return end
    return "answer" if _answers(task, gold) else "done"


def right(reply: Reply, gold: Reply, task: Task) -> bool:
    """Whether a reply does what the goal does: the same call, or words that close alike and hold the answers."""
    if reply.error or len(reply.tool_calls) != len(gold.tool_calls):
        return False
    if gold.tool_calls:
        made, wanted = reply.tool_calls[0], gold.tool_calls[0]
        return made.name == wanted.name and same_json(made.parsed(), wanted.parsed())
    alike = all(marked(reply.content, end) == marked(gold.content, end) for end in ENDS)
    told = plain(reply.content)
    return bool(reply.content.strip()) and alike and all(plain(a) in told for a in _answers(task, gold))


def _answers(task: Task, gold: Reply) -> tuple[str, ...]:
    return next((turn.answers for turn in task.turns if turn.says == gold.content), ())


def steps(
    tasks: Sequence[Task], goal: Sequence[tuple[Ask, Reply]], model: Model, role: str, **options: Any
) -> pd.DataFrame:
    """A row a step: role, model, task_id, domain, n_calls, step, kind, gold_is_call, right, error, and the signals."""
    by_id = {task.task_id: task for task in tasks}
    asks = [ask for ask, _ in goal]
    replies = model.chat_many([Request(a.messages, a.tools, a.schema) for a in asks], progress=False, **options)
    rows = []
    for (ask, gold), reply in zip(goal, replies, strict=True):
        task = by_id[ask.state.task_id]
        rows.append({
            "role": role, "model": model.ref, "task_id": task.task_id, "domain": task.domain, "n_calls": task.n_calls,
            "step": ask.state.step, "kind": kind_of(ask, gold, task), "gold_is_call": bool(gold.tool_calls),
            "right": right(reply, gold, task), "error": reply.error or "", **signals(reply, ask),
        })  # fmt: skip
    return pd.DataFrame(rows)


def by_kind(table: pd.DataFrame, margin: float, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """Small minus large by kind of step, paired by step, resampled by task.

    Columns kind, says, n; slm and llm, each with _low and _high (Wilson); difference, low, high, ruling. A kind with
    fewer than two steps is left out.
    """
    wide = table.pivot_table(index=["task_id", "step", "kind"], columns="role", values="right", aggfunc="first")
    wide = wide.dropna().astype(float).reset_index()
    rows = []
    for kind, part in wide.groupby("kind"):
        if len(part) < 2:
            continue
        units = part["task_id"] if part["task_id"].nunique() > 1 else None
        found = stats.paired_difference(part["slm"], part["llm"], units, margin, n_resamples, rng)
        row: dict[str, Any] = {"kind": kind, "says": KINDS[str(kind)], "n": len(part)}
        for role in ("slm", "llm"):
            low, high = stats.wilson(int(part[role].sum()), len(part))
            row |= {role: part[role].mean(), f"{role}_low": low, f"{role}_high": high}
        rows.append(row | {"difference": found.difference, "low": found.low, "high": found.high,
                           "ruling": found.verdict})  # fmt: skip
    return pd.DataFrame(rows)
