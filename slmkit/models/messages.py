"""Messages as each side wants them: arguments are a mapping in chat templates, JSON text in the API."""

from __future__ import annotations

import json
from collections.abc import Callable

TOOLS_AS_TEXT = (
    'To call a function, answer with {"name": "<function>", "arguments": {"<parameter>": <value>}}, or a '
    "list of such objects, and nothing else. Answer in words where no function fits. Functions:"
)

SCHEMA_AS_TEXT = "Answer with one JSON object that fits this JSON Schema: "


def for_template(messages: list[dict]) -> list[dict]:
    """Messages for a chat template: arguments as a mapping where they are one, content never null."""
    return [{**_with_arguments(message, _mapping), "content": message.get("content") or ""} for message in messages]


def for_api(messages: list[dict]) -> list[dict]:
    """Messages for an OpenAI-compatible server: arguments as JSON text."""
    return [_with_arguments(message, _text) for message in messages]


def with_tools(messages: list[dict], tools: list[dict]) -> list[dict]:
    """Messages with the tools told in the system message, for a chat template that knows no tools."""
    listed = "\n".join(json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools)
    return _told(messages, f"{TOOLS_AS_TEXT}\n{listed}")


def with_schema(messages: list[dict], schema: dict | None) -> list[dict]:
    """Messages with the form of the answer told at the end of the system message."""
    if schema is None:
        return messages
    return _told(messages, SCHEMA_AS_TEXT + json.dumps(schema, ensure_ascii=False, separators=(",", ":")))


def response_format(schema: dict, strict: bool) -> dict:
    """The wish for an answer that fits a schema, as the API puts it."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


def variants(messages: list[dict]) -> list[list[dict]]:
    """Messages as they are, and as templates may want them that refuse these: arguments as text, no system turn."""
    kinds = [messages, for_api(messages)] if any(message.get("tool_calls") for message in messages) else [messages]
    return kinds + [bare for some in kinds if (bare := without_system(some)) is not some]


def without_system(messages: list[dict]) -> list[dict]:
    """Messages with the system message put before the first user's, for a chat template that refuses one."""
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return messages
    first = f"{messages[0]['content']}\n\n{_plain(messages[1].get('content'))}"
    return [{**messages[1], "content": first}, *messages[2:]]


def _told(messages: list[dict], told: str) -> list[dict]:
    """Messages with a paragraph more at the end of the system message."""
    if messages and messages[0]["role"] == "system":
        said = _plain(messages[0].get("content"))
        return [{**messages[0], "content": f"{said}\n\n{told}" if said else told}, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]


def _plain(content: object) -> str:
    """The text of a message, which may come in parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


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
