"""Training rows for adapters: what the script does at each step, in the view that a model has when it acts.

A row is `{"messages", "tools"}` with arguments as JSON strings; its last message is the answer to learn, as
`slmkit.specialization` trains it. Steps that only go on from each other can be one row with several answers to learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from slmkit.agent.decision import Ask, Decision
from slmkit.agent.loop import run_tasks
from slmkit.agent.oracle import Oracle
from slmkit.agent.tasks import Task
from slmkit.agent.view import View
from slmkit.errors import InputError

Row = dict[str, Any]


class _Listening(Oracle):
    """The oracle, with every question and answer kept."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        super().__init__(tasks)
        self.heard: list[tuple[Ask, Decision]] = []

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        decisions = super().decide_many(asks)
        self.heard += zip(asks, decisions, strict=True)
        return decisions


def training_rows(
    tasks: Iterable[Task],
    n: int | None = None,
    *,
    seed: int = 0,
    view: View | None = None,
    agency: str = "lm",
    joined: bool = False,
) -> list[Row]:
    """One row for each step of the tasks, in a drawn order; the first `n` of them.

    `joined` makes one row of steps whose prompt is the one before and its answer, with `learn` the number of answers:
    the same tokens learnt at less than half the prompt tokens. In `code` agency the rows are errands, with their
    schema told as a model in process is told it. Raises InputError for a task of the test split.
    """
    tasks = list(tasks)
    if wrong := [task.task_id for task in tasks if task.split == "test"]:
        raise InputError(f"{wrong[0]}: a task of the test split is no training data; use make_tasks('train')")
    oracle = _Listening(tasks)
    run_tasks(tasks, oracle, view=view, agency=agency, progress=False)  # type: ignore[arg-type]
    if joined:
        rows = _joined(oracle.heard)
    else:
        rows = [_row(ask, decision) for ask, decision in oracle.heard]
    Random(seed).shuffle(rows)
    return rows[:n]


def _joined(heard: Iterable[tuple[Ask, Decision]]) -> list[Row]:
    open_rows: dict[str, Row] = {}  # the last row of each task
    rows = []
    for ask, decision in heard:
        row, last = _row(ask, decision), open_rows.get(ask.state.task_id)
        if last and last["tools"] == row["tools"] and _goes_on(last["messages"], row["messages"]):
            last |= {"messages": row["messages"], "learn": last.get("learn", 1) + 1}
            continue
        open_rows[ask.state.task_id] = row
        rows.append(row)
    return rows


def _goes_on(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> bool:
    return [_said(message) for message in before] == [_said(message) for message in after[: len(before)]]


def _said(message: dict[str, Any]) -> tuple:
    calls = message.get("tool_calls") or []
    return message["role"], message.get("content") or "", [tuple(call["function"].values()) for call in calls]


def _row(ask: Ask, decision: Decision) -> Row:
    from slmkit.models.messages import with_schema

    step = ask.state.step
    calls = [call.model_copy(update={"id": f"c{step}_{n}"}) for n, call in enumerate(decision.reply.tool_calls)]
    answer = decision.reply.model_copy(update={"tool_calls": calls}).message()
    return {"messages": [*with_schema(ask.messages, ask.schema), answer], "tools": ask.tools}
