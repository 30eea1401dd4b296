"""From what a model wrote to content, reasoning and tool calls.

Read are: calls behind a mark (`MARKS`; `syntax` reads what stands there), our own `NAME<|call|>{...}`, a bare
JSON object or list with name and arguments (or parameters), Python call syntax, and
replies in channels. What looks like a call and cannot be read is kept as malformed; what does not
look like one stays content. Nothing here raises on any text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from slmkit.models.syntax import tagged
from slmkit.models.syntax.literal import (
    UNREADABLE,
    Schemas,
    bare_calls,
    json_calls,
    named_call,
    object_end,
    python_calls,
    unfenced,
    value_end,
)
from slmkit.records import ToolCall

# Where a call starts, and what ends it; without an end it runs to the next start.
MARKS = {
    "<|call|>": None,  # our own
    "<tool_call>": "</tool_call>",  # Hermes, Qwen, GLM, Nemotron
    "<|python_tag|>": None,  # Llama 3
    "[TOOL_CALLS]": "[/TOOL_CALLS]",  # Mistral; the end is often left out
    "<|tool_call_start|>": "<|tool_call_end|>",  # LFM2
    "<｜tool▁call▁begin｜>": "<｜tool▁call▁end｜>",  # DeepSeek
    "<|tool_call>": "<tool_call|>",  # Gemma 4
    "<|tool_call|>": "<|/tool_call|>",  # Phi 4, Granite
    "<|tool_call_begin|>": "<|tool_call_end|>",  # Kimi
    "<atem:function_calls>": "</atem:function_calls>",  # Muse
    "<function=": "</function>",  # Qwen Coder, Functionary
}
THOUGHTS = {"<think>": "</think>", "[THINK]": "[/THINK]", "<|channel>thought": "<channel|>"}

_START = re.compile("|".join(map(re.escape, MARKS)))
_AROUND = re.compile(r"<｜tool▁calls▁(?:begin|end)｜>|<\|tool_calls_section_(?:begin|end)\|>")
_NAME = re.compile(r"(?<![^\n])[^\S\n]*(\w[\w.:/-]*)[^\S\n]*\Z")  # alone on the last line
_JSON_CALL = re.compile(r'"(?:name|function)"\s*:.*"(?:arguments|parameters)"\s*:', re.DOTALL)
_PYTHON_CALLS = re.compile(r"\[\s*[A-Za-z_][\w./:-]*\(")
_PYTHON_CALL = re.compile(r"([A-Za-z_][\w./:-]*)\(")
_HEADER = re.compile(r"\s*(?:<\|start\|>)?(?:assistant)?(?P<header>[^\n]{0,200}?)<\|message\|>")
_MESSAGE_END = re.compile(r"<\|(?:end|eom|eot|return|call)\|>\s*(?=<\|start\|>|\Z)|(?=<\|start\|>assistant)")
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([^\s<]+)")
_READERS = (json_calls, python_calls, bare_calls, tagged.headed, tagged.functions, tagged.pairs, tagged.gemma)


@dataclass
class Parsed:
    """The parts of a reply; `malformed` holds the text of each call that could not be read."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)


