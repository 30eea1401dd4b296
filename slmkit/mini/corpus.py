"""Conversations with tools, without end: the training stream and the evaluation sets of the mini models.

A conversation has `tools` (OpenAI-style) and `messages`: one to eight tools, one to eight requests, of which
a quarter and more want no call. What is held out (`held_out.yaml`) is offered in evaluation sets only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from random import Random
from typing import Any

from slmkit.errors import unknown
from slmkit.mini import catalog, invent, offers
from slmkit.mini.catalog import Tool
from slmkit.mini.conversation import Conversation, Shape, sample, talk, turn, without_a_tool

EASY = Shape((1, 1), (3, 8), no_call=0.3, several=0.0, verbose=0.0)
SHAPES = (
    Shape((1, 3), (4, 9)),
    Shape((1, 5), (3, 9)),
    Shape((2, 5), (3, 8)),
    Shape((1, 1), (3, 8), no_call=0.45),  # whether one tool fits is the easiest form of the question
    Shape((3, 8), (2, 6)),
)
TWINS = 0.2  # share of conversations told again without a tool that they call: same words, other answers
SINGLE = Shape((1, 5), (1, 1), no_call=0.0, several=0.0, verbose=0.0)


def stream(seed: int | str, easy: bool = False) -> Iterator[Conversation]:
    """Training conversations without end; the same seed gives the same stream."""
    rng = Random(f"train/{seed}/{easy}")
    while True:
        made = conversation(rng, EASY if easy else rng.choice(SHAPES))
        yield made
        if not easy and rng.random() < TWINS and (twin := without_a_tool(made, rng)):
            yield twin


def conversation(rng: Random, shape: Shape) -> Conversation:
    """One training conversation: composed, procedural, or hand-written tools (renamed, or word-swapped)."""
    draw, verbose = rng.random(), rng.random() < shape.verbose
    if draw < 0.25:
        pool: Sequence[Tool] = catalog.training_tools(True)
        return talk(rng, shape, pool, lambda tool: offers.composed(tool, rng, verbose))
    if draw < 0.40:
        return talk(
            rng,
            shape,
            [invent.procedural(rng) for _ in range(shape.tools[1] + 2)],
            lambda tool: offers.plain(tool, rng),
        )
    hand = catalog.training_tools(False)
    if draw < 0.52:
        hand = tuple(invent.swapped(tool, rng) for tool in sample(hand, shape.tools[1] + 3, rng))
    keep = rng.random() < 0.6
    return talk(
        rng,
        shape,
        hand,
        lambda tool: offers.plain(tool, rng) if keep and not verbose else offers.disguised(tool, rng, verbose),
    )


@cache
def _evaluations() -> dict[str, Callable[[Random], tuple[Conversation, bool]]]:
    """Name of an evaluation set -> how one of its conversations is made, and whether a call is wanted."""
    hand, held = catalog.training_tools(False), catalog.held_out_tools()

    def from_pool(
        pool: Sequence[Tool], rename: bool = False, shape: Shape = SINGLE
    ) -> Callable[[Random], Conversation]:
        return lambda rng: talk(
            rng, shape, pool, lambda tool: (offers.disguised if rename else offers.plain)(tool, rng)
        )

    def held_out_tool(rng: Random) -> Conversation:
        wanted = offers.plain(rng.choice(held), rng)
        others = [tool for tool in sample(hand, rng.randint(1, 5), rng) if tool.name != wanted.tool.name][
            : rng.randint(0, 4)
        ]
        views = [wanted, *(offers.plain(tool, rng) for tool in others)]
        asked = turn(rng, SINGLE, [wanted], hand, lambda tool: offers.plain(tool, rng))
        rng.shuffle(views)
        return {"tools": [offer.schema for offer in views], "messages": asked}

    domains = {name: from_pool(catalog.domain(name)) for name in catalog.held_out_domains()}
    nothing = Shape((1, 5), (1, 1), no_call=1.0)
    composed = catalog.training_tools(True)
    makers = {
        "seen": from_pool(hand),
        "renamed": from_pool(hand, rename=True),
        "composed": lambda rng: talk(rng, SINGLE, composed, lambda tool: offers.composed(tool, rng)),
        "procedural": lambda rng: talk(
            rng, SINGLE, [invent.procedural(rng) for _ in range(5)], lambda tool: offers.plain(tool, rng)
        ),
        "several": from_pool(hand, shape=Shape((1, 5), (1, 1), no_call=0.0, several=1.0)),
        "held_out_tools": held_out_tool,
        **domains,
        "held_out_domain": lambda rng: domains[rng.choice(sorted(domains))](rng),
        "no_tool": from_pool(hand, shape=nothing),
    }
    return makers


def evaluation_names() -> tuple[str, ...]:
    return tuple(_evaluations())


def evaluation_set(name: str, n: int, seed: int = 0) -> list[dict[str, Any]]:
    """`n` items of a set: `{id, messages, tools, calls: [{name, arguments}]}`; calls may be empty.

    Its random stream is not the training one. InputError names the nearest set for an unknown name.
    """
    if name not in _evaluations():
        raise unknown("evaluation set", name, _evaluations())
    rng, items, seen = Random(f"evaluation/{name}/{seed}"), [], set()
    while len(items) < n:
        made = _evaluations()[name](rng)
        asked = [message for message in made["messages"] if message["role"] in ("system", "user")]
        answer = next(message for message in made["messages"] if message["role"] == "assistant")
        if (text := asked[-1]["content"]) in seen and len(seen) > len(items) // 2:
            continue  # the same words twice would count twice
        seen.add(text)
        wanted = [call["function"] for call in answer.get("tool_calls", [])]
        items.append({"id": f"{name}-{seed}-{len(items)}", "messages": asked, "tools": made["tools"], "calls": wanted})
    return items
