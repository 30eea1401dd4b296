"""Rows of training and tests as data: their answers, and the same rows under another schema style."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Any

from slmkit.mini import offers
from slmkit.specialization.data import Row


def as_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with the arguments of its calls as JSON text."""
    if not message.get("tool_calls"):
        return dict(message)
    calls = []
    for call in message["tool_calls"]:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append({"type": "function", "function": {"name": name, "arguments": text}})
    return {**message, "tool_calls": calls}


def call_of(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant message that makes one call."""
    return calls_of([(name, arguments)])


def calls_of(wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """An assistant message that makes these calls, each (name, arguments)."""
    calls = [{"function": {"name": name, "arguments": arguments}} for name, arguments in wanted]
    return as_text({"role": "assistant", "content": "", "tool_calls": calls})


def no_call() -> dict[str, Any]:
    """The assistant message that declines, as the minis say it."""
    return {"role": "assistant", "content": offers.language()["refusal"]}


def wants_call(row: Row) -> bool:
    """Whether the row's answer makes a call."""
    return bool(row["messages"][-1].get("tool_calls"))


def renamed(row: Row, call_it: Callable[[str], str]) -> dict[str, Any]:
    """The row with its tools and their top-level parameters under other names, in schemas and in answers alike."""
    tools, parameters, taken = copy.deepcopy(list(row["tools"])), {}, set()
    names: dict[str, str] = {}
    for tool in tools:
        function = tool["function"]
        names[function["name"]] = new = _free(call_it(function["name"]), taken)
        own: set[str] = set()
        schema = function["parameters"]
        parameters[function["name"]] = shown = {old: _free(call_it(old), own) for old in schema.get("properties", {})}
        schema["properties"] = {shown[old]: value for old, value in schema.get("properties", {}).items()}
        schema["required"] = [shown[old] for old in schema.get("required", [])]
        function["name"] = new
    messages = [_renamed_message(message, names, parameters) for message in row["messages"]]
    return {**row, "tools": tools, "messages": messages}


def _renamed_message(
    message: Mapping[str, Any], names: Mapping[str, str], parameters: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    if not message.get("tool_calls"):
        return dict(message)
    calls = []
    for call in message["tool_calls"]:
        name, given = call["function"]["name"], json.loads(call["function"]["arguments"])
        shown = {parameters.get(name, {}).get(old, old): value for old, value in given.items()}
        calls.append({"function": {"name": names.get(name, name), "arguments": shown}})
    return as_text({**message, "tool_calls": calls})


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "2"
    taken.add(name)
    return name


def camel_case(row: Row) -> dict[str, Any]:
    """The row in another schema style: names in camelCase."""
    return renamed(row, offers.camel)


def synonyms(row: Row) -> dict[str, Any]:
    """The row with tools and parameters renamed as another author might, always the same way."""
    return renamed(row, lambda name: offers.renamed(name, Random(f"renamed/{name}"), keep=0.0))


STYLES: dict[str, Callable[[Row], dict[str, Any]]] = {"camelCase": camel_case, "renamed": synonyms}


def pretraining_rows(n: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """`n` rows like those that the minis were pre-trained on, from the training stream: calls and no-calls.

    Mixed in as `general_share`, they keep a specialist from forgetting. The held-out domains are not among them.
    """
    from slmkit.mini import corpus
    from slmkit.mini.conversation import Shape

    rng, made = Random(f"general/{seed}"), 0
    while made < n:
        conversation = corpus.conversation(rng, Shape((1, 5), (1, 2), several=0.02, verbose=0.05), core=0.5)
        messages = [as_text(message) for message in conversation["messages"]]
        if len(messages) > 1 and messages[-1]["role"] == "assistant":
            yield {"messages": messages, "tools": conversation["tools"]}
            made += 1
