"""The benchmark suites by name: `bfcl`, `bfcl/simple_python`, `own/seen`; each is a module of this folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal

from slmkit import config
from slmkit.capability.scoring import Score
from slmkit.capability.suites.items import Item, rank
from slmkit.capability.suites.tools import NAME, fault
from slmkit.errors import InputError, unknown
from slmkit.records import Reply

SUITES = ("own", "errands", "bfcl", "acebench", "when2call", "api_bank", "nestful", "seal_tools", "toolalpaca")

# What the minis are trained on, as tools: all else is new to them. No tool of a public benchmark is.
ERRANDS = ("extract", "classify", "fill", "reason")
IN_SCHEMA = frozenset(
    {("own", "core_said"), ("own", "seen"), ("own", "no_tool"), *(("errands", errand) for errand in ERRANDS)}
)


def names() -> tuple[str, ...]:
    """Every suite."""
    return SUITES


def module(suite: str) -> ModuleType:
    """The module of a suite; raises InputError with the nearest name when there is none."""
    if suite not in SUITES:
        raise unknown("suite", suite, SUITES)
    return import_module(f"{__name__}.{suite}")


def categories(suite: str) -> tuple[str, ...]:
    """The categories of a suite, in its own order."""
    return module(suite).CATEGORIES


def metric(suite: str) -> str:
    """The name of a suite's metric, such as `ast` or `exact_match`."""
    return module(suite).METRIC


def licence(suite: str) -> str:
    """The licence of a suite's data."""
    return module(suite).LICENCE


def generated(suite: str) -> bool:
    """Whether a suite makes its items itself and needs no data folder."""
    return getattr(module(suite), "GENERATED", False)


def schema(suite: str, category: str) -> Literal["in", "out"]:
    """Whether the tools of a category are among those that the minis are trained on."""
    return "in" if (suite, category) in IN_SCHEMA else "out"


def resolve(spec: str) -> tuple[str, tuple[str, ...]]:
    """Suite and categories that `suite` or `suite/category` names; InputError has the nearest name."""
    suite, _, category = spec.partition("/")
    known = categories(suite)
    if category and category not in known:
        raise unknown(f"category of {suite}", category, known)
    return suite, (category,) if category else known


def load(spec: str, data: str | Path | None = None, limit: int = 0, seed: int = 0) -> list[Item]:
    """Items of `suite` or `suite/category`, at most `limit` a category (0: all), in the order of the source.

    A limit takes items by a hash of id and seed, not the first ones: the same everywhere, and a larger limit
    keeps what a smaller one has. Raises InputError for an unknown name, a data set that is not at hand, a
    broken file, and a tool whose schema is no JSON Schema.
    """
    if limit < 0:
        raise InputError(f"limit must be 0 (all) or more, not {limit}")
    suite, chosen = resolve(spec)
    folder = None if generated(suite) else config.dataset(suite, data)
    sampled: list[Item] = []
    for category in _at_hand(suite, chosen, folder, named="/" in spec):
        sampled += _sample(_checked(suite, category, folder, _state(folder)), limit, seed)
    return sampled


def score(item: Item, reply: Reply) -> Score:
    """The verdict on a reply by the metric of the item's suite."""
    return module(item.suite).score(item, reply)


def aggregate(items: Sequence[Item], replies: Sequence[Reply]) -> dict[str, float]:
    """Values of the source's metric for a set of items of one suite, such as F1; empty where it has none."""
    suites = {item.suite for item in items}
    if len(suites) > 1:
        raise InputError(f"aggregate one suite at a time, not {', '.join(sorted(suites))}")
    make = getattr(module(suites.pop()), "aggregate", None) if suites else None
    return make(items, replies) if make else {}


def _at_hand(suite: str, chosen: tuple[str, ...], folder: Path | None, named: bool) -> tuple[str, ...]:
    """The chosen categories; less those that a data folder may lack and does, unless asked for by name."""
    optional = set(getattr(module(suite), "OPTIONAL", ()))
    if folder is None or named or not optional:
        return chosen
    files = [path.name for path in folder.iterdir()]
    found = tuple(c for c in chosen if c not in optional or any(name.startswith(c) for name in files))
    if not found:
        wanted = ", ".join(chosen)
        raise InputError(f"{folder} holds none of {wanted}; get it with `slmkit data pull {suite}`")
    return found


def _state(folder: Path | None) -> tuple[tuple[str, int, int], ...]:
    """What tells that a data folder has changed: name, time and size of its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    return tuple((str(path), (stat := path.stat()).st_mtime_ns, stat.st_size) for path in files)


@lru_cache(maxsize=128)
def _checked(suite: str, category: str, folder: Path | None, state: tuple) -> list[Item]:
    """All items of a category, kept: a notebook asks for a few of each several times, and reading takes a while."""
    items = list(_items(suite, category, folder))
    _check(items)
    return items


def _items(suite: str, category: str, folder: Path | None) -> Iterator[Item]:
    """Items of a category; for a record that makes no sense, InputError names the last one that did."""
    last = "its start"
    try:
        for item in module(suite).load(folder, category):
            last = item.id
            yield item
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        problem = f"{type(error).__name__}: {error}"
        where = f"{folder}: {suite}/{category}: the record after {last}"
        raise InputError(f"{where} is not as expected ({problem})") from error


def _sample(items: list[Item], limit: int, seed: int) -> list[Item]:
    if not limit or limit >= len(items):
        return items
    order = sorted(range(len(items)), key=lambda index: (rank(seed, items[index].id), index))
    chosen = set(order[:limit])
    return [item for index, item in enumerate(items) if index in chosen]


def _check(items: Iterable[Item]) -> None:
    """Raise InputError for the first tool that could not be sent to a server."""
    for item in items:
        where = f"{item.meta.get('file', item.suite)}: {item.id}"
        for tool in item.tools:
            function = tool["function"]
            source = item.meta["names"].get(function["name"], function["name"])
            if not NAME.fullmatch(function["name"]):
                raise InputError(f"{where}: tool {source!r} needs a name of at most 64 letters, digits, _ and -")
            if problem := fault(function["parameters"]):
                raise InputError(f"{where}: tool {source!r} has no valid JSON Schema: {problem}")
