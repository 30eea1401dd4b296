"""Our own errands beside calls: the JSON object that a text, a template or a short list asks for.

Source: `slmkit.mini.errands`, in wordings that training never uses. Categories: `extract` (the fields of a text),
`classify` (one label of two to six), `fill` (a sentence with gaps), `reason` (a question about a short list). Metric:
exact match of the JSON object, 1 equal to 1.0. The items follow from the category and a fixed seed.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from pathlib import Path

from slmkit.capability.scoring import CORRECT, Score, differences
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.own import N_ITEMS, SEED
from slmkit.records import Reply

CATEGORIES = ("extract", "classify", "fill", "reason")
GENERATED = True  # no data folder needed
METRIC = "exact_match"
LICENCE = "Apache-2.0"


def load(folder: Path | None, category: str, n: int = N_ITEMS, seed: int = SEED) -> Iterator[Item]:
    """`n` generated items of one category; `folder` is not used."""
    from slmkit.mini.corpus import evaluation_set

    for entry in evaluation_set(category, n, seed):
        yield Item(
            suite="errands",
            category=category,
            id=str(entry["id"]),
            messages=entry["messages"],
            tools=[],
            wants="json",
            gold=entry["answer"],
            meta={"names": {}},
            schema=entry["schema"],
        )


def score(item: Item, reply: Reply) -> Score:
    """Correct when the reply is the JSON object that is wanted, and nothing else."""
    if reply.error:
        return Score(False, "invalid_syntax", f"no reply: {reply.error}")
    try:
        given = json.loads(reply.content)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        return Score(False, "invalid_syntax", reprlib.repr(reply.content))
    wrong = differences(item.gold, given)
    return Score(False, *wrong[0]) if wrong else CORRECT
