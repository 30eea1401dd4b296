"""The tools of the corpus as data: read from `data/mini/corpus/`, split into training and held out.

A tool is either written by hand (a name, a description, phrasings with slots) or composed (a verb and a noun
from synonym sets, arguments with the words that introduce them).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from slmkit import config, files
from slmkit.errors import InputError

_SMALL_WORDS = frozenset(
    "a an and at by for from how in into is it its of on one or that the their to two what which with".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Arg:
    """One argument: its names (the first is canonical), what fills it, and the words that introduce it."""

    names: tuple[str, ...]
    kind: str  # a value pool, or `enum`, `bool`, `list`, `object`
    options: tuple[str, ...] = ()  # enum: values; bool: phrase if true, phrase if false; list: the pool of its items
    required: bool = True
    links: tuple[str, ...] = ()  # `$` stands for the value
    about: str = ""
    fields: tuple[Arg, ...] = ()  # of an object

    @property
    def name(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class Tool:
    """One tool of the catalogue; composed tools have verbs and nouns, hand-written ones have phrasings."""

    domain: str
    name: str
    about: str
    args: tuple[Arg, ...]
    phrasings: tuple[str, ...] = ()
    verb: str = ""
    nouns: tuple[str, ...] = ()
    also: tuple[str, ...] = ()  # the same description in other words
    test: tuple[str, ...] = ()  # phrasings that no training conversation holds

    def words(self) -> frozenset[str]:
        """Content words of name and description, for the near-duplicate check."""
        found = re.findall(r"[a-z]+", f"{self.name} {self.about} {' '.join(self.nouns)}".lower().replace("_", " "))
        return frozenset(word.removesuffix("s") for word in found) - _SMALL_WORDS


def content_words(noun: str) -> list[str]:
    """Words of a noun phrase that a tool's name keeps: `area of a triangle` gives area, triangle."""
    return [word for word in re.findall(r"[a-z0-9]+", noun.lower()) if word not in _SMALL_WORDS]


def _argument(name: str, spec: Any) -> Arg:
    """An argument from `NAME/ALIAS: [opt ]KIND[ OPTIONS][; LINK ...][ | ABOUT]`, or from the mapping of an object."""
    names = tuple(name.removesuffix("?").split("/"))
    names = (names[0].removesuffix("?"), *names[1:])
    if isinstance(spec, dict):
        fields = tuple(_argument(field, text) for field, text in spec.items())
        return Arg(names, "object", required="?" not in name, fields=fields)
    text, _, about = spec.partition(" | ")
    kind, *links = [part.strip() for part in text.split(";")]
    required = not kind.startswith("opt ")
    head, _, rest = kind.removeprefix("opt ").partition(" ")
    options = tuple(part.strip() for part in rest.split(",") if part)
    return Arg(names, head, options, required, tuple(links), about.strip())


def _tool(domain: str, row: dict[str, Any]) -> Tool:
    args = tuple(_argument(name, spec) for name, spec in (row["with"] or {}).items())
    if "say" in row:
        also, test = tuple(row.get("also", ())), tuple(row.get("test", ()))
        return Tool(domain, row["name"], row["about"], args, tuple(row["say"]), also=also, test=test)
    nouns = tuple(row["it"])
    name = row.get("as") or "_".join([row["do"], *content_words(nouns[0])])
    return Tool(domain, name, f"{row['do'].capitalize()} {nouns[0]}", args, verb=row["do"], nouns=nouns)


def folder() -> Path:
    return config.resource("data/mini/corpus")


@cache
def read(name: str) -> Any:
    """One data file of the corpus by name, e.g. `language`; InputError names it when it is not YAML."""
    return files.read_yaml(folder() / f"{name}.yaml")


@cache
def catalog() -> tuple[Tool, ...]:
    """Every tool, in the order of the files."""
    rows = []
    for path in sorted((folder() / "tools").glob("*.yaml")):
        for domain, tools in read(f"tools/{path.stem}").items():
            for row in tools if domain != "pools" else ():
                if isinstance(row, str):
                    continue  # a pool's name, in `integers` or `numbers`
                try:
                    rows.append(_tool(domain, row))
                except (KeyError, AttributeError, TypeError) as error:
                    raise InputError(f"{path}: domain {domain}: bad tool {row!r} ({error})") from None
    return tuple(rows)


@cache
def pools() -> dict[str, Any]:
    """Value pools of `values.yaml` and of the files of tools: `pools`, and which are `integers` and `numbers`."""
    found: dict[str, Any] = {"pools": {}, "integers": set(), "numbers": set()}
    for name in ("values", *(f"tools/{path.stem}" for path in sorted((folder() / "tools").glob("*.yaml")))):
        given = read(name)
        found["pools"] |= given.get("pools") or {}
        for kind in ("integers", "numbers"):
            found[kind] |= {pool for pool in given.get(kind) or () if isinstance(pool, str)}
    return found


@cache
def held_out_domains() -> tuple[str, ...]:
    return tuple(read("held_out")["domains"])


@cache
def held_out_tools() -> tuple[Tool, ...]:
    """Single tools that never enter training although their domain does."""
    names = set(read("held_out")["tools"])
    return tuple(tool for tool in catalog() if tool.name in names)


@cache
def domain(name: str) -> tuple[Tool, ...]:
    return tuple(tool for tool in catalog() if tool.domain == name)


@cache
def training_tools(composed: bool) -> tuple[Tool, ...]:
    """Tools of the training stream: hand-written (`composed=False`) or composed."""
    held = set(held_out_tools())
    return tuple(
        tool
        for tool in catalog()
        if tool.domain not in held_out_domains() and tool not in held and bool(tool.verb) == composed
    )


@cache
def core_tools() -> tuple[Tool, ...]:
    """Hand-written training tools of `core.yaml`: few, everyday, and learnt first."""
    return tuple(tool for tool in training_tools(False) if tool.domain in read("tools/core"))


def for_testing(tool: Tool) -> Tool:
    """The tool as evaluation asks for it: by phrasings (or frames, when composed) that training never uses."""
    return replace(tool, phrasings=tool.test or tool.phrasings, test=tool.test or ("frames",))


def near_duplicates(limit: float = 0.6) -> list[tuple[str, str, float]]:
    """(training tool, held-out tool, Jaccard overlap of content words) where that is at least `limit`."""
    held = [*held_out_tools(), *(tool for name in held_out_domains() for tool in domain(name))]
    pairs = []
    for tool in training_tools(False) + training_tools(True):
        for other in held:
            shared, all_words = tool.words() & other.words(), tool.words() | other.words()
            if tool.name == other.name or tool.about == other.about or len(shared) / len(all_words) >= limit:
                pairs.append((tool.name, other.name, len(shared) / len(all_words)))
    return pairs
