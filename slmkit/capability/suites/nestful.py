"""NESTFUL: sequences of calls in which results are passed on.

Source: Basu et al. 2024, "NESTFUL: A Benchmark for Evaluating LLMs on Nested Sequences of API Calls"
(arXiv:2409.03797), metric of the repository's `src/scorer.py`. A call is its name and its sorted arguments as
text. Sequences of equal length are compared place by place; of unequal length, they are aligned by name first
(at the first place that differs, gold calls go unmatched until names agree again). Partial sequence accuracy
is the share of places that agree, full sequence accuracy the share of items where all do; F1 of functions and
of slots ("name = value", call by call) are macro averages over the labels that the gold has. `aggregate`
gives the four; `score` is the full one.

Different here: tools come by the `tools` parameter and calls back as tool calls, so a call has no label of
its own: its place is its label (var1, var2, ...), which the prompt says. The closing pseudo-call `var_result`
is left out of the gold: it calls nothing, and the names of its arguments cannot be known. The source's win
rate runs the calls and is not computed. Tools offered: those of the gold and `N_OTHERS` more, seeded (the
source shows a whole catalogue). Every parameter also takes text, so that a reference fits the schema. Where
the data define a function more than once, the definition that fits the call is offered; where they do not
define it at all, one is made from the calls. A few gold calls name arguments that no definition has.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slmkit.capability.scoring import Score, decoded, score_calls
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.seal_tools import same_text
from slmkit.capability.suites.source import Shelf, entries, returning, words
from slmkit.capability.suites.tools import toolbox
from slmkit.files import either
from slmkit.records import Reply

CATEGORIES = ("glaive", "executable", "sgd")
OPTIONAL = CATEGORIES
METRIC = "full_sequence"
LICENCE = "Apache-2.0"
N_OTHERS = 5
PARAMETERS = ("query_parameters", "parameters", "arguments")  # what the parts of the source call them
JSON_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}

SYSTEM = (
    "Make all calls that the request needs, in order, in one reply. The result of the first call is var1, "
    "that of the second var2, and so on. To pass a field of an earlier result on, write $var1.field$ as the "
    "argument, with the number of the call and the name of the field."
)


def _function(name: str, about: str, parameters: dict[str, Any], returns: dict[str, Any]) -> dict[str, Any]:
    """A function as {name, description, parameters}; the fields of its result join the description."""
    open_to_text = {}
    for key, schema in parameters.items():
        kind = schema.get("type") if isinstance(schema, dict) else None
        text_too = isinstance(kind, str) and kind not in ("string", "str")
        open_to_text[key] = {**schema, "type": [kind, "string"]} if text_too else schema
    return {
        "name": name,
        "description": returning(about, ", ".join(returns)),
        "parameters": {"type": "object", "properties": open_to_text},
    }


def _specified(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every definition of each function; the parts of the source name its parameters differently."""
    found = defaultdict(list)
    for entry in entries(path, "name", "description"):
        parameters = next((entry[key] for key in PARAMETERS if entry.get(key)), {})
        returns = entry.get("output_parameters") or {}
        found[entry["name"]].append(_function(entry["name"], entry["description"], parameters, returns))
    return dict(found)


