"""Schema-Guided Dialogue: train on services of its training split, test on services that occur in none of it.

Source: Rastogi et al. 2020, "Towards Scalable Multi-Domain Conversational Agents" (arXiv:1909.05855), CC BY-SA 4.0.
Each system turn is a decision over the intents of the dialogue's services: a call, or a reply in words. Kept are calls
whose values can be read off the last turns or are among a parameter's options: SGD's parameters are canonical values
(2019-03-01 for "the 1st of March"), and what needs a calendar is no question of tool calling.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from slmkit.specialization.rows import call_of, wants_call
from slmkit.specialization.sources.splits import chooses

DATASET = "sgd"
SAYS = "Schema-Guided Dialogue, services unseen in training; CC BY-SA 4.0, read at run time"
LICENCE = "CC-BY-SA-4.0"
TURNS = 5  # of the dialogue that are shown
REFUSALS = 0.2  # share of the training rows that want no call


def rows(folder: Path, split: str, n: int, seed: int) -> list[dict[str, Any]]:
    """At most `n` rows; `test` and `no_call` come from services that the training split lacks."""
    services = {}
    for line in (folder / "schema.jsonl").read_text(encoding="utf-8").splitlines():
        service = json.loads(line)
        services[service["service_name"]] = service
    rng, found, refused = Random(f"sgd/{split}/{seed}"), [], 0
    for dialogue in _dialogues(folder, split, rng):
        for row in _decisions(dialogue, services):
            calls = wants_call(row)
            due = refused < REFUSALS * len(found)
            if {"test": calls, "no_call": not calls}.get(split, calls or due):
                found.append(row)
                refused += not calls
            if len(found) == n:
                return found
    return found


def _dialogues(folder: Path, split: str, rng: Random) -> Iterator[dict[str, Any]]:
    train = folder / "train.jsonl.gz"
    if split in ("train", "validation"):
        for dialogue in _shuffled(train, rng):
            if chooses(dialogue["dialogue_id"]) == (split == "validation"):
                yield dialogue
        return
    known = _services(train)
    for dialogue in _shuffled(folder / "validation.jsonl.gz", rng):
        if not known & set(dialogue["services"]):
            yield dialogue


def _shuffled(path: Path, rng: Random) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.readlines()
    rng.shuffle(lines)
    yield from map(json.loads, lines)


def _services(path: Path) -> set[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return {name for line in file for name in json.loads(line)["services"]}


def _decisions(dialogue: dict[str, Any], services: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of a dialogue, one a system turn that can be judged."""
    tools = [tool(services[name], intent) for name in dialogue["services"] for intent in services[name]["intents"]]
    names = [made["function"]["name"] for made in tools]
    if len(set(names)) < len(names):
        return  # two services with a method of one name: an API would not offer both
    messages: list[dict[str, Any]] = []
    for place, said in enumerate(dialogue["turns"]):
        if said["speaker"] == "SYSTEM":
            called = [frame for frame in said["frames"] if "service_call" in frame]
            answer = _answer(said, called[0]["service_call"] if called else None, messages[-TURNS:], tools)
            if answer:
                row_id = f"{dialogue['dialogue_id']}-{place}"
                yield {"id": row_id, "tools": tools, "messages": [*messages[-TURNS:], answer]}
        role = "user" if said["speaker"] == "USER" else "assistant"
        messages.append({"role": role, "content": said["utterance"]})


def _answer(
    said: dict[str, Any], call: dict[str, Any] | None, shown: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> dict[str, Any] | None:
    if call is None:
        return {"role": "assistant", "content": said["utterance"]}
    schemas = {made["function"]["name"]: made["function"]["parameters"]["properties"] for made in tools}
    text = " ".join(message["content"] for message in shown).lower()
    for name, value in call["parameters"].items():
        schema = schemas[call["method"]].get(name)
        if schema is None or not (value in schema["enum"] if "enum" in schema else value.lower() in text):
            return None
    return call_of(call["method"], call["parameters"])


def tool(service: dict[str, Any], intent: dict[str, Any]) -> dict[str, Any]:
    """An intent of a service as a tool."""
    slots = {slot["name"]: slot for slot in service["slots"]}
    properties = {}
    for name in [*intent["required_slots"], *intent["optional_slots"]]:
        properties[name] = {"type": "string", "description": slots[name]["description"]}
        if slots[name]["is_categorical"] and slots[name]["possible_values"]:
            properties[name]["enum"] = [*slots[name]["possible_values"], "dontcare"]
    schema = {"type": "object", "properties": properties, "required": list(intent["required_slots"])}
    function = {"name": intent["name"], "description": intent["description"], "parameters": schema}
    return {"type": "function", "function": function}
