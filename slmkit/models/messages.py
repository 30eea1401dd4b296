"""Messages as each side wants them: arguments are a mapping in chat templates, JSON text in the API."""

from __future__ import annotations

import json
from collections.abc import Callable


def for_template(messages: list[dict]) -> list[dict]:
    """Messages for a chat template: arguments as a mapping where they are one, content never null."""
    return [
        {**_with_arguments(message, _mapping), "content": message.get("content") or ""}
        for message in messages
    ]


def for_api(messages: list[dict]) -> list[dict]:
    """Messages for an OpenAI-compatible server: arguments as JSON text."""
    return [_with_arguments(message, _text) for message in messages]


def _with_arguments(message: dict, change: Callable[[object], object]) -> dict:
    if not message.get("tool_calls"):
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        calls.append({**call, "function": {**function, "arguments": change(function.get("arguments", "{}"))}})
    return {**message, "tool_calls": calls}


def _mapping(arguments: object) -> object:
    """The parsed arguments, or what was written where that is no JSON object."""
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


def _text(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
