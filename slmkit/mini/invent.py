"""Tools without end: the catalogue's with their words swapped, and procedural ones of words and syllables.

Both teach that a request and its tool meet through shared words, whatever the words are.
"""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from slmkit.mini import values
from slmkit.mini.catalog import Arg, Tool, content_words
from slmkit.mini.offers import camel, language, other_options

_SLOTS = re.compile(r"(\{[\w.]+\})")
_KEPT = frozenset(("number", "numbers", "value", "list"))


def swapped(tool: Tool, rng: Random) -> Tool:
    """A hand-written tool; each word that its definition shares with its phrasings became a random word."""
    said = " ".join(_SLOTS.sub("", phrasing) for phrasing in tool.phrasings).lower()
    own = {
        word
        for text in (
            tool.name.replace("_", " "),
            tool.about,
            *(arg.name.replace("_", " ") for arg in tool.args),
        )
        for word in content_words(text)
    }
    verbs = language()["procedural"]["verbs"]
    new = {
        word: rng.choice(verbs) if rng.random() < 0.3 else values.draw("word", rng)
        for word in sorted(own - _KEPT)
        if len(word) > 2 and re.search(rf"\b{word}s?\b", said) and rng.random() < 0.8
    }
    if not new:
        return tool
    pattern = re.compile(
        r"(?<![A-Za-z])(" + "|".join(sorted(new, key=len, reverse=True)) + r")(?=s?(?![a-z]))", re.IGNORECASE
    )

    def swap(text: str) -> str:
        return pattern.sub(lambda found: new[found.group(1).lower()], text)

    names: dict[str, str] = {}
    for arg in tool.args:
        name = swap(arg.name.replace("_", " ")).replace(" ", "_")
        names[arg.name] = name + "x" * list(names.values()).count(name)
    tool = other_options(tool, rng, 0.6)
    args = tuple(replace(arg, names=(names[arg.name],), about=swap(arg.about)) for arg in tool.args)

    def slot(part: str) -> str:
        name, dot, field = part[1:-1].partition(".")
        return "{" + names[name] + dot + field + "}"

    phrasings = tuple(
        "".join(slot(part) if place % 2 else swap(part) for place, part in enumerate(_SLOTS.split(phrasing)))
        for phrasing in tool.phrasings
    )
    name = swap(tool.name.replace("_", " ")).replace(" ", "_")
    about = values.capital(swap(rng.choice((tool.about, *tool.also))))
    return Tool(f"swapped_{tool.domain}", name, about, args, phrasings)


def procedural(rng: Random) -> Tool:
    """A tool nobody has: a verb, a noun, one to four arguments of any kind, phrasings that name them."""
    blocks = language()["procedural"]
    verb = rng.choice(blocks["verbs"]) if rng.random() < 0.65 else values.draw("made", rng)
    noun = values.draw("word", rng)
    same = rng.choice(("num", "int", "word", "city")) if rng.random() < 0.2 else None  # several of one type in one call
    args: dict[str, Arg] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3) if same is None else (2, 3, 3, 4))):
        name = values.draw("word", rng) if rng.random() < 0.75 else values.draw("made", rng)
        if name in args or name == noun:
            continue
        kind = same or rng.choice(blocks["kinds"])
        options: tuple[str, ...] = ()
        if kind == "enum":
            options = tuple(dict.fromkeys(values.draw("word", rng) for _ in range(rng.choice((2, 3, 4)))))
        elif kind == "bool":
            options = (f"with {name}", f"without {name}")
        elif kind == "list":
            options = (rng.choice(blocks["list_of"]),)
        args[name] = Arg((name,), kind, options, required=not args or rng.random() < 0.75)
    phrasings = tuple(_phrasing(verb, noun, list(args.values()), rng) for _ in range(2))
    styles = (f"{verb}_{noun}", f"{verb}_{noun}", f"{noun}_{verb}", camel(f"{verb}_{noun}"), f"{noun}.{verb}")
    about = f"{values.capital(verb)} {rng.choice(('the ', 'a ', ''))}{noun}"
    return Tool("procedural", rng.choice(styles).replace(" ", "_"), about, tuple(args.values()), phrasings)


def _phrasing(verb: str, noun: str, args: list[Arg], rng: Random) -> str:
    blocks = language()["procedural"]
    text = rng.choice(blocks["heads"]).replace("{verb}", verb).replace("{noun}", noun)
    rng.shuffle(args)
    for index, arg in enumerate(args):
        slot = "{" + arg.name + "}"
        link = "$" if arg.kind == "bool" else rng.choice(blocks["links"]).replace("{arg}", arg.name)
        part = rng.choice((", ", ", ", " and ", ", and ") if index else (" ", ", ")) + link.replace("$", slot)
        text += part if arg.required else f"[{part}]"
    return text
