"""Look-up tools of tau2-bench: find and get calls of successful trajectories, trained and tested by trajectory.

Source: tau2-bench (arXiv:2506.07982), MIT, its `sft-v1-small` sample: the training tasks of the bench train, and its
test tasks are only tested with. The policy text of several thousand tokens is left out, and only the look-up tools are
offered. A `no_call` row is a turn at which the agent spoke to the customer.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from slmkit.specialization.rows import as_text
from slmkit.specialization.sources.splits import chooses

DATASET = "tau2_bench"
SAYS = "look-up tools of tau2-bench, successful trajectories (sft-v1-small); MIT, read at run time"
LICENCE = "MIT"
LOOK_UPS = ("get_", "find_", "list_", "search_")
MESSAGES = 6  # of the conversation that are shown
LONGEST = 400  # characters of a tool's result


def rows(folder: Path, split: str, n: int, seed: int) -> list[dict[str, Any]]:
    """At most `n` rows."""
    trains, found = split in ("train", "validation"), []
    path = folder / f"sft-v1-small.{'train' if trains else 'test'}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    for record in records:
        if not trains or chooses(record["simulation_id"], one_in=4) == (split == "validation"):
            found += _decisions(record, calls=split != "no_call")
    Random(f"tau/{split}/{seed}").shuffle(found)
    return found[:n]


def _decisions(record: dict[str, Any], calls: bool) -> Iterator[dict[str, Any]]:
    tools = [tool for tool in record["tools"] if tool["function"]["name"].startswith(LOOK_UPS)]
    names = {tool["function"]["name"] for tool in tools}
    messages: list[dict[str, Any]] = []
    for place, message in enumerate(record["messages"]):
        made = message.get("tool_calls") or []
        looks_up = len(made) == 1 and made[0]["function"]["name"] in names
        asked = any(earlier["role"] == "user" for earlier in messages[-MESSAGES:])
        if message["role"] == "assistant" and asked and (looks_up if calls else not made):
            row_id = f"{record['simulation_id']}-{place}"
            yield {"id": row_id, "tools": tools, "messages": [*_view(messages), _plain(message)]}
        if message["role"] != "system":
            messages.append(_plain(message))


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    kept = {"role": message["role"], "content": (message.get("content") or "")[:LONGEST]}
    return as_text(kept | ({"tool_calls": message["tool_calls"]} if message.get("tool_calls") else {}))


def _view(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last messages, beginning with one of the user so that no result lacks its call."""
    shown = messages[-MESSAGES:]
    first = next(place for place, message in enumerate(shown) if message["role"] == "user")
    return shown[first:]
