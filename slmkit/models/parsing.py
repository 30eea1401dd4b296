"""From what a model wrote to content, reasoning and tool calls.

Read are: calls behind a mark (`<|call|>`, also as `NAME<|call|>{...}`, Hermes and Qwen `<tool_call>`, Llama 3
`<|python_tag|>`, LFM2 `<|tool_call_start|>`, Mistral `[TOOL_CALLS]`), a bare JSON object or list with name and
arguments (or parameters), and Python call syntax, `[f(a=1)]`. What looks like a call and cannot be read is kept as
malformed; what does not look like one stays content. Nothing here raises on any text.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from slmkit.records import ToolCall

# Where a call starts, and what ends it; without an end it runs to the next start.
MARKS = {
    "<|call|>": None,
    "<tool_call>": "</tool_call>",
    "<|python_tag|>": None,
    "<|tool_call_start|>": "<|tool_call_end|>",
    "[TOOL_CALLS]": None,
}

_START = re.compile("|".join(map(re.escape, MARKS)))
_FENCE = re.compile(r"```(?:json|python|tool_code|tool_call)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_JSON_CALL = re.compile(r'"(?:name|function)"\s*:.*"(?:arguments|parameters)"\s*:', re.DOTALL)
_PYTHON_CALLS = re.compile(r"\[\s*[A-Za-z_][\w.]*\(")
_PYTHON_CALL = re.compile(r"([A-Za-z_][\w.]*)\(")
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"(?<![^\n])[^\S\n]*(\w[\w.:/-]*)[^\S\n]*\Z")  # alone on the last line
_LITERALS = {"true": True, "false": False, "null": None}
_DECODER = json.JSONDecoder()

# ValueError covers broken JSON, integers of thousands of digits and text that is not valid Unicode.
_UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)


@dataclass
class Parsed:
    """The parts of a reply; `malformed` holds the text of each call that could not be read."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)


