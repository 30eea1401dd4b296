"""Scores of a mini model on the evaluation sets: greedy, exact match of name and all arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from slmkit import models
from slmkit.mini import corpus
from slmkit.models.base import Request
from slmkit.records import Reply
from slmkit.stats import wilson

Item = dict[str, Any]


def calls(reply: Reply) -> list[dict[str, Any]] | None:
    """The calls of a reply as `{name, arguments}`; None where one of them cannot be read."""
    if reply.error or reply.malformed:
        return None
    made = []
    for call in reply.tool_calls:
        arguments = call.parsed()
        if not isinstance(arguments, dict):
            return None
        made.append({"name": call.name, "arguments": arguments})
    return made


def correct(item: Item, reply: Reply) -> bool:
    """Exact match of the calls, whatever their order; no call where none is wanted; an errand's object, exactly."""
    if "answer" in item:
        return loaded(reply.content) == item["answer"]
    made = calls(reply)
    return made is not None and _sorted(made) == _sorted(item["calls"])


def named(item: Item, reply: Reply) -> bool:
    """The right names, whatever the arguments."""
    if "answer" in item:
        return True
    made = calls(reply)
    return made is not None and sorted(call["name"] for call in made) == sorted(call["name"] for call in item["calls"])


def loaded(text: str) -> Any:
    """The JSON value of a text, or None."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _sorted(made: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(made, key=lambda call: json.dumps(call, sort_keys=True, default=str))


def answers(folder: str | Path, items: Sequence[Item], decoding: str = "free") -> list[Reply]:
    """Greedy replies to the items, in their order; `decoding` is free, constrained or threshold.

    The last is free but for the shipped threshold, which then decides between call and no call; the others do
    without it.
    """
    requests = [Request(item["messages"], item["tools"], item.get("schema")) for item in items]
    model = models.load(str(folder), call_threshold="shipped" if decoding == "threshold" else "off")
    return model.chat_many(requests, max_tokens=160, constrained=decoding == "constrained")


def exam(
    folder: str | Path,
    sets: Iterable[str] | None = None,
    n: int = 200,
    seed: int = 0,
    decodings: Iterable[str] = ("free", "constrained"),
) -> list[dict[str, Any]]:
    """One row a set and decoding, as fractions: exact match with Wilson interval, right name, valid JSON, call made."""
    rows = []
    for name in sets or corpus.evaluation_names():
        items = corpus.evaluation_set(name, n, seed)
        for decoding in decodings:
            replies = answers(folder, items, decoding)
            pairs = list(zip(items, replies, strict=True))
            right = sum(correct(*pair) for pair in pairs)
            low, high = wilson(right, n)
            rows.append(
                {
                    "set": name,
                    "decoding": decoding,
                    "n": n,
                    "exact_match": right / n,
                    "low": low,
                    "high": high,
                    "right_name": sum(named(*pair) for pair in pairs) / n,
                    "valid_json": sum(calls(reply) is not None for reply in replies) / n,
                    "made_a_call": sum(calls(reply) != [] for reply in replies) / n,
                }
            )
    return rows
