"""Seal-Tools: instructions of one call or several. Train on its development set, test on its in-domain test set.

Source: Wu et al. 2024 (arXiv:2405.08355), Apache-2.0. Its tools are thousands, so both sides share some of them and a
row offers the right tools among four others, drawn at random. Requests that pass a result on to another call, and calls
that do not match their own tool, are left out. A `no_call` row is a test row without its right tools.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

from slmkit.specialization.rows import calls_of, no_call
from slmkit.specialization.sources.splits import chooses

DATASET = "seal_tools"
SAYS = "Seal-Tools, trained on its development set; Apache-2.0, read at run time"
LICENCE = "Apache-2.0"
OTHERS = 4
REFUSALS = 0.15
TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "array", "dict": "object"}


def rows(folder: Path, split: str, n: int, seed: int) -> list[dict[str, Any]]:
    """At most `n` rows."""
    tools = {entry["api_name"]: tool(entry) for entry in _entries(folder / "tool.jsonl.gz")}
    rng, found = Random(f"seal_tools/{split}/{seed}"), []
    trains = split in ("train", "validation")
    entries = _entries(folder / ("dev.jsonl" if trains else "test_in_domain.jsonl"))
    rng.shuffle(entries)
    for entry in entries:
        if (trains and chooses(entry["id"]) != (split == "validation")) or not _fits(entry, tools):
            continue
        refused = split == "no_call" or (trains and rng.random() < REFUSALS)
        wanted = list(dict.fromkeys(call["api"] for call in entry["calling"]))
        others = rng.sample([name for name in tools if name not in wanted], OTHERS)
        offered = [tools[name] for name in (others if refused else [*others, *wanted])]
        rng.shuffle(offered)
        made = [(call["api"], _typed(call["parameters"], tools[call["api"]])) for call in entry["calling"]]
        messages = [{"role": "user", "content": entry["query"]}, no_call() if refused else calls_of(made)]
        found.append({"id": entry["id"], "tools": offered, "messages": messages})
        if len(found) == n:
            break
    return found


def _entries(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        path = path.with_suffix("")  # the cache keeps the tools unpacked
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def tool(entry: dict[str, Any]) -> dict[str, Any]:
    """A tool of the source in OpenAI's form."""
    properties = {}
    for name, value in entry["parameters"].items():
        properties[name] = {"type": TYPES.get(value.get("type"), "string"), "description": value.get("description", "")}
    schema = {"type": "object", "properties": properties, "required": list(entry["required"])}
    function = {"name": entry["api_name"], "description": entry["api_description"], "parameters": schema}
    return {"type": "function", "function": function}


def _typed(arguments: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Arguments with whole numbers written as text made numbers, where the schema wants one."""
    schema = made["function"]["parameters"]["properties"]
    typed = {}
    for name, value in arguments.items():
        kind = schema.get(name, {}).get("type")
        try:
            typed[name] = {"integer": int, "number": float}[kind](value) if kind in ("integer", "number") else value
        except (TypeError, ValueError):
            typed[name] = value
        if kind == "string" and not isinstance(value, str):
            typed[name] = str(value)
    return typed


def _fits(entry: dict[str, Any], tools: dict[str, dict[str, Any]]) -> bool:
    """Whether all calls match their tools and none needs the output of another; some of the source do not."""
    import jsonschema

    if "API_call_" in json.dumps([call["parameters"] for call in entry["calling"]]):
        return False
    return all(
        jsonschema.Draft202012Validator(tools[call["api"]]["function"]["parameters"]).is_valid(
            _typed(call["parameters"], tools[call["api"]])
        )
        for call in entry["calling"]
    )