def parse(text: str, names: Collection[str] = (), calls: bool = True) -> Parsed:
    """The parts of what a model wrote.

    `names` are the tools on offer, as a mapping with the schema of the parameters of each: a bare `f(a=1)` is a
    call only when `f` is among them, since it could be code, and a schema says what is a string where no quotes
    do. Without `calls` only reasoning is told from content.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    schemas = names if isinstance(names, Mapping) else {name: {} for name in names}
    if _HEADER.match(text) and ("<|channel|>" in text or "to=" in text):
        return _channels(text, schemas, calls)
    reasoning, text = split_reasoning(text)
    if not calls:
        return Parsed(content=text.strip(), reasoning=reasoning)
    parsed = _unmarked(text, schemas)
    if not parsed.tool_calls and _START.search(text):  # a mark may also stand inside a string of a bare call
        parsed = _marked(text, schemas)
    parsed.reasoning = reasoning
    return parsed


def split_reasoning(text: str) -> tuple[str, str]:
    """Reasoning (a leading block between marks of thought; the prompt may hold its start) and the rest."""
    for opens, closes in THOUGHTS.items():
        before, closed, rest = text.partition(closes)
        opened = before.lstrip().startswith(opens)
        if opened or (closed and opens not in before):
            return before.replace(opens, "", 1).strip(), rest.lstrip() if closed else ""
    return "", text


def _channels(text: str, schemas: Schemas, calls: bool) -> Parsed:
    """A reply in messages with a header each, as gpt-oss and Muse write: a channel, or whom it goes to."""
    parsed, content, reasoning, at = Parsed(), [], [], 0
    while header := _HEADER.match(text, at):
        end = _MESSAGE_END.search(text, header.end())
        stop, at = end.span() if end else (len(text), len(text))
        body, recipient = text[header.end() : stop], _RECIPIENT.search(header["header"])
        to = recipient.group(1) if recipient else "user"
        if to == "self" or "analysis" in header["header"]:
            reasoning.append(body.strip())
        elif to in ("user", "all") or not calls:
            content.append(body.strip())
        elif found := named_call(to, body) or read_calls(_inner(body), schemas):
            parsed.tool_calls += found
        else:
            parsed.malformed.append(text[header.start() : stop].strip())
    content.append(text[at:].strip())
    parsed.content, parsed.reasoning = ("\n".join(filter(None, parts)) for parts in (content, reasoning))
    return parsed


def _inner(body: str) -> str:
    """The text between the tags around several calls, where there are such tags."""
    body = body.strip()
    mark = next((mark for mark in MARKS if MARKS[mark] and body.startswith(mark)), "")
    return body.removeprefix(mark).removesuffix(MARKS[mark] or "") if mark else body


def _marked(text: str, schemas: Schemas) -> Parsed:
    """Calls behind marks; the text around them is content."""
    parsed, content, at = Parsed(), [], 0
    while start := _START.search(text, at):
        before, mark = text[at : start.start()], start.group()
        body, at = _body(text, start.end(), mark)
        whole = mark + body + "</function>" if mark == "<function=" else body
        calls = read_calls(whole, schemas)
        if mark == "<|call|>" and (named := _NAME.search(before)) and not (calls and named.group(1) not in schemas):
            before = before[: named.start()]
            body, at = _object(text, start.end())
            calls, body = named_call(named.group(1), body), body.rstrip()
            mark = named.group(1) + mark
        content.append(before)
        if calls:
            parsed.tool_calls += calls
        else:
            parsed.malformed.append(mark + body)
    content.append(text[at:])
    parsed.content = _AROUND.sub("", "".join(content)).strip()
    return parsed


def _body(text: str, at: int, mark: str) -> tuple[str, int]:
    """Text of the call at `at`, and where the text goes on; a mark inside a JSON value ends nothing."""
    head, end = tagged.HEADED.match(text, at), MARKS[mark]
    search_from = value_end(text, head.end() if head else at)
    following = _START.search(text, search_from)
    stop = following.start() if following else len(text)
    if end:
        again = text.find(mark, search_from)
        closing = text.find(end, search_from, again if again >= 0 else len(text))
        if closing >= 0:
            return text[at:closing], closing + len(end)
    return text[at:stop], stop


def _object(text: str, at: int) -> tuple[str, int]:
    """The JSON object at `at` with the rest of its last line, and where the text goes on; else up to a mark."""
    try:
        end = object_end(text, at)
    except UNREADABLE:
        end = -1
    following = _START.search(text, max(at, end))
    stop = following.start() if following else len(text)
    if end >= 0:
        line = text.find("\n", end, stop)
        stop = line if line >= 0 else stop
    elif following and (named := _NAME.search(text[at:stop])):
        stop = at + named.start()
    return text[at:stop], stop


def _unmarked(text: str, schemas: Schemas) -> Parsed:
    """A reply that is a call as a whole, or no call at all."""
    body = unfenced(text)
    is_json = body.startswith(("{", "[")) and bool(_JSON_CALL.search(body))
    named = _PYTHON_CALL.match(body)
    is_python = bool(_PYTHON_CALLS.match(body)) or bool(named and named.group(1) in schemas)
    is_bare = any(body.startswith(name + "{") for name in schemas if name)
    if not is_json and not is_python and not is_bare:
        return Parsed(content=text.strip())
    calls = read_calls(body, schemas)
    return Parsed(tool_calls=calls) if calls else Parsed(malformed=[body])


def read_calls(body: str, schemas: Schemas) -> list[ToolCall]:
    """The calls in the text of a call, in whichever syntax; none when it cannot be read whole."""
    body = unfenced(body)
    for reader in _READERS:
        try:
            return reader(body, schemas)
        except UNREADABLE:
            continue
    return []