def _fitting(definitions: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    return max(definitions, key=lambda f: len(set(arguments) & set(f["parameters"]["properties"])))


def load(folder: Path, category: str) -> Iterator[Item]:
    """Items of one part: `glaive`, `executable` or `sgd`."""
    path = either(folder, f"{category}-data.jsonl")
    found = entries(path, "input", "output")
    rows = [(row["input"], [call for call in row["output"] if call["name"] != "var_result"]) for row in found]
    specified = _specified(either(folder, f"{category}-spec.jsonl"))
    undefined: dict[str, dict[str, Any]] = defaultdict(dict)
    for _, calls in rows:
        for call in calls:
            if call["name"] not in specified:
                seen = {n: {"type": JSON_TYPES.get(type(v), "string")} for n, v in call["arguments"].items()}
                undefined[call["name"]].update(seen)
    for name, parameters in undefined.items():
        specified[name] = [_function(name, " ".join(words(name)).capitalize() + ".", parameters, {})]
    shelf = Shelf([definitions[0] for definitions in specified.values()])
    for number, (request, calls) in enumerate(rows):
        ident = f"{category}_{number}"
        right = {call["name"]: _fitting(specified[call["name"]], call["arguments"]) for call in calls}
        made, names = toolbox(shelf.beside(list(right.values()), request, N_OTHERS, ident))
        legal = {source: name for name, source in names.items()}
        yield Item(
            suite="nestful",
            category=category,
            id=ident,
            messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": request}],
            tools=made,
            wants="call",
            gold=[{"name": legal[call["name"]], "arguments": call["arguments"]} for call in calls],
            meta={"names": names, "file": str(path)},
        )


def _closed(value: Any) -> Any:
    """The source forgives a reference without its closing dollar (a price such as $5-$9 is none)."""
    unclosed = isinstance(value, str) and value.startswith("$var") and not value.endswith("$")
    return f"{value}$" if unclosed else value


def _equal(wanted: Any, given: Any) -> bool:
    return same_text(wanted, _closed(given))


def _agree(wanted: dict[str, Any], given: dict[str, Any]) -> bool:
    gold, found = wanted["arguments"], given["arguments"]
    same_tool = wanted["name"] == given["name"] and gold.keys() == found.keys()
    return same_tool and all(_equal(value, found[name]) for name, value in gold.items())


def places(gold: list[dict[str, Any]], calls: list[dict[str, Any]]) -> tuple[int, int]:
    """Places of the two sequences that agree, and places in all, aligned as the source aligns them."""
    if len(gold) == len(calls):
        return sum(map(_agree, gold, calls)), len(gold)
    agree = i = j = n = 0
    while i < len(gold) or j < len(calls):
        both = i < len(gold) and j < len(calls) and gold[i]["name"] == calls[j]["name"]
        agree += both and _agree(gold[i], calls[j])
        i, j = (i + 1, j + 1) if both else (i + 1, j) if i < len(gold) else (i, j + 1)
        n += 1
    return agree, n


def score(item: Item, reply: Reply) -> Score:
    """Correct when the whole sequence is, in its order; the detail of a miss begins with the places."""
    calls = decoded(reply) or []
    agree, n = places(item.gold, calls)
    if calls and agree == n:
        return Score(True)
    found = score_calls(item.gold, reply, _equal)
    if found.correct:  # the right calls, but not in the order that their references count on
        return Score(False, "wrong_tool", f"{agree} of {n} places: calls out of order")
    return Score(False, found.error, f"{agree} of {n} places: {found.detail}")


def _macro_f1(pairs: list[tuple[set[str], set[str]]]) -> float:
    """Mean of the F1 of each label of the gold; `pairs` are the (gold, predicted) labels of one unit each."""
    both, either_one = Counter(), Counter()
    for gold, predicted in pairs:
        both.update(gold & predicted)
        either_one.update(gold)
        either_one.update(predicted)
    labels = set().union(*(gold for gold, _ in pairs)) if pairs else set()
    return sum(2 * both[label] / either_one[label] for label in labels) / max(1, len(labels))


def aggregate(items: Sequence[Item], replies: Sequence[Reply]) -> dict[str, float]:
    """The source's values over a set, as fractions; a reply that does not parse is an empty sequence."""
    partial, full, functions, slots = 0.0, 0, [], []
    for item, reply in zip(items, replies, strict=True):
        calls = decoded(reply) or []
        agree, n = places(item.gold, calls)
        partial += agree / max(1, n)
        full += agree == n
        functions.append(({c["name"] for c in item.gold}, {c["name"] for c in calls}))
        gold, predicted = ({c["name"]: _slots(c) for c in side} for side in (item.gold, calls))
        either_side = gold.keys() | predicted.keys()
        slots += [(gold.get(name, set()), predicted.get(name, set())) for name in either_side]
    return {
        "partial_sequence_accuracy": partial / max(1, len(items)),
        "full_sequence_accuracy": full / max(1, len(items)),
        "function_f1": _macro_f1(functions),
        "slot_f1": _macro_f1(slots),
    }


def _slots(call: dict[str, Any]) -> set[str]:
    return {f"{name} = {_closed(value)}" for name, value in call["arguments"].items()}
