"""The wire format of OpenAI's chat API: requests checked and read, replies told whole or as a stream."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from slmkit.errors import InputError
from slmkit.models.base import Sampling
from slmkit.records import Reply, ToolCall, Usage

NAME = "slmkit-cascade"
ROLES = ("system", "developer", "user", "assistant", "tool")
MOST_TOKENS = 4_096
PIECE = 24  # characters of a piece of streamed text


@dataclass(frozen=True)
class Asked:
    """A request as the cascade takes it: conversation, tools, the schema of the answer, sampling, streaming."""

    model: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    schema: dict[str, Any] | None
    options: dict[str, Any]
    stream: bool
    include_usage: bool
    request_id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")


def read(body: Any) -> Asked:
    """A checked request; InputError names the first field that cannot be used. Fields not known here are ignored."""
    if not isinstance(body, Mapping):
        raise InputError("the body must be a JSON object with `messages`")
    stream = body.get("stream") or False
    if not isinstance(stream, bool):
        raise InputError("stream: expected true or false")
    if body.get("n") not in (None, 1):
        raise InputError("n: only 1 answer a request is given")
    return Asked(
        model=str(body.get("model") or NAME),
        messages=[_message(message, place) for place, message in enumerate(_list(body, "messages", least=1))],
        tools=[_tool(tool, place) for place, tool in enumerate(_list(body, "tools"))],
        schema=_schema(body.get("response_format")),
        options=_options(body),
        stream=stream,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def _list(body: Mapping[str, Any], name: str, least: int = 0) -> list[Any]:
    value = body.get(name)
    value = [] if value is None else value
    if not isinstance(value, list) or len(value) < least:
        raise InputError(f"{name}: expected a list" + (f" of at least {least}" if least else ""))
    return value


def _message(message: Any, place: int) -> dict[str, Any]:
    where = f"messages[{place}]"
    if not isinstance(message, Mapping) or message.get("role") not in ROLES:
        raise InputError(f"{where}: expected an object whose role is one of {', '.join(ROLES)}")
    role = "system" if message["role"] == "developer" else message["role"]
    made: dict[str, Any] = {"role": role, "content": _content(message.get("content"), where)}
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InputError(f"{where}.tool_calls[{number}]: expected a function with a name")
        arguments, known = str(function.get("arguments") or "{}"), str(call.get("id", ""))
        calls = made.setdefault("tool_calls", [])
        calls.append(ToolCall(name=function["name"], arguments=arguments, id=known).openai())
    return made | {key: str(message[key]) for key in ("tool_call_id", "name") if message.get(key)}


def _content(content: Any, where: str) -> str:
    """The text of a message, which may come in parts; pictures and sound are refused."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(p, Mapping) and p.get("type") == "text" for p in content):
        return "\n".join(str(part.get("text", "")) for part in content)
    raise InputError(f"{where}.content: expected text; other kinds of content cannot be served")


def _tool(tool: Any, place: int) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise InputError(f"tools[{place}]: expected {{'type': 'function', 'function': {{'name': ...}}}}")
    parameters = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping):
        raise InputError(f"tools[{place}].function.parameters: expected a JSON Schema object")
    return {"type": "function", "function": {**function, "parameters": dict(parameters)}}


def _schema(wanted: Any) -> dict[str, Any] | None:
    if not wanted or (isinstance(wanted, Mapping) and wanted.get("type") == "text"):
        return None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_object":
        return {"type": "object"}
    schema = (wanted.get("json_schema") or {}).get("schema") if isinstance(wanted, Mapping) else None
    if not isinstance(schema, Mapping):
        raise InputError("response_format: expected type text, json_object, or json_schema with a schema")
    return dict(schema)


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    """Sampling as `models.base.Sampling` takes it; what is not given is left to the routing."""
    options: dict[str, Any] = {}
    for name, kind in (("temperature", float), ("top_p", float), ("seed", int)):
        if (value := body.get(name)) is not None:
            options[name] = _number(name, value, kind)
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    if most is not None:
        options["max_tokens"] = min(MOST_TOKENS, _number("max_tokens", most, int))
    if stop := body.get("stop"):
        options["stop"] = tuple([stop] if isinstance(stop, str) else map(str, stop))
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice != "auto":
        options["tool_choice"] = choice
    if isinstance(choice, Mapping):
        raise InputError("tool_choice: a named function cannot be forced; use auto, none or required")
    Sampling.of(**options)
    return options


def _number(name: str, value: Any, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name}: expected a number, found {value!r}")
    return kind(value)


def message_of(reply: Reply) -> dict[str, Any]:
    """The assistant message of a reply, each call with an id of its own; what was malformed is told as text."""
    content = reply.content or " ".join(reply.malformed)
    calls = [call.model_copy(update={"id": call.id or f"call_{uuid.uuid4().hex[:24]}"}) for call in reply.tool_calls]
    message: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else "")}
    return message | ({"tool_calls": [call.openai() for call in calls]} if calls else {})


def usage_of(usage: Usage) -> dict[str, Any]:
    """Tokens as the API tells them: of all model calls behind the answer, so that a cascade hides no cost."""
    return {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion,
            "total_tokens": usage.prompt + usage.completion,
            "prompt_tokens_details": {"cached_tokens": usage.cached},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning}}  # fmt: skip


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls else "length" if reply.finish_reason == "length" else "stop"


def whole(asked: Asked, reply: Reply, usage: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request that does not stream."""
    choice = {"index": 0, "message": message_of(reply), "finish_reason": _finish(reply), "logprobs": None}
    return {"id": asked.request_id, "object": "chat.completion", "created": int(time.time()), "model": NAME,
            "choices": [choice], "usage": usage}  # fmt: skip


def stream(asked: Asked, reply: Reply, usage: dict[str, Any]) -> Iterator[str]:
    """The same answer as server-sent events. It is decided before the first piece: a small model's reply may yet be
    replaced, and half of an answer cannot be taken back."""
    head = {"id": asked.request_id, "object": "chat.completion.chunk", "created": int(time.time()), "model": NAME}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    message = message_of(reply)
    yield chunk({"role": "assistant", "content": ""})
    text = message["content"] or ""
    for start in range(0, len(text), PIECE):
        yield chunk({"content": text[start : start + PIECE]})
    for index, call in enumerate(message.get("tool_calls", ())):
        yield chunk({"tool_calls": [{"index": index, **call}]})
    yield chunk({}, _finish(reply))
    if asked.include_usage:
        yield _event({**head, "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def problem(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error as the API tells it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
