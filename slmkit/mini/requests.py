"""What a person says to have a tool called, and the call that answers it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from slmkit.mini import values
from slmkit.mini.catalog import Arg
from slmkit.mini.offers import Offer, language

Call = dict[str, Any]  # {"name": str, "arguments": dict}
_OPTIONAL = re.compile(r"\[([^\]]*)\]")
_SLOT = re.compile(r"\{([\w.]+)\}")


def ask(offer: Offer, rng: Random) -> tuple[str, Call]:
    """A request in words and the call that it wants, by the tool's own phrasings or composed ones."""
    text, given = _phrased(offer, rng) if offer.tool.phrasings else _composed(offer, rng)
    return text, {"name": offer.name, "arguments": _arguments(offer, offer.tool.args, given)}


def _arguments(offer: Offer, args: Iterable[Arg], given: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The given values under the names that the offer shows, in the order of the tool's arguments."""
    named = {}
    for arg in args:
        place = prefix + arg.name
        if arg.kind == "object" and (inner := _arguments(offer, arg.fields, given, f"{place}.")):
            named[offer.names[place]] = inner
        elif place in given:
            named[offer.names[place]] = given[place]
    return named


def _phrased(offer: Offer, rng: Random) -> tuple[str, dict[str, Any]]:
    """One of the tool's phrasings, each bracketed part said half of the time, one of the options in each choice."""
    phrasing = _OPTIONAL.sub(lambda part: part.group(1) if rng.random() < 0.5 else "", rng.choice(offer.tool.phrasings))
    phrasing = values.choose(phrasing, rng)
    given: dict[str, Any] = {}
    words: dict[str, str] = {}
    for place, arg in places(offer.tool.args):
        if f"{{{place}}}" in phrasing:
            given[place], words[place] = values.value(arg, rng)
    text = _SLOT.sub(lambda slot: words[slot.group(1)], phrasing)
    return decorate(text, rng), given


def places(args: Iterable[Arg], prefix: str = "") -> Iterator[tuple[str, Arg]]:
    """Every argument with its slot, `address.street` for the field of an object."""
    for arg in args:
        yield from places(arg.fields, f"{prefix}{arg.name}.") if arg.fields else [(prefix + arg.name, arg)]


def ask_in_part(offer: Offer, rng: Random) -> tuple[str, str]:
    """A request for a composed tool that leaves a required argument out, and the name of that argument."""
    missing = rng.choice([arg for arg in offer.tool.args if arg.required])
    return _composed(offer, rng, missing)[0], offer.names[missing.name]


def _composed(offer: Offer, rng: Random, missing: Arg | None = None) -> tuple[str, dict[str, Any]]:
    """A frame filled with verb, noun and the arguments, each behind one of the words that introduce it."""
    tool, lines = offer.tool, language()
    chosen = [arg for arg in tool.args if arg is not missing and (arg.required or rng.random() < 0.45)]
    if rng.random() < 0.35:
        rng.shuffle(chosen)
    given: dict[str, Any] = {}
    bare, linked = [], []
    for arg in chosen:
        given[arg.name], words = values.value(arg, rng)
        link = _link(arg, offer, rng)
        (bare if link == "$" and not bare else linked).append(link.replace("$", words))
    verb = rng.choice(lines["verbs"][tool.verb]) if rng.random() < 0.75 else tool.verb
    frames = lines["test_frames" if tool.test else "frames"]
    frames = frames["tell" if tool.verb in lines["informational"] and rng.random() < 0.75 else "do"]
    frame = rng.choice(frames)
    if bare and frame.startswith("{args}"):
        frame = frames[0]
    args = "".join(
        (rng.choice((" ", " ", " ", ", ", " and ")) if index else "") + part for index, part in enumerate(bare + linked)
    )
    text = (
        frame.replace("{verb}", verb)
        .replace("{a}", rng.choice(lines["articles"]))
        .replace("{noun}", rng.choice(tool.nouns))
    )
    text = re.sub(r"\s+", " ", text.replace("{args}", args)).replace(" ,", ",").replace(" ?", "?").strip(" ,")
    return decorate(text, rng, light=True), given


def _link(arg: Arg, offer: Offer, rng: Random) -> str:
    if arg.kind == "bool":
        return rng.choice(arg.links or ("$",))
    if rng.random() < 0.1 or not arg.links:
        shown = rng.choice((arg.name, rng.choice(arg.names), offer.names[arg.name]))
        return rng.choice(language()["spare_links"]).replace("{arg}", shown.replace("_", " "))
    return rng.choice(arg.links)


def decorate(text: str, rng: Random, light: bool = False) -> str:
    """A request as it is typed: an opener, a closer, a capital, sometimes a sentence of context before it."""
    lines = language()
    if rng.random() < (0.25 if light else 0.5):
        text = rng.choice(lines["openers"]) + text
    if text[-1] not in "?.!" and rng.random() < 0.4:
        text += rng.choice(lines["closers"])
    if rng.random() < 0.3 and text[0].islower():
        text = _capital_word(text)
    if rng.random() < 0.06:
        text = values.fill(rng.choice(lines["contexts"]), rng) + _capital_word(text)
    return text


def _capital_word(text: str) -> str:
    """Capitalise a request only where its first word is no part of a value: a file or address stays."""
    first = text.split(" ", 1)[0]
    return values.capital(text) if first.isalpha() and first in _starters() else text


def _starters() -> frozenset[str]:
    global _STARTERS
    if not _STARTERS:
        lines = language()
        texts = [
            *lines["openers"],
            *lines["frames"]["tell"],
            *lines["frames"]["do"],
            *(verb for verbs in lines["verbs"].values() for verb in verbs),
        ]
        _STARTERS = frozenset(text.split(" ", 1)[0].strip(",") for text in texts if text[0].islower())
    return _STARTERS


_STARTERS: frozenset[str] = frozenset()


def small_talk(rng: Random) -> str:
    """Something said that no tool answers."""
    return decorate(values.fill(rng.choice(language()["small_talk"]), rng), rng, light=True)


def several(offers: list[Offer], rng: Random, joins: str = "joins") -> tuple[str, list[Call]]:
    """One request that wants two or three calls, of the same tool or of different ones.

    `joins` names the words between its parts: `joins` for calls at once, `steps` for one after the other.
    """
    asked = [ask(offer, rng) for offer in offers]
    text = asked[0][0].rstrip(".!? ")
    for more, _ in asked[1:]:
        text += rng.choice(language()[joins]) + more
    return text, [call for _, call in asked]
