"""Distillation: the answers to learn come from a larger model, and are kept where they can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slmkit.errors import InputError
from slmkit.models.base import Model
from slmkit.specialization import data
from slmkit.specialization.data import Row
from slmkit.specialization.reward import MAX_TOKENS, request, score


@dataclass(frozen=True)
class Taught:
    """Rows with the teacher's answers; of `n` requests, `invalid` were dropped, and `agreement` had the gold answer."""

    rows: list[dict[str, Any]]
    n: int
    invalid: int
    agreement: float


def distilled(rows: Sequence[Row], teacher: Model, verified: bool = False, **sampling: Any) -> Taught:
    """The rows answered by `teacher`: text, or calls that parse and match their tools' schemas.

    With `verified` only answers that score as right against the row's own answer are kept (rejection sampling).
    `sampling` goes to `chat_many`, e.g. `constrained=True`. InputError when fewer than two answers are left.
    """
    replies = teacher.chat_many([request(row) for row in rows], **{"max_tokens": MAX_TOKENS, **sampling})
    kept: list[dict[str, Any]] = []
    invalid = agreed = 0
    for row, reply in zip(rows, replies, strict=True):
        right = score(row, reply).correct
        agreed += right
        answered = {**row, "messages": [*row["messages"][:-1], reply.message()]}
        if reply.error or reply.malformed or not _sound(answered):
            invalid += 1
        elif right or not verified:
            kept.append(answered)
    if len(kept) < 2:
        raise InputError(f"{teacher.ref}: {len(kept)} of {len(rows)} answers can be learnt; use another teacher")
    return Taught(kept, len(rows), invalid, agreed / len(rows))


def _sound(row: Row) -> bool:
    try:
        data.check([row])
    except InputError:
        return False
    return True