def parse(text: str, names: Collection[str] = (), calls: bool = True) -> Parsed:
    """The parts of what a model wrote.

    `names` are the tools on offer: a bare `f(a=1)` is a call only when `f` is among them, since it could be
    code. Without `calls` only reasoning is told from content.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    reasoning, text = split_reasoning(text)
    if not calls:
        return Parsed(content=text.strip(), reasoning=reasoning)
    parsed = _unmarked(text, names)
    if not parsed.tool_calls and _START.search(text):  # a mark may also stand inside a string of a bare call
        parsed = _marked(text, names)
    parsed.reasoning = reasoning
    return parsed


def split_reasoning(text: str) -> tuple[str, str]:
    """Reasoning (a leading `<think>` block; the prompt may hold its start) and the rest."""
    before, closed, rest = text.partition("</think>")
    opened = before.lstrip().startswith("<think>")
    if not opened and (not closed or "<think>" in before):
        return "", text
    return before.replace("<think>", "", 1).strip(), rest.lstrip() if closed else ""


def _marked(text: str, names: Collection[str]) -> Parsed:
    """Calls behind marks; the text around them is content."""
    parsed, content, at = Parsed(), [], 0
    while start := _START.search(text, at):
        before, mark = text[at : start.start()], start.group()
        body, at = _body(text, start.end(), MARKS[mark])
        calls = _read(body)
        if mark == "<|call|>" and (named := _NAME.search(before)) and not (calls and named.group(1) not in names):
            before, at = before[: named.start()], at - len(body)
            body, at = _object(text, at)
            calls, body = _named_call(named.group(1), body), body.rstrip()
            mark = named.group(1) + mark
        content.append(before)
        if calls:
            parsed.tool_calls += calls
        else:
            parsed.malformed.append(mark + body)
    content.append(text[at:])
    parsed.content = "".join(content).strip()
    return parsed


def _body(text: str, at: int, end: str | None) -> tuple[str, int]:
    """Text of the call at `at`, and where the text goes on; a mark inside a JSON string ends nothing."""
    try:
        search_from = _DECODER.raw_decode(text, _skip(text, at))[1]
    except _UNREADABLE:
        search_from = at
    following = _START.search(text, search_from)
    stop = following.start() if following else len(text)
    closing = text.find(end, search_from, stop) if end else -1
    if closing >= 0:
        return text[at:closing], closing + len(end or "")
    return text[at:stop], stop


def _object(text: str, at: int) -> tuple[str, int]:
    """The JSON object at `at` with the rest of its last line, and where the text goes on; else up to a mark."""
    following = _START.search(text, at)
    stop = following.start() if following else len(text)
    with suppress(*_UNREADABLE):
        end = _members(text, _skip(text, at))[1]
        following = _START.search(text, end)
        stop = following.start() if following else len(text)
        line = text.find("\n", end, stop)
        return (text[at:line], line) if line >= 0 else (text[at:stop], stop)
    if following and (named := _NAME.search(text, at, stop)):
        stop = named.start()
    return text[at:stop], stop


def _named_call(name: str, body: str) -> list[ToolCall]:
    """The call of a tool whose arguments are an object; none where they are not."""
    with suppress(*_UNREADABLE):
        body = body.strip()
        if _members(body, 0)[1] == len(body):
            return [ToolCall(name=name, arguments=body)]
    return []


def _unmarked(text: str, names: Collection[str]) -> Parsed:
    """A reply that is a call as a whole, or no call at all."""
    body = text.strip()
    if fenced := _FENCE.fullmatch(body):
        body = fenced.group(1).strip()
    is_json = body.startswith(("{", "[")) and bool(_JSON_CALL.search(body))
    named = _PYTHON_CALL.match(body)
    is_python = bool(_PYTHON_CALLS.match(body)) or bool(named and named.group(1) in names)
    if not is_json and not is_python:
        return Parsed(content=text.strip())
    calls = _read(body)
    return Parsed(tool_calls=calls) if calls else Parsed(malformed=[body])


def _read(body: str) -> list[ToolCall]:
    """The calls in the text of a call; none when it cannot be read whole."""
    body = body.strip()
    if fenced := _FENCE.fullmatch(body):
        body = fenced.group(1).strip()
    for reader in (_json_calls, _python_calls):
        try:
            return reader(body)
        except _UNREADABLE:
            continue
    return []


def _json_calls(body: str) -> list[ToolCall]:
    """Calls of an object, a list of them, or one after another; ValueError for anything else."""
    calls, at = [], 0
    is_list = body.startswith("[")
    if is_list:
        at = _skip(body, 1)
    while True:
        members, at = _members(body, at)
        calls.append(_call(members))
        at = _skip(body, at)
        if body[at:] == ("]" if is_list else ""):
            return calls
        if is_list or body[at] in ",;":
            at = _skip(body, _expect(body, at, "," if is_list else body[at]))


def _members(text: str, at: int) -> tuple[dict[str, tuple[Any, str]], int]:
    """Value and raw text by key of the JSON object that starts at `at`, and where it ends."""
    members: dict[str, tuple[Any, str]] = {}
    at = _skip(text, _expect(text, at, "{"))
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        key, at = _DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise ValueError("a key that is no string")
        start = _skip(text, _expect(text, _skip(text, at), ":"))
        value, at = _DECODER.raw_decode(text, start)
        members[key] = value, text[start:at]
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return members, at + 1
        at = _skip(text, _expect(text, at, ","))


def _call(members: dict[str, tuple[Any, str]]) -> ToolCall:
    """The call that an object describes; its arguments stay as they were written."""
    inner, raw = members.get("function", (None, ""))
    if isinstance(inner, dict):
        return _call(_members(raw, 0)[0])
    name = members.get("name", (None, ""))[0]
    if not isinstance(name, str) or not name:
        raise ValueError("no name")
    name.encode()  # half of a surrogate pair is no text
    value, raw = members.get("arguments") or members.get("parameters") or ({}, "{}")
    return ToolCall(name=name, arguments=value if isinstance(value, str) else raw)


def _python_calls(body: str) -> list[ToolCall]:
    """Calls of `f(a=1)`, `[f(a=1), g()]` or one call a line; never evaluated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(body)
    nodes = [statement.value for statement in tree.body if isinstance(statement, ast.Expr)]
    if len(nodes) == 1 and isinstance(nodes[0], ast.List | ast.Tuple):
        nodes = list(nodes[0].elts)
    if not nodes or len(nodes) < len(tree.body):
        raise ValueError("no call, or more than calls")
    return [_python_call(node) for node in nodes]


def _python_call(node: ast.AST) -> ToolCall:
    if not isinstance(node, ast.Call) or node.args:
        raise ValueError("not a call with named arguments")
    arguments = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
    if None in arguments:
        raise ValueError("unpacked arguments")
    return ToolCall(name=_dotted(node.func), arguments=json.dumps(arguments, ensure_ascii=False))


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError("not a name")


def _literal(node: ast.AST) -> Any:
    """The JSON value of a Python literal; JSON's own `true`, `false` and `null` are understood as well."""
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.Name(id=name) if name in _LITERALS:
            return _LITERALS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): _literal(value) for key, value in zip(keys, values, strict=True)}
    raise ValueError("not a literal")


def _key(node: ast.AST | None) -> str:
    key = _literal(node) if node is not None else None
    if not isinstance(key, str):
        raise ValueError("a key that is no string")
    return key


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"expected {character!r}")
    return at + 1
