"""A tool as one prompt offers it: OpenAI-style JSON Schema, named as in the catalogue or renamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from slmkit.mini import values
from slmkit.mini.catalog import Arg, Tool, content_words, read

KIND_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a string",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


@dataclass(frozen=True)
class Offer:
    """A tool in one prompt: its standard `schema`, and what each canonical argument is called there.

    `names` holds the fields of an object too, as `address.street`.
    """

    tool: Tool
    schema: dict[str, Any]
    names: dict[str, str]

    @property
    def name(self) -> str:
        return self.schema["function"]["name"]


@cache
def language() -> dict[str, Any]:
    return read("language")


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(values.capital(part) for part in rest)


def renamed(name: str, rng: Random, keep: float = 0.45) -> str:
    """`name` as another author might have called it: kept, synonyms, camelCase, or a random string."""
    draw = rng.random()
    if draw < keep:
        return name
    if draw < keep + 0.12:
        return (
            rng.choice(("fn_", "f", "tool_", "", ""))
            + values.draw("made", rng)
            + rng.choice(("", "", str(rng.randint(1, 99))))
        )
    words = language()["words"]
    if name in words and rng.random() < 0.7:
        name = rng.choice(words[name])
    else:
        name = "_".join(
            rng.choice(words[part]) if part in words and rng.random() < 0.6 else part for part in name.split("_")
        )
    return camel(name) if rng.random() < 0.25 else name


def _unique(name: str, taken: set[str], rng: Random) -> str:
    while name in taken:
        name = f"{name}_{values.draw('made', rng)}"
    taken.add(name)
    return name


def _offer(
    tool: Tool,
    name: str,
    about: str,
    args: list[Arg],
    call_it: Callable[[Arg], str],
    describe: Callable[[Arg], str],
    rng: Random,
) -> Offer:
    names: dict[str, str] = {}

    def schema_of(arg: Arg, place: str) -> dict[str, Any]:
        schema = {"type": values.json_type(arg.kind), "description": describe(arg)}
        if arg.kind == "enum":
            schema["enum"] = list(arg.options)
        if arg.kind == "list":
            schema["items"] = {"type": values.json_type(arg.options[0])}
        return schema | (object_of(arg.fields, f"{place}.") if arg.fields else {})

    def object_of(fields: Iterable[Arg], prefix: str) -> dict[str, Any]:
        taken: set[str] = set()
        properties, required = {}, []
        for arg in fields:
            names[prefix + arg.name] = shown = _unique(call_it(arg), taken, rng)
            properties[shown] = schema_of(arg, prefix + arg.name)
            required += [shown] if arg.required else []
        return {"type": "object", "properties": properties, "required": required}

    function = {"name": name, "description": about, "parameters": object_of(args, "")}
    return Offer(tool, {"type": "function", "function": function}, names)


def other_options(tool: Tool, rng: Random, share: float) -> Tool:
    """The tool with the options of its enums replaced by random words, in a `share` of the cases."""
    return replace(
        tool,
        args=tuple(
            replace(arg, options=tuple(dict.fromkeys(values.draw("word", rng) for _ in arg.options)))
            if arg.kind == "enum" and rng.random() < share
            else arg
            for arg in tool.args
        ),
    )


def plain(tool: Tool, rng: Random) -> Offer:
    """The tool as the catalogue has it."""
    return _offer(tool, tool.name, tool.about, list(tool.args), lambda arg: arg.name, _own_words, rng)


def _own_words(arg: Arg) -> str:
    return arg.about or arg.name.replace("_", " ")


def reworded(tool: Tool, rng: Random) -> Offer:
    """The tool under its own name, described by any of its descriptions, its arguments by any of their names."""
    about = rng.choice((tool.about, *tool.also))
    return _offer(tool, tool.name, about, list(tool.args), lambda arg: rng.choice(arg.names), _own_words, rng)


def disguised(tool: Tool, rng: Random, verbose: bool = False) -> Offer:
    """The tool and its arguments under other names; described in one of its ways, or at length when `verbose`."""
    tool, name = other_options(tool, rng, 0.3), renamed(tool.name, rng)
    if rng.random() < 0.12:
        name = tool.domain + rng.choice((".", "_")) + name
    about = rng.choice((tool.about, tool.about, *tool.also))
    if verbose and not tool.also:
        about = _long_about(tool, about[0].lower() + about[1:], rng)
    bare = rng.random() < 0.25  # an author who does not describe arguments

    def describe(arg: Arg) -> str:
        if verbose and not (arg.about and rng.random() < 0.5):
            return _long_argument(tool, arg, rng)
        return arg.name.replace("_", " ") if bare else _own_words(arg)

    def call_it(arg: Arg) -> str:
        return renamed(rng.choice(arg.names), rng, keep=0.6)

    return _offer(tool, name, about, list(tool.args), call_it, describe, rng)


def composed(tool: Tool, rng: Random, verbose: bool = False) -> Offer:
    """A composed tool under one of its many names, described and its arguments named by synonym sets."""
    tool = other_options(tool, rng, 0.4)
    verb = rng.choice(language()["verbs"][tool.verb]) if rng.random() < 0.5 else tool.verb
    verb, core = verb.replace(" ", "_"), content_words(rng.choice(tool.nouns))
    styles = (
        [verb, *core],
        [verb, *core],
        [verb, *core],
        [*core, verb],
        core,
        [verb, core[-1]],
        [verb, *core],
    )
    name = "_".join(rng.choice(styles))
    name = camel(name) if rng.random() < 0.2 else name
    if rng.random() < 0.18:
        name = tool.domain + rng.choice((".", ".", "_")) + name
    if rng.random() < 0.12:  # only the description tells what it does
        odd = ("{made}{1..99}", "{word}_{word}", "{made}_{work}", "fn_{made}", "{thing}.{work}")
        name = values.fill(rng.choice(odd), rng)
    args = list(tool.args)
    if rng.random() < 0.3:
        rng.shuffle(args)

    def call_it(arg: Arg) -> str:
        given = rng.choice(arg.names) if rng.random() < 0.6 else arg.name
        if rng.random() < 0.04:
            return values.draw("made", rng)
        return camel(given) if rng.random() < 0.08 else given

    def describe(arg: Arg) -> str:
        if verbose:
            return _long_argument(tool, arg, rng)
        if arg.kind == "bool" and rng.random() < 0.5:
            return arg.options[0]
        return _say(rng.choice(language()["describe"]["argument_short"]), tool, arg, rng)

    verb_words = rng.choice(language()["verbs"][tool.verb]) if rng.random() < 0.5 else tool.verb
    if verbose:
        about = _long_about(tool, f"{verb_words} {_article(rng)}{rng.choice(tool.nouns)}", rng)
    else:
        about = _say(rng.choice(language()["describe"]["short"]), tool, rng.choice(tool.args), rng, verb_words)
        about = about if rng.random() < 0.97 else ""
    return _offer(tool, name, about, args, call_it, describe, rng)


def _article(rng: Random) -> str:
    return rng.choice(("", "", "the ", "a "))


def _say(pattern: str, tool: Tool, arg: Arg, rng: Random, verb: str = "") -> str:
    """A description pattern of `language.yaml` filled for one tool and argument."""
    nouns = tool.nouns or (tool.name.replace("_", " "),)
    words = {
        "verb": verb,
        "a": _article(rng),
        "noun": rng.choice(nouns),
        "noun2": rng.choice(nouns),
        "arg": arg.name.replace("_", " "),
        "alias": rng.choice(arg.names).replace("_", " "),
        "kind": KIND_WORDS[values.json_type(arg.kind)],
        "domain": tool.domain.replace("_", " "),
    }
    for name, word in words.items():
        pattern = pattern.replace(f"{{{name}}}", word).replace(f"{{{values.capital(name)}}}", values.capital(word))
    return values.fill(pattern, rng)


def _long_about(tool: Tool, clause: str, rng: Random) -> str:
    listing = " and ".join(f"the {arg.names[-1].replace('_', ' ')}" for arg in tool.args) or "nothing"
    pattern = (
        rng.choice(language()["describe"]["long"])
        .replace("{Verb} {a}{noun}", values.capital(clause))
        .replace("{verb} {a}{noun}", clause)
    )
    arg = tool.args[0] if tool.args else Arg(("value",), "word")
    return _say(pattern.replace("{listing}", listing), tool, arg, rng)


def _long_argument(tool: Tool, arg: Arg, rng: Random) -> str:
    text = _say(rng.choice(language()["describe"]["argument_long"]), tool, arg, rng)
    if arg.kind == "bool":
        text += f" True means {arg.options[0]}."
    return text if arg.required else text + rng.choice(language()["describe"]["optional_note"])
