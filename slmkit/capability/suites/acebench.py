"""ACEBench, English part: one reply to a request or to a dialogue so far.

Source: Chen et al. 2025, "ACEBench: Who Wins the Match Point in Tool Usage?" (arXiv:2501.12851),
https://github.com/ACEBench/ACEBench, metric of `eval_main.py` and `model_eval/checker.py`. Normal: as many
calls as the gold, of the same functions; strings compare without case, spaces and `,./-_*^`, and a value may
contain more than the gold string; lists and objects must agree throughout; where there are several golds, any
will do. Special: nothing is to be called, and the reply must hold fixed words and the names concerned. A
dialogue of `normal_multi_turn_*` is one string with one gold answer a turn: each turn is an item, and
`aggregate` adds the share of dialogues with all turns right (`end_accuracy`) and the mean share of right
turns (`process_accuracy`). The `agent_*` categories need a simulated user and are not here.

Different here: tools come by the `tools` parameter; calls that a dialogue quotes become tool calls with their
results; the fixed words are asked for in our own prompt. The source's checker, as published, looks neither at
numbers and booleans outside of objects nor for optional arguments of the gold that are absent; here both
count, since `normal_atom_number` and `normal_atom_bool` would otherwise ask for nothing. `aggregate` gives
the source's reading too (`source_accuracy`). Blanks around a name in the gold of special_incomplete are
ignored.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slmkit.capability.scoring import Score, decoded, score_calls, score_no_call
from slmkit.capability.suites.dialogue import messages_of
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.source import entries
from slmkit.capability.suites.tools import toolbox
from slmkit.errors import InputError
from slmkit.files import either
from slmkit.records import Reply

ATOMS = ("bool", "enum", "number", "list", "object_deep", "object_short")
CATEGORIES = (
    *(f"normal_atom_{kind}" for kind in ATOMS),
    "normal_single_turn_single_function",
    "normal_single_turn_parallel_function",
    "normal_multi_turn_user_adjust",
    "normal_multi_turn_user_switch",
    "normal_similar_api",
    "normal_preference",
    "special_incomplete",
    "special_error_param",
    "special_irrelevant",
)
METRIC = "exact_match"
LICENCE = "MIT"

MISSING = "Missing necessary parameters"
INCORRECT = "There is incorrect value"
LIMITS = "the limitations of the function"
SPECIAL = (
    "Call a tool when one can do what is asked and the request gives what the call needs. Otherwise call "
    f'nothing. If required values are not given, answer "{MISSING} (names) for the api (tool)". If a given '
    f'value does not have the form that the tool states, answer "{INCORRECT} (value) for the parameters '
    f'(name) in the conversation history." If no tool can do it, answer "Due to {LIMITS}, I cannot solve '
    'this problem."'
)
IGNORED = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})


def _gold_calls(answer: dict[str, Any], legal: dict[str, str]) -> list[dict[str, Any]]:
    """Gold calls under the names on offer; the source writes a repeated function as name_1, name_2."""
    calls = []
    for name, arguments in answer.items():
        source = name if name in legal else re.sub(r"_\d+$", "", name)
        calls.append({"name": legal.get(source, source), "arguments": arguments})
    return calls


def load(folder: Path, category: str) -> Iterator[Item]:
    """Items of one category; raises InputError where an entry has no gold."""
    path = either(folder / "data_en", f"data_{category}.json")
    answered = either(folder / "data_en" / "possible_answer", f"data_{category}.json")
    answers = {entry["id"]: entry["ground_truth"] for entry in entries(answered, "id", "ground_truth")}
    special = category.startswith("special")
    for entry in entries(path, "id", "question", "function"):
        if entry["id"] not in answers:
            raise InputError(f"{path}: {entry['id']} has no ground truth in {answered}; get both files again")
        functions = [{**f, "parameters": f.get("parameters", f.get("arguments"))} for f in entry["function"]]
        made, names = toolbox(functions)
        legal = {source: name for name, source in names.items()}
        gold = answers[entry["id"]]
        if not special:
            gold = [_gold_calls(answer, legal) for answer in (gold if isinstance(gold, list) else [gold])]
        about = [entry.get("time", "")]
        about += [f"About the user: {entry['profile']}"] if entry.get("profile") else []
        about += [SPECIAL] if special else []
        system = "\n\n".join(part for part in about if part)
        messages = messages_of(entry["question"], legal)
        yield Item(
            suite="acebench",
            category=category,
            id=entry["id"],
            messages=[{"role": "system", "content": system}, *messages] if system else messages,
            tools=made,
            wants="no_call" if special else "call",
            gold=gold,
            meta={"names": names, "file": str(path)},
        )


def _standard(text: str) -> str:
    return text.translate(IGNORED).lower()


def same(wanted: Any, given: Any, listed: bool = False) -> bool:
    """Whether `given` is the gold value: strings may contain it, unless `listed` directly in an array."""
    if isinstance(wanted, str):
        if not isinstance(given, str):
            return False
        return _standard(wanted) == _standard(given) if listed else _standard(wanted) in _standard(given)
    if isinstance(wanted, dict):
        return (
            isinstance(given, dict)
            and wanted.keys() == given.keys()
            and all(same(v, given[k]) for k, v in wanted.items())
        )
    if isinstance(wanted, list):
        if not isinstance(given, list) or len(wanted) != len(given):
            return False
        return all(same(one, other, listed=True) for one, other in zip(wanted, given, strict=True))
    if isinstance(wanted, bool):
        return given is wanted or given == str(wanted).lower()
    return wanted == given and not isinstance(given, bool)


def _special(item: Item, reply: Reply) -> Score:
    called = score_no_call(reply)
    if not called.correct:
        return called
    text, names = reply.content, item.meta["names"]
    if item.category == "special_irrelevant":
        needed = [[LIMITS]]
    elif item.category == "special_error_param":
        needed = [[INCORRECT], *([str(value)] for values in item.gold.values() for value in values)]
    else:
        needed = [[MISSING]]
        for function, missing in item.gold.items():
            needed.append([function, *(legal for legal, source in names.items() if source == function)])
            needed += [[name.strip()] for name in missing]
    absent = [options[0] for options in needed if not any(option in text for option in options)]
    return Score(False, "wrong_reply", f"does not say {absent[0]!r}") if absent else Score(True)


def score(item: Item, reply: Reply) -> Score:
    """One reply by the rules above; of several golds, the first names the miss."""
    if item.wants == "no_call":
        return _special(item, reply)
    scores = [score_calls(gold, reply, same) for gold in item.gold]
    return next((found for found in scores if found.correct), scores[0])


def _by_source(item: Item, reply: Reply) -> bool:
    """The published checker's reading of a normal item: see the differences at the top."""
    calls = decoded(reply)
    if not calls:
        return False
    required = {t["function"]["name"]: t["function"]["parameters"].get("required", []) for t in item.tools}

    def loosely(wanted: Any, given: Any) -> bool:
        return type(wanted) is type(given) if isinstance(wanted, bool | int | float) else same(wanted, given)

    def passes(gold: dict[str, Any], call: dict[str, Any]) -> bool:
        wanted, given = gold["arguments"], call["arguments"]
        if gold["name"] != call["name"] or not set(required.get(gold["name"], [])) <= given.keys():
            return False
        return given.keys() <= wanted.keys() and all(loosely(wanted[name], value) for name, value in given.items())

    def fits(gold: list[dict[str, Any]]) -> bool:
        same_tools = Counter(c["name"] for c in gold) == Counter(c["name"] for c in calls)
        return same_tools and all(any(passes(wanted, call) for call in calls) for wanted in gold)

    return any(fits(gold) for gold in item.gold)


def aggregate(items: Sequence[Item], replies: Sequence[Reply]) -> dict[str, float]:
    """accuracy and source_accuracy; with dialogues also end_accuracy and process_accuracy. Fractions."""
    pairs = list(zip(items, replies, strict=True))
    right = {item.id: score(item, reply).correct for item, reply in pairs}
    loose = [right[item.id] if item.wants == "no_call" else _by_source(item, reply) for item, reply in pairs]
    values = {
        "accuracy": sum(right.values()) / max(1, len(pairs)),
        "source_accuracy": sum(loose) / max(1, len(pairs)),
    }
    turns: dict[str, list[bool]] = defaultdict(list)
    for item in items:
        if item.category.startswith("normal_multi_turn"):
            turns[item.id.rsplit("_", 1)[0]].append(right[item.id])
    if turns:
        values["end_accuracy"] = sum(map(all, turns.values())) / len(turns)
        values["process_accuracy"] = sum(sum(t) / len(t) for t in turns.values()) / len(turns)
    return values
