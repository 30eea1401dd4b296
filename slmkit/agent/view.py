"""The part of a long conversation that a model gets to see, and a note of what was left out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slmkit.mini.errands import bare

Message = dict[str, Any]
_ENTITY = re.compile(r"\b[A-Z]{1,4}-?\d{3,}\b")


@dataclass(frozen=True)
class View:
    """How much a model sees: `chars` of messages in all, `result_chars` of one tool result, `turns` of the user.

    Characters stand for tokens, as each model counts those in its own way: about 2.5 characters a token with the
    minis' tokenizer, 4 with a large one. `entities` is how many ids of earlier turns are named. `compact` leaves out
    the descriptions of tools and parameters.
    """

    chars: int = 1_600
    result_chars: int = 400
    turns: int = 2
    entities: int = 4
    compact: bool = True


def bounded(messages: Sequence[Message], view: View) -> tuple[list[Message], tuple[str, ...]]:
    """The messages within the view, and what was dropped, each in a line.

    System message and the turn that is going on stay. Of older turns the newest stay that fit; the last ids
    that they held are told at the end of the system message. Long tool results are cut in the middle.
    """
    dropped: list[str] = []
    short = [_cut(message, view.result_chars, dropped) for message in messages]
    head = short[:1] if short and short[0]["role"] == "system" else []
    turns = _turns(short[len(head) :])
    kept = [turns[-1]] if turns else []
    room = view.chars - _size(head) - _size(kept[0] if kept else [])
    for turn in reversed(turns[:-1]):
        room -= _size(turn)
        if room < 0 or len(kept) == view.turns:
            break
        kept.insert(0, turn)
    gone = [message for turn in turns[: len(turns) - len(kept)] for message in turn]
    if gone:
        dropped.append(f"{len(gone)} messages of {len(turns) - len(kept)} earlier turns")
        head = _told(head, known_entities(gone)[-view.entities :])
    return [*head, *(message for turn in kept for message in turn)], tuple(dropped)


def known_entities(messages: Sequence[Message]) -> list[str]:
    """Ids named in messages, each once, in the order of their last mention."""
    found: dict[str, None] = {}
    for message in messages:
        for entity in _ENTITY.findall(_text(message)):
            found.pop(entity, None)
            found[entity] = None
    return list(found)


def compact_tools(tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools by name and parameters alone: about half the tokens, where names say enough."""
    made = []
    for tool in tools:
        function = tool.get("function", tool)
        short = {"name": function["name"], "parameters": bare(function.get("parameters", {}))}
        made.append({"type": "function", "function": short})
    return made


def _turns(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages from one word of the user to the next."""
    turns: list[list[Message]] = []
    for message in messages:
        if message["role"] == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _text(message: Message) -> str:
    calls = message.get("tool_calls")
    return f"{message.get('content') or ''}{json.dumps(calls) if calls else ''}"


def _size(messages: Sequence[Message]) -> int:
    """Characters, with what a call adds beside its arguments left out."""
    calls = (call["function"] for message in messages for call in message.get("tool_calls") or ())
    return sum(len(m.get("content") or "") for m in messages) + sum(len(c["name"]) + len(c["arguments"]) for c in calls)


def _cut(message: Message, limit: int, dropped: list[str]) -> Message:
    content = message.get("content") or ""
    if message["role"] != "tool" or len(content) <= limit:
        return message
    dropped.append(f"a tool result cut from {len(content):,} to {limit} characters")
    return {**message, "content": f"{content[: limit * 2 // 3]} ... {content[-limit // 3 :]}"}


def _told(head: list[Message], entities: list[str]) -> list[Message]:
    if not entities:
        return head
    told = f"Named before: {', '.join(entities)}."
    if not head:
        return [{"role": "system", "content": told}]
    return [{**head[0], "content": f"{head[0]['content']}\n{told}"}]
