"""Our own conversations, made by the generator that also makes the training data of the minis.

Source: `slmkit.mini.corpus`. Categories, from near to far: the core tools in wordings of the training set, with new
values (`core_said`); all tools seen in training, in wordings that training never uses (`seen`); the same tools under
other names (`renamed`); tools made up from random words (`procedural`); tools of seen domains that training never
shows (`held_out_tools`); domains that it never shows (`held_out_domain`); and requests that no tool fits (`no_tool`).
Metric: exact match of the calls, in any order, values as JSON (1 equals 1.0); no call where none fits. The items
follow from the category and a fixed seed, so every model gets the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from slmkit.capability.scoring import Score, score_calls, score_no_call
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.tools import legal_names
from slmkit.records import Reply

CATEGORIES = ("core_said", "seen", "renamed", "procedural", "held_out_tools", "held_out_domain", "no_tool")
GENERATED = True  # no data folder needed
METRIC = "exact_match"
LICENCE = "Apache-2.0"
N_ITEMS = 1_000
SEED = 20_260_101  # far from the seeds of training


def load(folder: Path | None, category: str, n: int = N_ITEMS, seed: int = SEED) -> Iterator[Item]:
    """`n` generated items of one category; `folder` is not used."""
    from slmkit.mini.corpus import evaluation_set

    for entry in evaluation_set(category, n, seed):
        functions = [tool["function"] for tool in entry["tools"]]
        names = legal_names(function["name"] for function in functions)  # renamed tools may have dots
        legal = {source: name for name, source in names.items()}
        offered = [{**function, "name": legal[function["name"]]} for function in functions]
        yield Item(
            suite="own",
            category=category,
            id=str(entry["id"]),
            messages=entry["messages"],
            tools=[{"type": "function", "function": function} for function in offered],
            wants="call" if entry["calls"] else "no_call",
            gold=[{"name": legal[c["name"]], "arguments": c["arguments"]} for c in entry["calls"]],
            meta={"names": names},
        )


def score(item: Item, reply: Reply) -> Score:
    """Correct when exactly the wanted calls are made, or none where none is wanted."""
    return score_calls(item.gold, reply) if item.wants == "call" else score_no_call(reply)
