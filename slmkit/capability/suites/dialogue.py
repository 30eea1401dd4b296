"""A dialogue that is quoted as one text, calls included, as chat messages."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

WORDS = {"true": True, "false": False, "null": None}


def _value(node: ast.expr) -> Any:
    """The value that a node of source text spells, JSON's words for true, false and null included."""
    if isinstance(node, ast.Name) and node.id in WORDS:
        return WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        return {_value(k): _value(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Constant):
        return node.value
    raise ValueError(ast.dump(node))


def _quoted_calls(text: str, legal: dict[str, str], number: int) -> list[dict[str, Any]] | None:
    """The calls of a turn `[name(key=value, ...), ...]` as tool calls, None when it is other text."""
    try:
        calls = ast.parse(text, mode="eval").body.elts
        parsed = [(ast.unparse(c.func), {k.arg: _value(k.value) for k in c.keywords}) for c in calls]
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return None
    made = []
    for index, (name, arguments) in enumerate(parsed):
        function = {"name": legal.get(name, name), "arguments": json.dumps(arguments, ensure_ascii=False)}
        made.append({"id": f"call_{number}_{index}", "type": "function", "function": function})
    return made


def messages_of(question: str, legal: dict[str, str]) -> list[dict[str, Any]]:
    """Messages of a question of `user: ...` and `system: ...` turns, in which "system" is the assistant.

    A quoted call becomes a tool call, and the assistant's turn right after it its result.
    """
    parts = re.split(r"(?m)^(user|system):[ ]?", question)
    turns = [(who, text.strip()) for who, text in zip(parts[1::2], parts[2::2], strict=True)]
    turns = turns or [("user", question.strip())]
    messages: list[dict[str, Any]] = []
    for number, (who, text) in enumerate(turns):
        last = messages[-1] if messages else {"role": ""}
        calls = _quoted_calls(text, legal, number) if who == "system" and text.startswith("[") else None
        if calls and number + 1 < len(turns) and turns[number + 1][0] == "system":
            messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        elif who == "system" and last.get("tool_calls"):
            results = [{"role": "tool", "tool_call_id": call["id"]} for call in last["tool_calls"]]
            messages += [{**result, "content": text} for result in results]
        elif who == "system" and last["role"] == "assistant":
            last["content"] += f"\n{text}"
        else:
            messages.append({"role": "user" if who == "user" else "assistant", "content": text})
    return messages
