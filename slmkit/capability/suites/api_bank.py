"""API-Bank, levels 1 and 2: the next call in a dialogue that people wrote.

Source: Li et al. 2023, "API-Bank: A Comprehensive Benchmark for Tool-Augmented LLMs" (EMNLP,
arXiv:2304.08244), metric of `api-bank/evaluator.py`: each call of a dialogue is asked for given everything
before it. The source runs the call against its database and lets the API compare input, output and exception
with the recorded ones (some APIs loosely). Level 1 offers the APIs of the dialogue; in level 2 `ToolSearcher`
must find them first.

Different here: nothing is run. A call is right when it is the recorded API with the recorded arguments, where
letter case, blanks at the ends and between words, 5 and "5", and a list and its text do not matter: looser
than the source in letter case, stricter where other words reach the same database entry. A `ToolSearcher`
call is right when its keywords are the recorded ones or when a search by words (`Shelf`) over all APIs ranks
the recorded result first (the source: embeddings). Level 2 offers `ToolSearcher` and what has been found so
far (the source: only its description, and the find in the text). Source facts that the prompt keeps: the year
is 2023. An assistant's words just before a call belong to the message that makes it, so they are not shown
before the call that is asked for. Replies in words between the calls, which the source scores by ROUGE-L, are
not scored.

Parameters come from the recorded search results where there are any, else from the recorded calls, described
by `all_apis.csv`, an older draft with other names (matched by name, or by place where the numbers agree).
"""

from __future__ import annotations

import csv
import json
import re
from ast import literal_eval as literal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slmkit.capability.scoring import Score, decoded, score_calls
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.source import Shelf, entries, words
from slmkit.capability.suites.tools import toolbox
from slmkit.errors import InputError
from slmkit.files import either
from slmkit.records import Reply

CATEGORIES = ("level_1", "level_2")
METRIC = "call_match"
LICENCE = "Apache-2.0"
FOLDERS = {"level-1-given-desc": "level_1", "level-2-toolsearcher": "level_2"}
SEARCH = {
    "name": "ToolSearcher",
    "description": "Find the tools that fit a keyword. Search first when no other tool on offer fits.",
    "parameters": {
        "type": "object",
        "properties": {"keywords": {"type": "string", "description": "What the tool should do."}},
        "required": ["keywords"],
    },
}
SYSTEM = "The year is 2023."


def _assigned(text: str, name: str) -> Any:
    """The literal that `text` assigns to `name`, read, not run; None where there is none that reads."""
    found = re.search(rf"^{name}\s*=\s*(.*?)(?=^\w+\s*=|\Z)", text, re.MULTILINE | re.DOTALL)
    try:
        return literal(found[1].strip()) if found else None
    except (SyntaxError, ValueError):
        return None


