"""Conversations with tools, without end: the training stream and the evaluation sets of the mini models.

A conversation has `tools` (OpenAI-style) and `messages`: one to twelve tools, one to eight requests, of which
a quarter and more want no call. What is held out (`held_out.yaml`) is offered in evaluation sets only, and these
ask by phrasings that training never uses; the sets named `..._said` use those of training, for comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from slmkit.errors import unknown
from slmkit.mini import catalog, errands, invent, offers
from slmkit.mini.catalog import Tool
from slmkit.mini.conversation import Conversation, Shape, said, sample, talk, turn, user, without_a_tool
from slmkit.models.messages import with_schema

Maker = Callable[[Random], Conversation]

# The start: which of a few tools is meant, mostly told by shared words, and no way out by refusing.
EASY = Shape((2, 6), (5, 10), no_call=0.0, several=0.0, verbose=0.0, steps=0.0, in_part=0.0)
SHAPES = (
    Shape((1, 3), (5, 11)),
    Shape((1, 5), (5, 10)),
    Shape((2, 5), (4, 9)),
    Shape((1, 1), (4, 9), no_call=0.4),  # whether one tool fits is the easiest form of the question
    Shape((3, 8), (3, 7)),
    Shape((6, 12), (2, 5), verbose=0.0),
)
ERRANDS = 0.08  # share of conversations without tools, about extraction, labels, templates, short lists
TWINS = 0.15  # share of conversations told again without a tool that they call: same words, other answers
SINGLE = Shape((1, 5), (1, 1), no_call=0.0, several=0.0, verbose=0.0, steps=0.0, in_part=0.0)


def stream(seed: int | str, easy: bool = False, core: float = 0.0) -> Iterator[Conversation]:
    """Training conversations without end; the same seed gives the same stream.

    `core` is the share of the hand-written tools' conversations that stay with the core tools.
    """
    rng = Random(f"train/{seed}/{easy}")
    while True:
        made = conversation(rng, EASY if easy else rng.choice(SHAPES), core)
        yield made
        if not easy and rng.random() < TWINS and (twin := without_a_tool(made, rng)):
            yield twin


def conversation(rng: Random, shape: Shape, core: float = 0.0) -> Conversation:
    """One training conversation: an errand, or tools: composed, procedural, hand-written (renamed, or word-swapped)."""
    hand = catalog.core_tools() if core and rng.random() < core else catalog.training_tools(False)
    if shape is EASY and rng.random() < 0.75:
        return lexical(rng, shape, hand)
    if rng.random() < ERRANDS:
        return errand(rng, rng.choice(sorted(errands.KINDS)), catalog.training_tools(False), rng.randint(2, 5))
    draw, verbose = rng.random(), rng.random() < shape.verbose
    if draw < 0.14:
        pool: Sequence[Tool] = catalog.training_tools(True)
        return talk(rng, shape, pool, lambda tool: offers.composed(tool, rng, verbose))
    if draw < 0.48:
        return lexical(rng, shape, hand)
    look = rng.choice((offers.plain, offers.reworded, offers.disguised))
    if verbose:
        return talk(rng, shape, hand, lambda tool: offers.disguised(tool, rng, verbose))
    return talk(rng, shape, hand, lambda tool: look(tool, rng))


def lexical(rng: Random, shape: Shape, hand: Sequence[Tool]) -> Conversation:
    """Tools that a request names by shared words: procedural ones, or hand-written ones with their words swapped."""
    if rng.random() < 0.6:
        pool = [invent.procedural(rng) for _ in range(shape.tools[1] + 2)]
    else:
        pool = [invent.swapped(tool, rng) for tool in sample(hand, shape.tools[1] + 3, rng)]
    return talk(rng, shape, pool, lambda tool: offers.plain(tool, rng))


def errand(rng: Random, kind: str, tools: Sequence[Tool], turns: int, test: bool = False) -> Conversation:
    """A conversation about one kind of errand; its `schema` is told in the system message."""
    schema, made = errands.errand(kind, tools, turns, rng, test)
    asked = [message for text, answer in made for message in (user(text), said(errands.told(answer)))]
    return {"tools": [], "messages": with_schema(asked, schema), "schema": schema}


@cache
def _evaluations() -> dict[str, Maker]:
    """Name of an evaluation set -> how one of its conversations is made."""
    hand, composed = ([catalog.for_testing(tool) for tool in catalog.training_tools(kind)] for kind in (False, True))
    held = [catalog.for_testing(tool) for tool in catalog.held_out_tools()]
    trained = catalog.training_tools(False)

    def from_pool(pool: Sequence[Tool], view: Callable = offers.plain, shape: Shape = SINGLE) -> Maker:
        return lambda rng: talk(rng, shape, pool, lambda tool: view(tool, rng))

    def held_out_tool(rng: Random) -> Conversation:
        wanted = offers.plain(rng.choice(held), rng)
        others = [tool for tool in sample(hand, rng.randint(1, 5), rng) if tool.name != wanted.tool.name]
        views = [wanted, *(offers.plain(tool, rng) for tool in others[: rng.randint(0, 4)])]
        asked = turn(rng, SINGLE, [wanted], hand, lambda tool: offers.plain(tool, rng))
        rng.shuffle(views)
        return {"tools": [offer.schema for offer in views], "messages": asked}

    def procedural(rng: Random) -> Conversation:
        return talk(rng, SINGLE, [invent.procedural(rng) for _ in range(5)], lambda tool: offers.plain(tool, rng))

    domains = {
        name: from_pool([catalog.for_testing(tool) for tool in catalog.domain(name)])
        for name in catalog.held_out_domains()
    }
    nothing = replace(SINGLE, no_call=1.0)
    return {
        "seen": from_pool(hand),
        "seen_said": from_pool(trained),
        "core_said": from_pool(catalog.core_tools()),
        "renamed": from_pool(hand, offers.disguised),
        "renamed_said": from_pool(trained, offers.disguised),
        "core_renamed_said": from_pool(catalog.core_tools(), offers.disguised),
        "composed": from_pool(composed, offers.composed),
        "procedural": procedural,
        "several": from_pool(hand, shape=replace(SINGLE, several=1.0)),
        "held_out_tools": held_out_tool,
        **domains,
        "held_out_domain": lambda rng: domains[rng.choice(sorted(domains))](rng),
        "no_tool": from_pool(hand, shape=nothing),
        "no_tool_said": from_pool(trained, shape=nothing),
        **{kind: lambda rng, kind=kind: errand(rng, kind, hand, 1, test=True) for kind in errands.KINDS},
    }


def evaluation_names() -> tuple[str, ...]:
    return tuple(_evaluations())


def evaluation_set(name: str, n: int, seed: int = 0) -> list[dict[str, Any]]:
    """`n` items of a set: `{id, messages, tools, calls: [{name, arguments}]}`; calls may be empty.

    An errand has `schema` and `answer`, the JSON object wanted, instead of `tools` and `calls`.

    Its random stream is not the training one. InputError names the nearest set for an unknown name.
    """
    if name not in _evaluations():
        raise unknown("evaluation set", name, _evaluations())
    rng, items, seen = Random(f"evaluation/{name}/{seed}"), [], set()
    while len(items) < n:
        made = _evaluations()[name](rng)
        asked = [message for message in made["messages"] if message["role"] in ("system", "user")]
        answer = next((message for message in made["messages"] if message["role"] == "assistant"), None)
        if answer is None:  # a list of names that came out too short to ask about
            continue
        if (text := asked[-1]["content"]) in seen and len(seen) > len(items) // 2:
            continue  # the same words twice would count twice
        seen.add(text)
        item = {"id": f"{name}-{seed}-{len(items)}", "messages": asked, "tools": made["tools"]}
        if "schema" in made:
            item |= {"messages": asked[-1:], "schema": made["schema"], "answer": json.loads(answer["content"])}
        else:
            item["calls"] = [call["function"] for call in answer.get("tool_calls", [])]
        items.append(item)
    return items
