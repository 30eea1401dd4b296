"""What a model is asked in a study, and how its answer is judged: calls by tools, or one JSON object in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import jsonschema

from slmkit.capability.scoring import decoded
from slmkit.models import Request
from slmkit.records import Reply, ToolCall
from slmkit.specialization import reward
from slmkit.specialization.data import Row

JSON_FORM = "Answer with one JSON object that says which function to use and with which arguments. Functions: "


def as_object(row: Row) -> dict[str, Any]:
    """The row in a format that no adapter is tuned on: functions told in words, one JSON object wanted as text."""
    functions = [tool["function"] for tool in row["tools"]]
    told = [f"{f['name']}({', '.join(f['parameters'].get('properties', {}))}): {f['description']}" for f in functions]
    schema = {
        "type": "object",
        "properties": {
            "function": {"type": "string", "enum": [f["name"] for f in functions]},
            "arguments": {"type": "object"},
        },
        "required": ["function", "arguments"],
    }
    system = {"role": "system", "content": JSON_FORM + "; ".join(told)}
    return {**row, "messages": [system, *row["messages"]], "offered": row["tools"], "tools": [], "schema": schema}


def with_examples(row: Row, pool: Sequence[Row], shots: int) -> dict[str, Any]:
    """The row after `shots` answered requests of `pool`, such as call only tools that the row offers too."""
    offered = {tool["function"]["name"] for tool in row["tools"]}
    examples: list[dict[str, Any]] = []
    for other in pool if shots else ():
        calls = other["messages"][-1].get("tool_calls") or []
        if calls and len(other["messages"]) == 2 and {call["function"]["name"] for call in calls} <= offered:
            examples += other["messages"]
            if len(examples) >= 2 * shots:
                break
    first = [message for message in row["messages"] if message["role"] == "system"]
    rest = [message for message in row["messages"] if message["role"] != "system"]
    return {**row, "messages": [*first, *examples, *rest]}


def request(row: Row) -> Request:
    """What the model is asked: the row without its answer."""
    return Request(list(row["messages"][:-1]), list(row["tools"]), row.get("schema"))


def judged(row: Row, reply: Reply) -> dict[str, Any]:
    """`correct`, `error` (kind of miss), `invalid` (undecodable, or no valid call of a tool on offer), `called`."""
    if row.get("schema") is not None:
        reply = _from_object(reply)
    score = reward.score(row, reply)
    return {
        "correct": score.correct,
        "error": score.error,
        "invalid": invalid(row, reply),
        "called": bool(reply.tool_calls or reply.malformed),
    }


def invalid(row: Row, reply: Reply) -> bool:
    """Whether a reply cannot be carried out as it is: no readable call where one was begun, or a schema broken.

    A refusal is readable. In the JSON form, whatever is no object with function and arguments is invalid.
    """
    calls = decoded(reply)
    if calls is None:
        return True
    offered = row.get("offered") or row["tools"]
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in offered}
    return any(
        call["name"] not in schemas
        or not jsonschema.Draft202012Validator(schemas[call["name"]]).is_valid(call["arguments"])
        for call in calls
    )


def _from_object(reply: Reply) -> Reply:
    """A reply in the JSON form as the call that it means; malformed where it means none."""
    try:
        said = json.loads(reply.content)
        call = ToolCall(name=said["function"], arguments=json.dumps(said["arguments"]))
    except (ValueError, KeyError, TypeError):
        return reply.model_copy(update={"tool_calls": [], "malformed": [reply.content or "nothing"]})
    return reply.model_copy(update={"tool_calls": [call], "malformed": []})
