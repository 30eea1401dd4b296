"""Calls written as a name with its arguments behind it, or with values between tags.

Values between tags are text: the tool's schema says which of them are strings. As in `literal`, a reader takes
the whole text or raises one of `UNREADABLE`.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from slmkit.models.syntax.literal import UNREADABLE, Schemas, literal, named_call, skip
from slmkit.records import ToolCall

HEADED = re.compile(
    r"(?:functions?\s*(?:<｜tool▁sep｜>|\.))?(?P<name>[^\s\[\]<>{}]+?)(?::\d+)?\s*"
    r"(?:\[CALL_ID\]\w*)?(?:\[ARGS\]|<\|tool_call_argument_begin\|>|<｜tool▁sep｜>|\n(?=```json))"
)
_FUNCTION = re.compile(
    r"\s*<(?:atem:)?(?:function=|invoke name=)(?P<name>[^>]+)>(?P<body>.*?)</(?:atem:)?(?:function|invoke)>", re.S
)
_PARAMETER = re.compile(
    r"\s*<(?:atem:)?parameter(?:=| name=)(?P<key>[^>]+)>(?P<value>.*?)"
    r"</(?:atem:)?parameter>(?=\s*(?:<(?:atem:)?parameter|\Z))",
    re.S,
)
_PAIR = re.compile(
    r"\s*<arg_key>(?P<key>.*?)</arg_key>\s*<arg_value>(?P<value>.*?)</arg_value>(?=\s*(?:<arg_key>|\Z))", re.S
)
_GEMMA = re.compile(r'<\|"\|>(.*?)<\|"\|>|([{,]\s*)([^\s{}\[\]:,"<]+):|([^<{,]+|.)', re.S)


def headed(body: str, schemas: Schemas) -> list[ToolCall]:
    """Mistral `NAME[ARGS]{...}`, DeepSeek `function<｜tool▁sep｜>NAME` and a fenced object, Kimi `functions.NAME:0`."""
    head = HEADED.match(body)
    calls = named_call(head["name"], body[head.end() :]) if head else []
    if not calls:
        raise ValueError("no name before an object")
    return calls


def functions(body: str, schemas: Schemas) -> list[ToolCall]:
    """Qwen `<function=NAME><parameter=KEY>`, the same as `<invoke name="NAME">`, or a JSON object inside."""
    calls = []
    for function in _each(_FUNCTION, body):
        name = function["name"].strip(' "')
        inner = function["body"].strip()
        calls += named_call(name, inner) or [_tagged(name, _each(_PARAMETER, inner), schemas)]
    return calls


def pairs(body: str, schemas: Schemas) -> list[ToolCall]:
    """GLM: the name, then `<arg_key>` and `<arg_value>` in turn."""
    head, mark, rest = body.partition("<arg_key>")
    name = head.strip()
    if not mark and name not in schemas:
        raise ValueError("a name alone may be anything")
    return [_tagged(name, _each(_PAIR, mark + rest) if mark else [], schemas)]


def gemma(body: str, schemas: Schemas) -> list[ToolCall]:
    """Gemma 4: `call:NAME{key:value,other:<|"|>text<|"|>}`."""
    head, mark, rest = body.removeprefix("call:").partition("{")
    if not mark or not body.startswith("call:"):
        raise ValueError("not call:NAME{")

    def as_json(found: re.Match[str]) -> str:
        text, before, key, other = found.groups()
        if text is not None:
            return json.dumps(text, ensure_ascii=False)
        return before + json.dumps(key, ensure_ascii=False) + ":" if key else other.replace("None", "null")

    arguments = json.loads(_GEMMA.sub(as_json, mark + rest))
    return [ToolCall(name=_named(head), arguments=json.dumps(arguments, ensure_ascii=False))]


def _each(pattern: re.Pattern[str], body: str) -> list[re.Match[str]]:
    """Every match, one behind the other; ValueError where something else stands between or after them."""
    found, at = [], 0
    while at < len(body):
        match = pattern.match(body, at)
        if match is None:
            raise ValueError("text between tags")
        found.append(match)
        at = skip(body, match.end())
    return found


def _tagged(name: str, pairs: list[re.Match[str]], schemas: Schemas) -> ToolCall:
    schema = schemas.get(name)
    properties = schema.get("properties") if isinstance(schema, dict) else None
    known = properties if isinstance(properties, dict) else {}
    arguments = {}
    for pair in pairs:
        key = pair["key"].strip(' "\n')
        arguments[key] = untagged(pair["value"], known.get(key))
    return ToolCall(name=_named(name), arguments=json.dumps(arguments, ensure_ascii=False))


def untagged(text: str, schema: Any) -> Any:
    """The value that was written as text: a string where the schema says so, else what it reads as."""
    text = text.removeprefix("\n").removesuffix("\n")
    kind = schema.get("type") if isinstance(schema, dict) else None
    if kind == "string":
        return text
    for reader in (json.loads, lambda text: literal(ast.parse(text.strip(), mode="eval").body)):
        try:
            return reader(text)
        except UNREADABLE:
            continue
    return text


def _named(name: str) -> str:
    name = name.strip()
    if not name or not name.isprintable():
        raise ValueError("no name")
    return name
