"""Several tasks: the rows of one adapter for all of them, to be held against one adapter a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from slmkit.errors import InputError
from slmkit.specialization.data import Row


def multi_task(rows_by_task: Mapping[str, Sequence[Row]], n: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    """`n` rows in all (0: as many as there are), the same number of each task, shuffled; each row says its `task`.

    InputError, naming the task, where one has fewer rows than its part.
    """
    if not rows_by_task:
        raise InputError("multi_task: no task given")
    each = n // len(rows_by_task) if n else min(map(len, rows_by_task.values()))
    mixed: list[dict[str, Any]] = []
    for task, rows in rows_by_task.items():
        if len(rows) < max(1, each):
            raise InputError(f"multi_task: {task} has {len(rows)} rows, {max(1, each)} are wanted; lower n")
        mixed += [{**row, "task": task} for row in rows[:each]]
    Random(f"multi-task/{seed}").shuffle(mixed)
    return mixed
