"""Training rows for adapters: what the script does at each step, in the view that a model has when it acts.

A row is `{"messages", "tools"}` with arguments as JSON strings; its last message is the answer to learn, as
`slmkit.specialization` trains it. Steps that only go on from each other can be one row with several answers to learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

from slmkit.agent.decision import Ask
from slmkit.agent.loop import Agency
from slmkit.agent.tasks import Task
from slmkit.agent.teacher import goal_steps
from slmkit.agent.view import View
from slmkit.errors import InputError
from slmkit.models.messages import with_schema
from slmkit.records import Reply

Row = dict[str, Any]


def training_rows(
    tasks: Iterable[Task],
    n: int | None = None,
    *,
    seed: int = 0,
    view: View | None = None,
    agency: Agency = "lm",
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
    steps = goal_steps(tasks, view=view, agency=agency)
    rows = _joined(steps) if joined else [_row(ask, reply) for ask, reply in steps]
    Random(seed).shuffle(rows)
    return rows[:n]


def both_agencies(tasks: Sequence[Task], n: int = 0, seed: int = 0) -> list[Row]:
    """`n` rows, three quarters of them with the model in charge, joined, the others with code in charge; 0: all rows.

    A third of the tasks is played with code in charge.
    """
    quarter = n // 4
    led = training_rows(tasks, n - quarter if n else None, seed=seed, joined=True)
    return led + training_rows(tasks[: max(2, len(tasks) // 3)], quarter if n else None, seed=seed, agency="code")


def _joined(steps: Iterable[tuple[Ask, Reply]]) -> list[Row]:
    open_rows: dict[str, Row] = {}  # the last row of each task
    rows = []
    for ask, reply in steps:
        row, last = _row(ask, reply), open_rows.get(ask.state.task_id)
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


def _row(ask: Ask, reply: Reply) -> Row:
    step = ask.state.step
    calls = [call.model_copy(update={"id": f"c{step}_{n}"}) for n, call in enumerate(reply.tool_calls)]
    answer = reply.model_copy(update={"tool_calls": calls}).message()
    return {"messages": [*with_schema(ask.messages, ask.schema), answer], "tools": ask.tools}
