"""Right or wrong, and what kind of wrong: one reply against the calls that were wanted."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slmkit.records import Reply

ERRORS = (
    "invalid_syntax",
    "wrong_tool",
    "missing_argument",
    "extra_argument",
    "wrong_argument_type",
    "wrong_argument_value",
    "needless_call",
    "missed_call",
    "wrong_reply",  # right not to call, but the text decides wrongly
)

JSON_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Score:
    """The verdict on one reply; `error` is one of ERRORS, or None when the reply is correct."""

    correct: bool
    error: str | None = None
    detail: str = ""


CORRECT = Score(True)


def score_calls(gold: list[dict[str, Any]], reply: Reply, equal: Callable[[Any, Any], bool] | None = None) -> Score:
    """Exact match: `reply` makes the calls of `gold` (each `{name, arguments}`), in any order, and no others.

    `equal(wanted, given)` compares two argument values, by default as JSON. A miss is named by the first of:
    syntax, number of calls, tool, arguments of the call that comes closest.
    """
    equal = equal or same_json
    calls = decoded(reply)
    if calls is None:
        return _unreadable(reply)
    if len(calls) < len(gold):
        return Score(False, "missed_call", f"{len(calls)} of {len(gold)} calls made")
    if len(calls) > len(gold):
        return Score(False, "needless_call", f"{len(calls)} calls made, {len(gold)} wanted")
    wanted, given = _unmatched(gold, calls, equal)
    if not wanted:
        return CORRECT
    pairs = [(w, g) for w in wanted for g in given if w["name"] == g["name"]]
    if not pairs:
        tools = f"{', '.join(g['name'] for g in given)} instead of {', '.join(w['name'] for w in wanted)}"
        return Score(False, "wrong_tool", tools)
    closest = min((differences(w["arguments"], g["arguments"], equal) for w, g in pairs), key=len)
    return Score(False, *closest[0])


def score_no_call(reply: Reply) -> Score:
    """Right when `reply` calls nothing; an attempt that could not be parsed is a miss all the same."""
    calls = decoded(reply)
    if calls is None:
        return _unreadable(reply)
    return Score(False, "needless_call", ", ".join(call["name"] for call in calls)) if calls else CORRECT


def score_any_call(reply: Reply) -> Score:
    """Right when `reply` makes at least one call and each of its calls parses."""
    calls = decoded(reply)
    if calls is None:
        return _unreadable(reply)
    return CORRECT if calls else Score(False, "missed_call", "no call made")


def decoded(reply: Reply) -> list[dict[str, Any]] | None:
    """The calls of `reply` as `{name, arguments}`, arguments parsed; None when one of them does not parse."""
    if reply.error or reply.malformed:
        return None
    calls = [{"name": call.name, "arguments": call.parsed()} for call in reply.tool_calls]
    return None if any(call["arguments"] is None for call in calls) else calls


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: 1 equals 1.0, true is no number, strings and order are exact."""
    if JSON_TYPES.get(type(one)) != JSON_TYPES.get(type(other)):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def differences(
    wanted: dict[str, Any], given: dict[str, Any], equal: Callable[[Any, Any], bool] = same_json
) -> list[tuple[str, str]]:
    """How the arguments `given` differ from those `wanted`: (error, detail) each, in the order of ERRORS."""
    missing = [("missing_argument", name) for name in wanted if name not in given]
    extra = [("extra_argument", name) for name in given if name not in wanted]
    wrong = [
        (_wrong(value, given[name]), f"{name}: {reprlib.repr(given[name])} instead of {reprlib.repr(value)}")
        for name, value in wanted.items()
        if name in given and not equal(value, given[name])
    ]
    return missing + extra + sorted(wrong, key=lambda found: ERRORS.index(found[0]))


def _wrong(wanted: Any, given: Any) -> str:
    same_type = JSON_TYPES.get(type(wanted)) == JSON_TYPES.get(type(given))
    return "wrong_argument_value" if same_type else "wrong_argument_type"


def _unmatched(
    gold: list[dict[str, Any]], calls: list[dict[str, Any]], equal: Callable[[Any, Any], bool]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The calls of `gold` and of `calls` that remain when equal ones have been paired off."""
    wanted, given = [], list(calls)
    for call in gold:
        for index, other in enumerate(given):
            same = call["name"] == other["name"]
            if same and not differences(call["arguments"], other["arguments"], equal):
                del given[index]
                break
        else:
            wanted.append(call)
    return wanted, given


def _unreadable(reply: Reply) -> Score:
    if reply.error:
        return Score(False, "invalid_syntax", f"no reply: {reply.error}")
    broken = reply.malformed or [call.arguments for call in reply.tool_calls if call.parsed() is None]
    return Score(False, "invalid_syntax", reprlib.repr(broken[0]))
