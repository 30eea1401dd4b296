"""What a specialist is made for: a task gives rows to train on, to choose by and to test with, kept apart.

A generated task is a held-out domain of the mini corpus. Its tools never enter pre-training, and each split asks by
phrasings of its own: the last two of `say` choose the checkpoint, the others train, with those of
`data/specialization/phrasings.yaml`, and those of `test` are for tests alone. A task of real data keeps apart what its
source keeps apart: services, splits or trajectories. A row is `{"id", "messages", "tools"}` in OpenAI shapes; its last
message is the answer wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from slmkit import config, files
from slmkit.errors import InputError, unknown
from slmkit.mini import catalog, corpus, offers, requests
from slmkit.mini.catalog import Arg, Tool
from slmkit.specialization.data import Row
from slmkit.specialization.rows import as_text, call_of, no_call

SPLITS = ("train", "validation", "test", "no_call")  # no_call: requests that no tool on offer fits, for tests
REAL = ("sgd", "seal_tools", "tau")
CHOOSING = 2  # phrasings a tool that choose the checkpoint and train nothing
REFUSALS = 0.15  # share of the training rows that want no call
NEIGHBOURS = 0.4  # share of these that ask for a tool of the domain which is not on offer
SMALL_TALK = 0.12  # in training alone: there are too few ways to chat to keep some apart
OFFERED = (2, 4)  # tools on offer in a row
ADDED = Arg(("urgency",), "enum", ("low", "normal", "high"), required=False, about="how urgent it is")
ADDED_WORDS = (" with {urgency} urgency", ", {urgency} urgency", " (urgency {urgency})")

Rows = Callable[[str, int, int], list[Row]]


@dataclass(frozen=True)
class Task:
    """A task by name; `says` tells a reader what it is, with source and licence.

    `changed` is the same task after its schema got a new field, where the source can make one.
    """

    name: str
    says: str
    licence: str
    make: Rows
    changed: Rows | None = None

    def rows(self, split: str, n: int, seed: int = 0) -> list[Row]:
        """`n` rows of a split; the same arguments give the same rows, and a larger `n` begins with those of a smaller.

        InputError for an unknown split, and where the source has fewer rows.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return self._whole(self.make(split, n, seed), split, n)

    def rows_after_change(self, split: str, n: int, seed: int = 0) -> list[Row]:
        """Rows after one field was added to every tool; those of before where the source is fixed."""
        return self._whole((self.changed or self.make)(split, n, seed), split, n)

    def _whole(self, rows: list[Row], split: str, n: int) -> list[Row]:
        if len(rows) < n:
            raise InputError(f"task {self.name}: {n} rows of split {split} asked for, it has {len(rows)}; ask for less")
        return rows


def names() -> tuple[str, ...]:
    """Every task: held-out domains first, then real data."""
    return (*catalog.held_out_domains(), *REAL)


def get(name: str, data: str | Path | None = None) -> Task:
    """A task by name; InputError with the nearest name, or with the command that gets missing data."""
    if name not in names():
        raise unknown("task", name, names())
    if name in REAL:
        source = import_module(f"slmkit.specialization.sources.{name}")
        folder = config.dataset(source.DATASET, data)
        return Task(name, source.SAYS, source.LICENCE, lambda split, n, seed: source.rows(folder, split, n, seed))
    says = f"domain {name} of our own corpus, {len(catalog.domain(name))} tools that pre-training never shows"
    return Task(
        name,
        says,
        "Apache-2.0",
        lambda split, n, seed: domain_rows(name, split, n, seed),
        lambda split, n, seed: domain_rows(name, split, n, seed, with_field),
    )


def domain_rows(
    name: str, split: str, n: int, seed: int, change: Callable[[Tool], Tool] = lambda tool: tool
) -> list[Row]:
    """Rows of a held-out domain: single calls, and in training some requests that want none."""
    own = [change(phrased(tool, split)) for tool in catalog.domain(name)]
    strangers = [phrased(tool, "test" if split == "no_call" else split) for tool in catalog.core_tools()]
    rng, made, seen = Random(f"task/{name}/{split}/{seed}"), [], set()
    while len(made) < n:
        refused = split == "no_call" or (split in ("train", "validation") and rng.random() < REFUSALS)
        row = _row(rng, own, strangers, not refused, small_talk=split == "train")
        asked = row["messages"][-2]["content"]
        if asked in seen and len(seen) > len(made) // 2:
            continue  # the same words twice would count twice
        seen.add(asked)
        made.append({"id": f"{name}-{split}-{seed}-{len(made)}", **row})
    return made


@cache
def _more() -> dict[str, list[str]]:
    """By tool, phrasings that train specialists beside those of the corpus."""
    return files.read_yaml(config.resource("data/specialization/phrasings.yaml"))


def phrased(tool: Tool, split: str) -> Tool:
    """The tool with the phrasings of one split."""
    train = (*tool.phrasings[:-CHOOSING], *_more().get(tool.name, ()))
    said = {"train": train, "validation": tool.phrasings[-CHOOSING:]}
    return replace(tool, phrasings=said.get(split, tool.test or tool.phrasings))


def with_field(tool: Tool) -> Tool:
    """The tool after its schema got one more field, which half of the requests mention."""
    said = tuple(f"{text}[{ADDED_WORDS[place % 3]}]" for place, text in enumerate(tool.phrasings))
    return replace(tool, args=(*tool.args, ADDED), phrasings=said)


def _row(rng: Random, own: Sequence[Tool], strangers: Sequence[Tool], call: bool, small_talk: bool) -> dict[str, Any]:
    """One request over some of the domain's tools; a stranger's, a missing neighbour's or small talk without `call`."""
    chosen = rng.sample(list(own), min(len(own), rng.randint(*OFFERED)))
    views = [offers.plain(tool, rng) for tool in chosen]
    if call:
        text, wanted = requests.ask(rng.choice(views), rng)
        answer = call_of(wanted["name"], wanted["arguments"])
    else:
        near, answer = [tool for tool in own if tool not in chosen], no_call()
        asked = rng.choice(near if near and rng.random() < NEIGHBOURS else strangers)
        text = requests.ask(offers.plain(asked, rng), rng)[0]
        if small_talk and rng.random() < SMALL_TALK:
            text = requests.small_talk(rng)
    return {"messages": [{"role": "user", "content": text}, answer], "tools": [view.schema for view in views]}


def general(name: str, n: int, seed: int = 0) -> list[Row]:
    """`n` rows of a general skill, an evaluation set of the mini corpus such as `core_said` or `no_tool`."""
    found = []
    for item in corpus.evaluation_set(name, n, 31 + seed):
        calls = [{"type": "function", "function": call} for call in item["calls"]]
        answer = {"role": "assistant", "content": "", "tool_calls": calls} if calls else no_call()
        found.append({"id": item["id"], "tools": item["tools"], "messages": [*item["messages"], as_text(answer)]})
    return found
