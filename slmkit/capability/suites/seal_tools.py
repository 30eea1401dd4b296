"""Seal-Tools: generated instructions of one to six calls, some of which pass a result on.

Source: Wu et al. 2024, "Seal-Tools: Self-Instruct Tool Learning Dataset for Agent Tuning and Detailed
Benchmark" (arXiv:2405.08355), metric of `LLM_Evaluation/src/llm_tools/evaluation/calculate.py`. Over a whole
set: format accuracy (share of replies that parse), precision, recall and F1 of tools (a predicted call counts
when the gold has a call of that name) and of parameters (a predicted argument counts when the first gold call
of that name has the same name and the same value as text). `aggregate` gives these. `score` judges one item:
all gold calls and no others, with all arguments.

Different here: tools come by the `tools` parameter, calls back as tool calls, not as text. The source
retrieves candidate tools; a record names only its gold ones, so the loader adds `N_OTHERS` others, drawn from
the nearest by words (`Shelf.beside`) out of `tool_distractors.jsonl.gz`, or of all other tools where that
file is missing. 1 and 1.0 are one value. A reference `API_call_k` is plain text: where the parameter is a
number, a grammar that enforces the schema cannot write it (rare).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slmkit.capability.scoring import Score, decoded, score_calls
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.source import Shelf, entries, returning
from slmkit.capability.suites.tools import toolbox
from slmkit.errors import InputError
from slmkit.files import either
from slmkit.records import Reply

CATEGORIES = ("dev", "test_in_domain", "test_out_domain")
OPTIONAL = CATEGORIES  # a data folder may hold any of them
METRIC = "exact_match"
LICENCE = "Apache-2.0"
N_OTHERS = 5

SYSTEM = (
    "Make all calls that the request needs, in order, in one reply. The outputs of the calls are numbered "
    "through, from 0, in the order in which the tools list them. To pass an output on, write API_call_ and "
    "its number, such as API_call_0, as the argument."
)


def function(entry: dict[str, Any]) -> dict[str, Any]:
    """A tool of the source as {name, description, parameters}; what it returns joins the description."""
    about = {name: value.get("description", "") for name, value in entry["responses"].items()}
    outputs = [f"{name} ({text})" for name, text in about.items()]
    return {
        "name": entry["api_name"],
        "description": returning(entry["api_description"], ", ".join(outputs)),
        "parameters": {"type": "object", "properties": entry["parameters"], "required": entry["required"]},
    }


def load(folder: Path, category: str) -> Iterator[Item]:
    """Items of one set; raises InputError where a record calls a tool that no file defines."""
    fields = ("api_name", "api_description", "parameters", "required", "responses")
    known = {e["api_name"]: function(e) for e in entries(either(folder, "tool.jsonl"), *fields)}
    others = either(folder, "tool_distractors.jsonl")
    at_hand = map(function, entries(others, *fields)) if others.is_file() else known.values()
    shelf = Shelf(list(at_hand))
    path = either(folder, f"{category}.jsonl")
    for entry in entries(path, "id", "query", "calling"):
        wanted = list(dict.fromkeys(call["api"] for call in entry["calling"]))
        for name in wanted:
            if name not in known:
                raise InputError(f"{path}: {entry['id']} calls {name!r}, which tool.jsonl does not define")
        right = [known[name] for name in wanted]
        made, names = toolbox(shelf.beside(right, entry["query"], N_OTHERS, entry["id"]))
        legal = {source: name for name, source in names.items()}
        yield Item(
            suite="seal_tools",
            category=category,
            id=entry["id"],
            messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": entry["query"]}],
            tools=made,
            wants="call",
            gold=[{"name": legal[call["api"]], "arguments": call["parameters"]} for call in entry["calling"]],
            meta={"names": names, "file": str(path)},
        )


def same_text(wanted: Any, given: Any) -> bool:
    """The source's comparison, values as text; a number is also the same as itself written 1 or 1.0."""
    if str(wanted) == str(given):
        return True
    numbers = {type(wanted), type(given)} <= {int, float}
    return numbers and bool(wanted == given)


def score(item: Item, reply: Reply) -> Score:
    """Correct when exactly the gold calls are made, in any order."""
    return score_calls(item.gold, reply, same_text)


def aggregate(items: Sequence[Item], replies: Sequence[Reply]) -> dict[str, float]:
    """The source's seven values over a set, as fractions; a reply without readable calls predicts nothing."""
    formatted = 0
    tools, arguments = [0, 0, 0], [0, 0, 0]  # right, predicted, gold
    for item, reply in zip(items, replies, strict=True):
        calls = decoded(reply) or []
        formatted += bool(calls)
        gold = {call["name"]: call["arguments"] for call in reversed(item.gold)}  # the first of a name stays
        tools[2] += len(item.gold)
        arguments[2] += sum(len(call["arguments"]) for call in item.gold)
        for call in calls:
            tools[1] += 1
            arguments[1] += len(call["arguments"])
            if call["name"] in gold:
                wanted = gold[call["name"]]
                tools[0] += 1
                same = (name in wanted and same_text(wanted[name], v) for name, v in call["arguments"].items())
                arguments[0] += sum(same)
    values = {"format_accuracy": formatted / max(1, len(items))}
    for name, (right, predicted, wanted) in (("tool", tools), ("parameter", arguments)):
        values[f"{name}_precision"] = right / predicted if predicted else 0.0
        values[f"{name}_recall"] = right / wanted if wanted else 0.0
        values[f"{name}_f1"] = 2 * right / (predicted + wanted) if right else 0.0
    return values
