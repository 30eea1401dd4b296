"""Errands beside calls: extract, classify, fill a template, reason briefly over what is given.

Each asks for one JSON object of a stated schema. The texts are the requests of the catalogue's tools, so that
an errand meets the same language as a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from slmkit.mini import offers, requests, values
from slmkit.mini.catalog import Tool
from slmkit.mini.offers import language

Turn = tuple[str, dict[str, Any]]  # what is asked, and the JSON object that answers it
_PART = re.compile(r"\[([^\]]*)\]")
ORDINALS = ("first", "second", "third", "fourth", "fifth")


def errand(kind: str, tools: Sequence[Tool], turns: int, rng: Random, test: bool = False) -> tuple[dict, list[Turn]]:
    """The schema of an errand and `turns` requests with their answers, over texts of `tools`.

    `test` takes the instructions that training never uses.
    """
    asks = language()["errands"]["test" if test else "train"][kind]
    schema, made = KINDS[kind](tools, turns, rng)
    return schema, [(rng.choice(asks).replace("{text}", text), answer) for text, answer in made]


def _extract(tools: Sequence[Tool], turns: int, rng: Random) -> tuple[dict, list[Turn]]:
    """What a request says, as the tool's arguments."""
    offer = offers.reworded(rng.choice([tool for tool in tools if len(tool.args) > 1]), rng)
    asked = [requests.ask(offer, rng) for _ in range(turns)]
    schema = offer.schema["function"]["parameters"]
    return bare(schema) if rng.random() < 0.7 else schema, [(text, call["arguments"]) for text, call in asked]


def bare(schema: Any) -> Any:
    """The schema without its descriptions."""
    if isinstance(schema, list):
        return [bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: bare(part) for name, part in value.items()} if key == "properties" else bare(value)
        for key, value in schema.items()
        if not (key == "description" and isinstance(value, str))
    }


def _classify(tools: Sequence[Tool], turns: int, rng: Random) -> tuple[dict, list[Turn]]:
    """Which domain, or which tool, a request belongs to."""
    by_name = rng.random() < 0.4
    groups: dict[str, list[Tool]] = {}
    for tool in rng.sample(list(tools), min(len(tools), 60)):
        groups.setdefault(tool.name if by_name else tool.domain, []).append(tool)
    chosen = rng.sample(sorted(groups), min(len(groups), rng.randint(2, 6)))
    labels = {name: name if rng.random() < 0.5 else name.replace("_", " ") for name in chosen}
    field = rng.choice(("label", "topic", "category", "intent", "class"))
    schema = _object({field: {"type": "string", "enum": list(labels.values())}})
    made = []
    for _ in range(turns):
        name = rng.choice(chosen)
        text, _call = requests.ask(offers.plain(rng.choice(groups[name]), rng), rng)
        made.append((text, {field: labels[name]}))
    return schema, made


def _fill(tools: Sequence[Tool], turns: int, rng: Random) -> tuple[dict, list[Turn]]:
    """A sentence with gaps, and the facts to put there."""
    field = rng.choice(("text", "message", "sentence", "result"))
    made = []
    for _ in range(turns):
        tool = rng.choice([tool for tool in tools if tool.args and tool.phrasings])
        pattern = _PART.sub(lambda part: part.group(1) if rng.random() < 0.5 else "", rng.choice(tool.phrasings))
        pattern = values.choose(pattern, rng)
        places = [(place, arg) for place, arg in requests.places(tool.args) if f"{{{place}}}" in pattern]
        words = {place: values.value(arg, rng)[1] for place, arg in places}
        filled = pattern
        for place, said in words.items():
            filled = filled.replace(f"{{{place}}}", said)
        facts = [f"{place} = {said}" for place, said in words.items()]
        rng.shuffle(facts)
        made.append((f"{pattern}\n{'; '.join(facts)}", {field: filled}))
    return _object({field: {"type": "string"}}), made


def _reason(tools: Sequence[Tool], turns: int, rng: Random) -> tuple[dict, list[Turn]]:
    """A short list of names with numbers, and a question about it."""
    question = rng.choice(sorted(QUESTIONS))
    solve, kind = QUESTIONS[question]
    lines = language()["lists"]
    made = []
    for _ in range(turns):
        pool = rng.choice(("given", "thing", "known_city", "food", "color", "company"))
        names = list(dict.fromkeys(values.draw(pool, rng) for _ in range(rng.randint(2, 5))))
        numbers = rng.sample(range(1, rng.choice((20, 100, 1000))), len(names))
        if len(names) < 2:
            continue
        rows = dict(zip(names, numbers, strict=True))
        about, (one, other) = rng.choice(lines["measures"]), rng.sample(names, 2)
        place = rng.randrange(min(len(names), len(ORDINALS)))
        text = rng.choice(lines["forms"]).replace("{measure}", about)
        text = text.replace(
            "{rows}", rng.choice(("; ", ", ")).join(f"{name} {number}" for name, number in rows.items())
        )
        asked = rng.choice(lines["questions"][question]).replace("{measure}", about)
        asked = asked.replace("{one}", one).replace("{other}", other).replace("{number}", str(rows[one]))
        asked = asked.replace("{place}", ORDINALS[place])
        made.append((f"{text} {asked}", {"answer": solve(rows, one, other, place)}))
    return _object({"answer": {"type": kind}}), made


QUESTIONS = {
    "largest": (lambda rows, one, other, place: max(rows, key=rows.get), "string"),
    "smallest": (lambda rows, one, other, place: min(rows, key=rows.get), "string"),
    "value": (lambda rows, one, other, place: rows[one], "integer"),
    "owner": (lambda rows, one, other, place: one, "string"),
    "count": (lambda rows, one, other, place: len(rows), "integer"),
    "more": (lambda rows, one, other, place: "yes" if rows[one] > rows[other] else "no", "string"),
    "place": (lambda rows, one, other, place: list(rows)[place], "string"),
}
KINDS = {"extract": _extract, "classify": _classify, "fill": _fill, "reason": _reason}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def told(answer: dict[str, Any]) -> str:
    """An answer as the model is to write it."""
    return json.dumps(answer, ensure_ascii=False)