def _described(path: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Class name -> (description, {parameter: description}) of `all_apis.csv`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [(row["类名"], row["api_info"]) for row in csv.DictReader(file)]
    about = {}
    for name, text in rows:
        parameters = _assigned(text, "input_parameters") or {}
        notes = {key: value.get("description", "") for key, value in parameters.items()}
        about[name] = (_assigned(text, "description") or " ".join(words(name)).capitalize() + ".", notes)
    return about


def _found(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """APIs that a ToolSearcher turn brought up."""
    output = turn["result"]["output"]
    return output if isinstance(output, list) else [output] if output else []


def apis(dialogues: list[dict[str, Any]], path: Path) -> dict[str, dict[str, Any]]:
    """Every API of the dialogues as {name, description, parameters}; `path` is `all_apis.csv`."""
    called: dict[str, list[set[str]]] = defaultdict(list)
    order: dict[str, dict[str, None]] = defaultdict(dict)
    searched = {}
    for turn in (turn for dialogue in dialogues for turn in dialogue["turns"] if turn["role"] == "API"):
        called[turn["api_name"]].append(set(turn["param_dict"]))
        order[turn["api_name"]].update(dict.fromkeys(turn["param_dict"]))
        if turn["api_name"] == "ToolSearcher":
            searched.update({api["name"]: api for api in _found(turn)})
    about = _described(path)
    made = {"ToolSearcher": SEARCH}
    for name in [*searched, *(name for name in called if name not in searched and name != "ToolSearcher")]:
        if name in searched:
            description = searched[name]["description"]
            properties = dict(searched[name]["input_parameters"])
            required = list(properties)
        else:
            description, notes = about.get(name, (" ".join(words(name)).capitalize() + ".", {}))
            places = list(notes.values()) if len(notes) == len(order[name]) else [""] * len(order[name])
            named = {key: notes.get(key, place) for key, place in zip(order[name], places, strict=True)}
            properties = {key: {"type": "str", "description": text} for key, text in named.items()}
            required = [key for key in order[name] if all(key in arguments for arguments in called[name])]
        schema = {"type": "object", "properties": properties, "required": required}
        made[name] = {"name": name, "description": description, "parameters": schema}
    return made


def _messages(turns: list[dict[str, Any]], legal: dict[str, str]) -> list[dict[str, Any]]:
    """The dialogue so far; words of the assistant join the call that follows them."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    for number, turn in enumerate(turns):
        last = messages[-1]
        if turn["role"] == "User":
            messages.append({"role": "user", "content": turn["text"]})
        elif turn["role"] == "AI":
            if last["role"] == "assistant" and "tool_calls" not in last:
                last["content"] += f"\n{turn['text']}"
            else:
                messages.append({"role": "assistant", "content": turn["text"]})
        else:
            if last["role"] != "assistant" or "tool_calls" in last:
                messages.append({"role": "assistant", "content": ""})
            arguments = json.dumps(turn["param_dict"], ensure_ascii=False)
            function = {"name": legal[turn["api_name"]], "arguments": arguments}
            messages[-1]["tool_calls"] = [{"id": f"call_{number}", "type": "function", "function": function}]
            result = turn["result"]
            content = json.dumps(result["exception"] or result["output"], ensure_ascii=False)
            messages.append({"role": "tool", "tool_call_id": f"call_{number}", "content": content})
    if messages[-1]["role"] == "assistant":
        del messages[-1]
    return messages


def _offered(dialogue: dict[str, Any], turns: list[dict[str, Any]], level: str) -> list[str]:
    """Names of the APIs on offer at the end of `turns`, a beginning of the dialogue."""
    if level == "level_1":
        return list(dict.fromkeys(t["api_name"] for t in dialogue["turns"] if t["role"] == "API"))
    searches = (turn for turn in turns if turn["role"] == "API" and turn["api_name"] == "ToolSearcher")
    return list(dict.fromkeys(["ToolSearcher", *(api["name"] for turn in searches for api in _found(turn))]))


def load(folder: Path, category: str) -> Iterator[Item]:
    """One item for each call of a dialogue of that level."""
    path = either(folder, "dialogues.jsonl")
    dialogues = list(entries(path, "file", "turns"))
    known = apis(dialogues, folder / "all_apis.csv")
    found = [api for name, api in known.items() if name != "ToolSearcher"]
    library = [{"name": api["name"], "description": api["description"]} for api in found]
    for dialogue in dialogues:
        if FOLDERS.get(dialogue["file"].split("/")[0]) != category:
            continue
        for number, turn in enumerate(dialogue["turns"]):
            if turn["role"] != "API":
                continue
            before = dialogue["turns"][:number]
            offered = dict.fromkeys([*_offered(dialogue, before, category), turn["api_name"]])
            made, names = toolbox(known[name] for name in offered)
            legal = {source: name for name, source in names.items()}
            gold = [{"name": legal[turn["api_name"]], "arguments": turn["param_dict"]}]
            finds = [api["name"] for api in _found(turn)] if turn["api_name"] == "ToolSearcher" else []
            yield Item(
                suite="api_bank",
                category=category,
                id=f"{Path(dialogue['file']).stem}#{number}",
                messages=_messages(before, legal),
                tools=made,
                wants="call",
                gold=gold,
                meta={"names": names, "file": str(path), "finds": finds, "library": library},
            )


def _plain(value: Any) -> Any:
    """A value without what does not matter: letter case, blanks, a number or list written as text."""
    if isinstance(value, str):
        text = " ".join(value.split()).casefold()
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return float(text)
        try:
            return _plain(literal(text)) if text.startswith(("[", "{")) else text
        except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError):
            return text
    if isinstance(value, bool) or value is None:
        return str(value).casefold()
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def same(wanted: Any, given: Any) -> bool:
    """Whether two values are the same but for letter case, blanks, and numbers or lists written as text."""
    return bool(_plain(wanted) == _plain(given))


def score(item: Item, reply: Reply) -> Score:
    """Correct when the one call that is next is made, and no other."""
    found = score_calls(item.gold, reply, same)
    if found.error == "wrong_argument_value" and item.meta["finds"]:
        keywords = (decoded(reply) or [])[0]["arguments"]["keywords"]
        ranked = Shelf(item.meta["library"]).nearest(keywords, 1)
        if ranked and ranked[0]["name"] in item.meta["finds"]:
            return Score(True)
    return found
