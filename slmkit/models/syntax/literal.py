"""Calls written as JSON or as Python.

A reader takes the whole text of a call or raises one of `UNREADABLE`. Arguments that were written as JSON stay
as they were written.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

from slmkit.records import ToolCall

# ValueError covers broken JSON, integers of thousands of digits and text that is not valid Unicode.
UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)

Schemas = Mapping[str, dict]  # the parameters of each tool on offer, by its name

FENCE = re.compile(r"```(?:json|python|tool_code|tool_call)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_SPACE = re.compile(r"\s*")
_STRING_OR_NAME = re.compile(
    r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
    r"|(?<![\w./:-])[^\W\d][\w./:-]*+(?=\s*\()|(?<![\w-])[^\W\d][\w-]*+(?=\s*=(?!=))",
    re.DOTALL,
)
_LITERALS = {"true": True, "false": False, "null": None}
_DECODER = json.JSONDecoder()


def unfenced(body: str) -> str:
    """The text without blanks around it and without a fence of backticks."""
    body = body.strip()
    fenced = FENCE.fullmatch(body)
    return fenced.group(1).strip() if fenced else body


def named_call(name: str, body: str) -> list[ToolCall]:
    """The call of a tool whose arguments are a JSON object; none where they are not."""
    body = unfenced(body)
    try:
        if object_end(body, 0) == len(body) and name.isprintable():
            return [ToolCall(name=name, arguments=body)]
    except UNREADABLE:
        pass
    return []


def bare_calls(body: str, schemas: Schemas) -> list[ToolCall]:
    """Our own `NAME<|call|>{...}`, one a line, from a server that leaves special tokens out of the text."""
    calls, at = [], 0
    while at < len(body):
        name = max((name for name in schemas if body.startswith(name, at)), key=len, default="")
        end = object_end(body, at + len(_known(name)))
        calls.append(ToolCall(name=name, arguments=body[at + len(name) : end].strip()))
        at = skip(body, end)
    return calls


def _known(name: str) -> str:
    if not name:
        raise ValueError("no tool of that name")
    return name


def object_end(text: str, at: int) -> int:
    """Where the JSON object at `at` ends, blanks before it allowed; raises one of UNREADABLE where there is none."""
    return _members(text, skip(text, at))[1]


def value_end(text: str, at: int) -> int:
    """The same for any JSON value; `at` itself where there is none."""
    try:
        return _DECODER.raw_decode(text, skip(text, at))[1]
    except UNREADABLE:
        return at


def json_calls(body: str, schemas: Schemas) -> list[ToolCall]:
    """Calls of an object, a list of them, or one after another; ValueError for anything else."""
    calls, at = [], 0
    is_list = body.startswith("[")
    if is_list:
        at = skip(body, 1)
    while True:
        members, at = _members(body, at)
        inner, raw = members.get("tool_calls", (None, ""))
        calls += json_calls(raw, schemas) if isinstance(inner, list) and inner else [_call(members)]
        at = skip(body, at)
        if body[at:] == ("]" if is_list else ""):
            return calls
        if is_list or body[at] in ",;":
            at = skip(body, _expect(body, at, "," if is_list else body[at]))


def _members(text: str, at: int) -> tuple[dict[str, tuple[Any, str]], int]:
    """Value and raw text by key of the JSON object that starts at `at`, and where it ends."""
    members: dict[str, tuple[Any, str]] = {}
    at = skip(text, _expect(text, at, "{"))
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        key, at = _DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise ValueError("a key that is no string")
        start = skip(text, _expect(text, skip(text, at), ":"))
        value, at = _DECODER.raw_decode(text, start)
        members[key] = value, text[start:at]
        at = skip(text, at)
        if text[at : at + 1] == "}":
            return members, at + 1
        at = skip(text, _expect(text, at, ","))


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


def python_calls(body: str, schemas: Schemas) -> list[ToolCall]:
    """Calls of `f(a=1)`, `[f(a=1), g()]` or one call a line; never evaluated.

    Names need not be names in Python: `get-time(from="Oslo")` is read as well.
    """
    names: list[str] = []

    def plain(found: re.Match[str]) -> str:
        if found[1]:
            return found[1].replace("\n", "\\n")
        names.append(found[0])
        return f"_{len(names) - 1}"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(_STRING_OR_NAME.sub(plain, body))
    nodes = [statement.value for statement in tree.body if isinstance(statement, ast.Expr)]
    if len(nodes) == 1 and isinstance(nodes[0], ast.List | ast.Tuple):
        nodes = list(nodes[0].elts)
    if not nodes or len(nodes) < len(tree.body):
        raise ValueError("no call, or more than calls")
    return [_python_call(node, names) for node in nodes]


def _python_call(node: ast.AST, names: list[str]) -> ToolCall:
    if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name):
        raise ValueError("not a call with named arguments")
    arguments = {_renamed(keyword.arg, names): literal(keyword.value) for keyword in node.keywords}
    return ToolCall(name=_renamed(node.func.id, names), arguments=json.dumps(arguments, ensure_ascii=False))


def _renamed(name: str | None, names: list[str]) -> str:
    if not name or not name[1:].isdecimal():
        raise ValueError("unpacked arguments")
    return names[int(name[1:])]


def literal(node: ast.AST) -> Any:
    """The JSON value of a Python literal; JSON's own `true`, `false` and `null` are understood as well."""
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.Name(id=name) if name in _LITERALS:
            return _LITERALS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return {_key(key): literal(value) for key, value in zip(keys, values, strict=True)}
    raise ValueError("not a literal")


def _key(node: ast.AST | None) -> str:
    key = literal(node) if node is not None else None
    if not isinstance(key, str):
        raise ValueError("a key that is no string")
    return key


def skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"expected {character!r}")
    return at + 1
