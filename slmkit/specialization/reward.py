"""Held-out task reward: the share of rows that a model answers with exactly the calls wanted, or none where none is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from slmkit.capability.scoring import Score, score_calls, score_no_call
from slmkit.models.base import Model, Request
from slmkit.records import Reply
from slmkit.specialization.data import Row

MAX_TOKENS = 160  # of an answer; two long calls of a mini fit


def wanted(row: Row) -> list[dict[str, Any]]:
    """The calls that a row's answer makes, `{name, arguments}` with the arguments parsed; none for a refusal."""
    functions = [call["function"] for call in row["messages"][-1].get("tool_calls") or []]
    return [{"name": function["name"], "arguments": json.loads(function["arguments"])} for function in functions]


def score(row: Row, reply: Reply) -> Score:
    """Exact match of name and all arguments, in any order; no call where the row's answer is text."""
    gold = wanted(row)
    return score_calls(gold, reply) if gold else score_no_call(reply)


def request(row: Row) -> Request:
    """What a model is asked: the row without its answer."""
    return Request(list(row["messages"][:-1]), list(row.get("tools") or []))


def rewards(model: Model, rows: Sequence[Row], **sampling: Any) -> list[bool]:
    """Whether each row is answered right; greedy unless `sampling` says otherwise."""
    asked = {"max_tokens": MAX_TOKENS, **sampling}
    replies = model.chat_many([request(row) for row in rows], progress=False, **asked)
    return [score(row, reply).correct for row, reply in zip(rows, replies, strict=True)]
