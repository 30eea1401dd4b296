"""Whether a test asks what training has told: by the text of the request, by its phrasing, by tools and schemas."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slmkit.specialization.data import Row

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("text", "phrasing", "tool name", "schema")


class GateError(RuntimeError):
    """A gate is not passed: the result behind it is not to be believed. One line says why."""


def contamination(
    train: Sequence[Row],
    splits: Mapping[str, Sequence[Row]],
    same_tools: Collection[str] = (),
    new_phrasings: Collection[str] = (),
) -> pd.DataFrame:
    """A row a split and kind: n items, n that training holds too, one example; all zero, or GateError.

    Kinds: `text`, the request in normalized text; `tool name` and `schema` (parameters of two fields or more), for
    splits that are not in `same_tools`, so whose tools should be new; `phrasing`, the request with the values of the
    calls cut out, for splits in `new_phrasings`.
    """
    import pandas as pd

    known = {kind: {key for row in train for key in keys(row, kind)} for kind in KINDS}
    rows, worst = [], ""
    for split, items in splits.items():
        for kind in KINDS:
            if kind in ("tool name", "schema") and split in same_tools:
                continue
            if kind == "phrasing" and split not in new_phrasings:
                continue
            hits = [(row, key) for row in items for key in keys(row, kind) if key in known[kind]]
            n_hit = len({id(row) for row, _ in hits})
            example = hits[0][1][:120] if hits else ""
            rows.append({"split": split, "kind": kind, "n": len(items), "n_in_training": n_hit, "example": example})
            if hits and not worst:
                worst = f"{n_hit} of {len(items)} items of {split!r} share their {kind} with training, e.g. {example!r}"
    if worst:
        raise GateError(f"contamination: {worst}")
    return pd.DataFrame(rows, columns=["split", "kind", "n", "n_in_training", "example"])


def keys(row: Row, kind: str) -> Iterator[str]:
    """What a row has in common with another one of the same `kind` of contamination."""
    if kind == "text":
        yield normalized(asked(row))
    elif kind == "phrasing":
        yield phrasing(row)
    else:
        for tool in row.get("tools") or []:
            function = tool.get("function", tool)
            if kind == "tool name":
                yield re.sub(r"[\W_]+", "", function["name"]).lower()
            elif len((function.get("parameters") or {}).get("properties") or {}) > 1:
                yield json.dumps(function["parameters"], sort_keys=True, ensure_ascii=False)


def asked(row: Row) -> str:
    """All that the user says in a row."""
    return "\n".join(str(message.get("content") or "") for message in row["messages"] if message["role"] == "user")


def normalized(text: str) -> str:
    """Text in lower case and one form of each character, without punctuation; numbers stay."""
    return " ".join(re.findall(r"\w+", _plain(text)))


def phrasing(row: Row) -> str:
    """The request with each value that the answer's calls name replaced by `#`, normalized: how it is said."""
    text = asked(row)
    values = sorted({str(value) for value in _values(row)}, key=len, reverse=True)
    for value in filter(None, values):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", " \x00 ", text, flags=re.IGNORECASE)
    return " ".join("#" if part == "\x00" else part for part in re.findall(r"\w+|\x00", _plain(text)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _values(row: Row) -> Iterator[Any]:
    for call in row["messages"][-1].get("tool_calls") or []:
        arguments = call["function"]["arguments"]
        yield from _leaves(json.loads(arguments) if isinstance(arguments, str) else arguments)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif not isinstance(value, bool) and value is not None:
        yield value
