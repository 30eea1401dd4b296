"""A tool: its JSON Schema, what it may do to the world, and the checks before it has any effect."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from random import Random
from typing import Any

from slmkit.agent.decision import Access
from slmkit.agent.language import read
from slmkit.agent.shape import mismatch
from slmkit.errors import InputError, nearest
from slmkit.mini import catalog, offers

Run = Callable[[sqlite3.Connection, dict[str, Any]], dict[str, Any]]
TEXT_LIMIT = 400  # characters of one argument; the world stores no novels


class ToolError(Exception):
    """A tool says no: what was asked for cannot be done in this state of the world."""


@dataclass(frozen=True)
class Tool:
    """A tool of a domain; `schema` is in OpenAI form, `run` works within an open transaction."""

    schema: dict[str, Any]
    access: Access
    run: Run

    @property
    def name(self) -> str:
        return self.schema["function"]["name"]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.schema["function"]["parameters"]


@dataclass(frozen=True)
class Domain:
    """A business: its tables, what fills them from a seed, its tools."""

    name: str
    schema: str
    populate: Callable[[sqlite3.Connection, int], None]
    tools: tuple[Tool, ...]


@cache
def schema_of(domain: str, name: str) -> dict[str, Any]:
    """The schema of a tool: as the minis' kept-out catalogue has it, or as `data/agent/tools.yaml` adds it."""
    for tool in catalog.domain(domain):
        if tool.name == name:
            return offers.plain(tool, Random(0)).schema
    for row in read("tools").get(domain, ()):
        if row["name"] == name:
            return {"type": "function", "function": row}
    raise InputError(f"data/agent/tools.yaml: no tool {name!r} in domain {domain!r}, nor in the kept-out catalogue")


def bind(domain: str, runs: Mapping[str, Run]) -> list[Tool]:
    """The tools of a domain in the order of `access` in `data/agent/tools.yaml`, each with its function."""
    marks: dict[str, Access] = read("tools")["access"][domain]
    if missing := marks.keys() ^ runs.keys():
        raise InputError(f"data/agent/tools.yaml: access of {domain}: {', '.join(sorted(missing))} in one place only")
    return [Tool(schema_of(domain, name), mark, runs[name]) for name, mark in marks.items()]


def checked(tools: Sequence[Tool], name: str, arguments: dict[str, Any] | None) -> tuple[Tool | None, str]:
    """The tool to run, or what is wrong with the call in a few words; nothing has had an effect yet."""
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        guess = nearest(name, [tool.name for tool in tools])
        return None, f"no tool {name[:40]!r}" + (f", did you mean {guess}?" if guess else "")
    if arguments is None:
        return None, "arguments are no JSON object"
    problem = misfit(tool.parameters, arguments)
    return (None, problem) if problem else (tool, "")


def misfit(schema: Mapping[str, Any], arguments: dict[str, Any]) -> str:
    """The first thing wrong with arguments: shape by JSON Schema, unknown names, size, signs, dates."""
    return mismatch(schema, arguments) or _odd(arguments)


def _odd(value: Any, name: str = "") -> str:
    """What a schema does not say: control characters, long text, negative or huge numbers, days that do not exist."""
    if isinstance(value, dict):
        return next((odd for key, part in value.items() if (odd := _odd(part, key))), "")
    if isinstance(value, list):
        return f"{name}: too many" if len(value) > 20 else next((odd for v in value if (odd := _odd(v, name))), "")
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return "" if 0 <= value <= 10_000_000 else f"{name}: {value} is out of range"
    if len(value) > TEXT_LIMIT:
        return f"{name}: longer than {TEXT_LIMIT} characters"
    if not value.strip() or any(ord(sign) < 32 or 0xD800 <= ord(sign) <= 0xDFFF for sign in value):
        return f"{name}: empty, or with control characters"
    if name == "date" or name.endswith("_date"):
        try:
            date.fromisoformat(value)
        except ValueError:
            return f"{name}: {value[:20]!r} is no date like 2026-03-14"
    return ""
