"""Values that fill arguments: names, cities, dates, numbers, text, drawn from the pools of `values.yaml`."""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import Any

from slmkit.mini import catalog

_BRACES = re.compile(r"\{([^{}]+)\}")
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
_GAP = re.compile(r" +( |[,.?])")  # more than one space, or one before a stop
_RANGE = re.compile(r"(\d+)(?:\.(\d+))?\.\.(\d+)(?:\.(\d+))?$")
JSON_TYPES = {"enum": "string", "bool": "boolean", "list": "array", "object": "object"}


@cache
def _pools() -> dict[str, list[str]]:
    return {name: [str(item) for item in items] for name, items in catalog.pools()["pools"].items()}


@cache
def _number_words() -> list[str]:
    return catalog.read("language")["number_words"]


@cache
def json_type(kind: str) -> str:
    """JSON Schema type of a pool or kind: `integer`, `number`, `string`, `boolean`, `array` or `object`."""
    values = catalog.pools()
    if kind in values["integers"]:
        return "integer"
    return "number" if kind in values["numbers"] else JSON_TYPES.get(kind, "string")


@cache
def _parts(template: str) -> list[str]:
    return _BRACES.split(template)  # text, braces, text, braces, ..., text


def draw(pool: str, rng: Random) -> str:
    """One value of a pool as people would write it."""
    return fill(rng.choice(_pools()[pool]), rng)


def fill(template: str, rng: Random) -> str:
    """`template` with every `{...}` replaced by a drawn value, range or choice."""
    parts = _parts(template)
    if len(parts) == 1:
        return template
    return "".join(_brace(part, rng) if index % 2 else part for index, part in enumerate(parts))


def _brace(inside: str, rng: Random) -> str:
    if inside[0] == '"':  # a JSON object, not a slot
        return f"{{{inside}}}"
    if "|" in inside:
        return rng.choice(inside.split("|"))
    if match := _RANGE.match(inside):
        low, low_part, high, high_part = match.groups()
        if low_part is None:
            return str(rng.randint(int(low), int(high))).zfill(len(low) if low[0] == "0" else 1)
        places = len(low_part)
        number = rng.randint(int(low + low_part), int(high + (high_part or "")))
        return f"{number / 10**places:.{places}f}"
    if inside[0].isupper():
        name = inside.lower()
        return capital(draw(name, rng)) if name in _pools() else inside
    return draw(inside, rng)


def choose(phrasing: str, rng: Random) -> str:
    """`phrasing` with one option of each `{this|that|}`; slots stay, and an empty option leaves no gap."""
    chosen = _CHOICE.sub(lambda options: rng.choice(options.group(1).split("|")), phrasing)
    return phrasing if chosen == phrasing else _GAP.sub(r"\1", chosen).strip()


def capital(text: str) -> str:
    """`text` with its first letter upper-case, the rest left alone."""
    return text[:1].upper() + text[1:]


def value(arg: catalog.Arg, rng: Random) -> tuple[Any, str]:
    """A JSON value for an argument and the words that a person uses for it."""
    if arg.kind == "enum":
        choice = rng.choice(arg.options)
        return choice, choice
    if arg.kind == "bool":
        truth = rng.random() < 0.5
        return truth, arg.options[0 if truth else 1]
    if arg.kind == "list":
        pairs = [_single(arg.options[0], rng) for _ in range(rng.choice((2, 2, 3, 3, 4)))]
        texts = [text for _, text in pairs]
        return [item for item, _ in pairs], ", ".join(texts[:-1]) + rng.choice((" and ", " and ", ", ")) + texts[-1]
    return _single(arg.kind, rng)


def _single(pool: str, rng: Random) -> tuple[Any, str]:
    text = draw(pool, rng)
    kind = json_type(pool)
    if kind == "string":
        return text, text
    number = float(text) if "." in text else int(text)
    if kind == "integer" and 0 < number < len(_number_words()) and rng.random() < 0.06:
        return number, _number_words()[number]
    return number, str(number)
