"""A call in Java or JavaScript source, e.g. `Point.move(x=1, tags=new String[]{"a", "b"})`, as BFCL reads it.

Each named argument is kept as source text, in the form in which the official decoder leaves it: a string
loses its quotes; Java array and object creations are written anew (with the body of an anonymous class
dropped), other Java expressions lose their spaces, JavaScript stays as written. The official decoder parses
the whole language; here only brackets, quotes, commas and type arguments are understood, which is what calls
with literal arguments are made of.
"""

from __future__ import annotations

import re
from typing import Any

from slmkit.capability.bfcl_literals import unquoted
from slmkit.capability.bfcl_values import Language

TEXT = r""" "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | `(?:\\.|[^`\\])*` """
TYPE_ARGUMENTS = r"(?<=[\w$])<[\w\s$.,?&<>\[\]]*>"
REST = r"[\w$]+ | \s+ | ."
TOKEN = {
    "java": re.compile(f"{TEXT} | {TYPE_ARGUMENTS} | {REST}", re.VERBOSE | re.DOTALL),
    "javascript": re.compile(f"{TEXT} | {REST}", re.VERBOSE | re.DOTALL),
}
NAME = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
FUNCTION = re.compile(r"[\w$]+(?:\.[\w$]+)*")
# A chain that ends in a call, each pair of brackets emptied: `Paths.get()`, `"a".trim()`, `new A().b()`.
INVOCATION = re.compile(r'(?:""|\(\)|[\w$]+(?:<[^()]*>)?)?(?:\(\)|\[\]|\{\}|\.[\w$]+)*(?<=[\w$])\(\)')
CLOSING = {"(": ")", "[": "]", "{": "}"}
NO_NAMES = {"java": ("true", "false", "null", "this"), "javascript": ("false", "null", "undefined", "this")}

Tokens = list[str]


def parse_call(source: str, language: Language) -> list[dict[str, dict[Any, str]]]:
    """The one call in `source`, as `[{function: {argument: text}}]`; SyntaxError when there is not just one.

    An unnamed argument that is a bare name comes under the key None, other unnamed ones are dropped.
    """
    tokens = TOKEN[language].findall(source)
    if "(" not in tokens or any(token in ("'", '"', "`") for token in tokens):
        raise SyntaxError("no call, or an open quote")
    opened = tokens.index("(")
    closed = _closing(tokens, opened)
    function = "".join(tokens[:opened]).strip()
    if not FUNCTION.fullmatch(function) or "".join(tokens[closed + 1 :]).strip() not in ("", ";"):
        raise SyntaxError("not just one call")
    arguments: dict[Any, str] = {}
    for piece in _split(tokens[opened + 1 : closed]):
        if (argument := _argument(piece, language)) is None:
            continue
        if argument[0] in arguments:
            raise SyntaxError(f"argument {argument[0]} given twice")
        arguments[argument[0]] = argument[1]
    return [{function: arguments}]


def _argument(piece: Tokens, language: Language) -> tuple[str | None, str] | None:
    words = [token for token in piece if not token.isspace()]
    named = len(words) > 2 and words[1] == "=" and words[2] not in ("=", ">")
    if named and NAME.fullmatch(words[0]):
        value = piece[piece.index("=") + 1 :]
        text = _java_text(value) if language == "java" else unquoted("".join(value).strip())
        return words[0], text
    if len(words) == 1 and NAME.fullmatch(words[0]) and words[0] not in NO_NAMES[language]:
        return None, words[0]
    return None


def _java_text(tokens: Tokens, nested: bool = False) -> str:
    words = [token for token in tokens if not token.isspace()]
    if len(words) == 1 and words[0][0] in "'\"":
        return words[0] if nested else words[0][1:-1]
    if words[:1] == ["new"] and (text := _creation(tokens)) is not None:
        return text
    if INVOCATION.fullmatch(_shape(words)):
        return "".join(tokens).strip()
    return "".join(words)


def _creation(tokens: Tokens) -> str | None:
    """`new T(...)` or `new T[]{...}` written anew; None when more than that follows."""
    opened = next((at for at, token in enumerate(tokens) if token in CLOSING), None)
    if opened is None:
        raise SyntaxError("new of nothing")
    made = re.sub(r"\s", "", "".join(tokens[:opened]).strip().removeprefix("new"))
    if tokens[opened] == "(":
        closed = _closing(tokens, opened)
        if "".join(tokens[closed + 1 :]).strip()[:1] not in ("", "{"):
            return None
        arguments = ", ".join(_java_text(piece, True) for piece in _split(tokens[opened + 1 : closed]))
        return f"new {made}({arguments})"
    if "{" not in tokens:
        raise SyntaxError("an array without elements cannot be decoded")
    opened = tokens.index("{")
    closed = _closing(tokens, opened)
    elements = ",".join(_java_text(piece, True) for piece in _split(tokens[opened + 1 : closed]))
    return f"new {made}[]{{{elements}}}"


def _shape(words: Tokens) -> str:
    """The words with strings and the contents of brackets left out."""
    shape, at = [], 0
    while at < len(words):
        word = words[at]
        if word in CLOSING:
            at = _closing(words, at)
            word += CLOSING[word]
        shape.append('""' if word[0] in "'\"" else word)
        at += 1
    return "".join(shape)


def _closing(tokens: Tokens, opened: int) -> int:
    """Where the bracket at `opened` closes; SyntaxError where it does not."""
    expected: Tokens = []
    for at in range(opened, len(tokens)):
        if tokens[at] in CLOSING:
            expected.append(CLOSING[tokens[at]])
        elif tokens[at] in CLOSING.values() and expected.pop() != tokens[at]:
            raise SyntaxError("crossed brackets")
        if not expected:
            return at
    raise SyntaxError("an open bracket")


def _split(tokens: Tokens) -> list[Tokens]:
    """The pieces between the commas that stand in no bracket; empty ones are left out."""
    pieces: list[Tokens] = [[]]
    at = 0
    while at < len(tokens):
        stop = _closing(tokens, at) if tokens[at] in CLOSING else at
        if tokens[at] == ",":
            pieces.append([])
        else:
            pieces[-1] += tokens[at : stop + 1]
        at = stop + 1
    return [piece for piece in pieces if any(not token.isspace() for token in piece)]
