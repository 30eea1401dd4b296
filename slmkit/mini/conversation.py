"""One conversation over a choice of tools: who is offered, what is asked, what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from slmkit.mini import requests, values
from slmkit.mini.catalog import Tool
from slmkit.mini.offers import Offer, language

Conversation = dict[str, Any]  # {"tools": [...], "messages": [...]}
Message = dict[str, Any]
View = Callable[[Tool], Offer]  # how a tool is offered in this conversation


@dataclass(frozen=True)
class Shape:
    """How large a conversation is and how often its turns want no call, or several."""

    tools: tuple[int, int]
    turns: tuple[int, int]
    no_call: float = 0.2
    several: float = 0.06
    verbose: float = 0.12
    steps: float = 0.03  # two calls, the second after the result of the first
    in_part: float = 0.04  # a required argument is left out, and asked for


def sample(tools: Sequence[Tool], count: int, rng: Random) -> list[Tool]:
    """`count` different tools, about half of them from one domain, so that neighbours must be told apart."""
    first = rng.choice(tools)
    near = [tool for tool in tools if tool.domain == first.domain and tool is not first]
    chosen = [first]
    while len(chosen) < min(count, len(tools)):
        tool = rng.choice(near if near and rng.random() < 0.5 else tools)
        if all(tool.name != other.name for other in chosen):
            chosen.append(tool)
            near = [other for other in near if other is not tool]
        elif len({other.name for other in tools}) <= len(chosen):
            break
    return chosen


def _distinct(views: list[Offer], rng: Random) -> list[Offer]:
    """Offers whose names differ, as an API demands."""
    taken: set[str] = set()
    for view in views:
        while view.name in taken:
            view.schema["function"]["name"] += "_" + values.draw("made", rng)
        taken.add(view.name)
    return views


def talk(rng: Random, shape: Shape, pool: Sequence[Tool], view: View) -> Conversation:
    """A conversation over tools of `pool`: some are offered, the others are what nobody here can do."""
    count = rng.randint(*shape.tools)
    chosen = sample(pool, count, rng)
    views = _distinct([view(tool) for tool in chosen], rng)
    offered = list(views)
    rng.shuffle(offered)
    messages: list[dict[str, Any]] = []
    if rng.random() < 0.12:
        messages.append({"role": "system", "content": values.fill(rng.choice(language()["systems"]), rng)})
    for _ in range(rng.randint(*shape.turns)):
        messages += turn(rng, shape, views, pool, view)
    return {"tools": [offer.schema for offer in offered], "messages": messages}


def turn(rng: Random, shape: Shape, views: list[Offer], pool: Sequence[Tool], view: View) -> list[dict[str, Any]]:
    if rng.random() < shape.no_call:
        return [
            user(_unanswerable(rng, views, pool, view)),
            said(language()["refusal"]),
        ]
    offer = rng.choice(views)
    if rng.random() < shape.steps:
        text, wanted = requests.several([rng.choice(views) for _ in range(2)], rng, "steps")
        first, second = ([calls([call]), result(rng)] for call in wanted)
        return [user(text), *first, *second, said(language()["done"])]
    if offer.tool.verb and rng.random() < shape.in_part and any(arg.required for arg in offer.tool.args):
        text, missing = requests.ask_in_part(offer, rng)
        return [user(text), said(language()["ask_back"].replace("{argument}", missing))]
    if rng.random() < shape.several:
        text, wanted = requests.several([rng.choice(views) for _ in range(rng.choice((2, 2, 3)))], rng)
        return [user(text), calls(wanted)]
    text, call = requests.ask(offer, rng)
    answered = [user(text), calls([call])]
    if rng.random() < 0.04:
        answered += [result(rng), said(language()["done"])]
    elif rng.random() < 0.02:
        trouble = values.fill(rng.choice(language()["troubles"]), rng)
        failed = {"role": "tool", "content": json.dumps({"error": trouble}, ensure_ascii=False)}
        answered += [failed, said(language()["failed"].replace("{error}", trouble))]
    return answered


def _unanswerable(rng: Random, views: list[Offer], pool: Sequence[Tool], view: View) -> str:
    """A request that no offered tool can meet: small talk, a neighbour that is not offered, or a stranger."""
    offered = {offer.tool.name for offer in views}
    domains = {offer.tool.domain for offer in views}
    others = [tool for tool in pool if tool.name not in offered]
    draw = rng.random()
    if draw < 0.12 or not others:
        return requests.small_talk(rng)
    near = [tool for tool in others if tool.domain in domains]
    far = [tool for tool in others if tool.domain not in domains]
    chosen = near if (draw < 0.45 and near) or not far else far
    return requests.ask(view(rng.choice(chosen)), rng)[0]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    """An assistant message of text alone."""
    return {"role": "assistant", "content": text}


def result(rng: Random) -> dict[str, Any]:
    """What a tool gave back, in good order."""
    return {"role": "tool", "content": values.fill(rng.choice(language()["results"]), rng)}


def calls(wanted: list[requests.Call]) -> dict[str, Any]:
    """An assistant message that makes these calls."""
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": call} for call in wanted],
    }


def without_a_tool(made: Conversation, rng: Random) -> Conversation | None:
    """The conversation without one tool that it calls: those turns want a refusal. None if impossible."""
    called = {
        message["tool_calls"][0]["function"]["name"]
        for message in made["messages"]
        if len(message.get("tool_calls", ())) == 1
    }
    mixed = {call["function"]["name"] for message in made["messages"] for call in message.get("tool_calls", ())[1:]}
    mixed |= {m["tool_calls"][0]["function"]["name"] for m in made["messages"] if len(m.get("tool_calls", ())) > 1}
    asks_back = language()["ask_back"].partition("{")[0]
    if any((message["content"] or "").startswith(asks_back) for message in made["messages"]):
        return None  # it does not say which tool lacks an argument
    if len(made["tools"]) < 2 or not (names := sorted(called - mixed)):
        return None
    gone, messages, after = rng.choice(names), [], False
    for message in made["messages"]:
        after = after and message["role"] != "user"
        if any(call["function"]["name"] == gone for call in message.get("tool_calls", ())):
            messages.append({"role": "assistant", "content": language()["refusal"]})
            after = True
        elif not after:  # a tool result and what is said about it go with the call
            messages.append(message)
    return {
        "tools": [tool for tool in made["tools"] if tool["function"]["name"] != gone],
        "messages": messages,
    }
