"""Berkeley Function Calling Leaderboard v4, the 13 single-turn categories.

Source: Patil et al. 2025, "The Berkeley Function Calling Leaderboard (BFCL): From Tool Use to Agentic
Evaluation of Large Language Models" (ICML), https://github.com/ShishirPatil/gorilla. Metric: the official
syntax-tree check (`bfcl_checker`); no call for the two irrelevance categories; any call for live_relevance.
As officially, an answer that does not parse is no call.

Tools follow the official function-calling path: its type names become JSON Schema, names with dots become
legal, and in Java and JavaScript every argument is asked for, and judged, as source text in a string, the
description naming the type. Different here: a parameter of type `any` has an empty schema (officially:
string), `float` leaves no note in the description, and Python functions get no remark on the language. What
the checker reads is in `meta["original"]`, unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slmkit.capability import bfcl_checker
from slmkit.capability.bfcl_checker import CATEGORIES as CATEGORIES
from slmkit.capability.bfcl_decode import score_reply
from slmkit.capability.scoring import Score
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.source import entries
from slmkit.capability.suites.tools import toolbox
from slmkit.errors import InputError
from slmkit.files import either
from slmkit.records import Reply

METRIC = "ast"
LICENCE = "Apache-2.0"
LANGUAGES = {"java": "Java 8", "javascript": "JavaScript"}


def _as_source_text(schema: dict[str, Any], language: str) -> dict[str, Any]:
    """A Java or JavaScript parameter as a string that holds source text of its type."""
    declared = schema.get("type") or "any"
    note = f"{language} source text of {'any type' if declared == 'any' else f'type {declared}'}."
    if element := (schema.get("items") or {}).get("type"):
        note += f" Its elements are of type {element}."
    if schema.get("properties"):
        note += f" Its entries: {json.dumps(schema['properties'], ensure_ascii=False)}."
    about = f"{schema.get('description', '')} {note}".strip()
    return {
        "type": "string",
        "description": about,
        **({"default": schema["default"]} if "default" in schema else {}),
    }


def offered(functions: list[dict[str, Any]], category: str) -> list[dict[str, Any]]:
    """The functions to offer, {name, description, parameters}: Java and JavaScript take source text."""
    language = LANGUAGES.get(bfcl_checker.language_of(category))
    if language is None:
        return functions
    changed = []
    for function in functions:
        schema = function["parameters"]
        properties = {name: _as_source_text(value, language) for name, value in schema["properties"].items()}
        about = f"{function['description']} (a {language} function)"
        changed.append({**function, "description": about, "parameters": {**schema, "properties": properties}})
    return changed


def _wants(category: str) -> str:
    if category in bfcl_checker.NO_CALL_CATEGORIES:
        return "no_call"
    return "any_call" if category in bfcl_checker.ANY_CALL_CATEGORIES else "call"


def load(folder: Path, category: str) -> Iterator[Item]:
    """Items of one category; raises InputError where an entry that needs an answer has none."""
    path = either(folder, f"BFCL_v4_{category}.json")
    answers: dict[str, Any] = {}
    if _wants(category) == "call":
        answered = either(folder / "possible_answer", f"BFCL_v4_{category}.json")
        answers = {entry["id"]: entry["ground_truth"] for entry in entries(answered, "id", "ground_truth")}
    for entry in entries(path, "id", "question", "function"):
        if _wants(category) == "call" and entry["id"] not in answers:
            raise InputError(f"{path}: {entry['id']} has no ground truth in {answered}; get both files again")
        made, names = toolbox(offered(entry["function"], category))
        yield Item(
            suite="bfcl",
            category=category,
            id=entry["id"],
            messages=[dict(message) for message in entry["question"][0]],
            tools=made,
            wants=_wants(category),
            gold=answers.get(entry["id"]),
            meta={"names": names, "original": entry["function"], "file": str(path)},
        )


def score(item: Item, reply: Reply) -> Score:
    """The official verdict, with the kind of error."""
    return score_reply(item.meta["original"], reply, item.gold, item.category, item.meta["names"])
