"""Is every argument of a call found in what was said? A value that stands nowhere was made up, or worked out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
          "november", "december")  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
           "twelve")  # fmt: skip


def heard(messages: Iterable[Mapping[str, Any]]) -> str:
    """All that was said to the model, as plain words: system, user and tools, its own calls and words left out."""
    return plain(" ".join(_text(message) for message in messages if message.get("role") != "assistant"))


def plain(text: str) -> str:
    """Lower case words and numbers with one space between and around, so that 14 is not found in 140."""
    kept = "".join(sign if sign.isalnum() or sign == "." else " " for sign in text.casefold())
    words = (word.strip(".") for word in kept.split())
    return f" {' '.join(word for word in words if word)} "


def ungrounded(arguments: Mapping[str, Any], known: str, schema: Mapping[str, Any] | None = None) -> list[str]:
    """Names of the arguments whose value stands nowhere in `known` (from `heard`).

    Booleans, empty values and members of an enumeration of `schema` count as grounded: they are choices, not copies.
    A list or an object is grounded where each of its leaves is.
    """
    properties = (schema or {}).get("properties", {})
    return [
        name
        for name, value in arguments.items()
        if any(not _found(leaf, known) for leaf in _leaves(value, properties.get(name, {})))
    ]


def _leaves(value: Any, schema: Any) -> Iterator[Any]:
    """The parts of a value that should have been copied from somewhere."""
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, Mapping):
        inner = schema.get("properties", {})
        for name, part in value.items():
            yield from _leaves(part, inner.get(name, {}))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _leaves(part, schema.get("items", {}))
    elif not (isinstance(value, bool) or value is None or value == "" or value in schema.get("enum", ())):
        yield value


def _found(value: Any, known: str) -> bool:
    if isinstance(value, int | float):
        return _number_found(value, known)
    text = plain(str(value))
    return text.strip() == "" or text in known or _date_found(str(value), known)


def _number_found(value: float, known: str) -> bool:
    if value != value or value in (float("inf"), float("-inf")):
        return False
    whole = float(value) == int(value)
    forms = {f"{value:g}", f"{value:.2f}", str(value)} | ({str(int(value))} if whole else set())
    if whole and 0 <= value < len(NUMBERS):
        forms.add(NUMBERS[int(value)])
    return any(f" {form} " in known for form in forms)


def _date_found(value: str, known: str) -> bool:
    """A day in ISO form, told as `14 March`, `March 14` or `14.3.`."""
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        return False
    month = MONTHS[day.month - 1]
    spoken = rf"\b0?{day.day}(st|nd|rd|th)?( of)? ({month}|{month[:3]})\b|\b({month}|{month[:3]}) 0?{day.day}\b"
    return bool(re.search(spoken, known)) or f" {day.day}.{day.month} " in known


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False) if content else ""
