"""What can be seen of a reply before it is carried out: numbers, none of which needs to know the right answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from slmkit.agent.decision import Ask
from slmkit.agent.routing.grounding import heard, ungrounded
from slmkit.records import Reply

NAMES = (
    "mean_logprob",  # of a token, natural log; 0 where the model gives none
    "total_logprob",  # of the whole reply
    "invalid",  # 1 where the reply is no call of an offered tool with fitting arguments, and no words
    "ungrounded",  # arguments found nowhere in the conversation or the policy
    "is_call",  # 1 for a call, 0 for words
    "writes",  # 1 where the tool writes
    "irreversible",  # 1 where what it does cannot be undone
    "failures",  # tool errors so far in this task
    "repeats",  # 1 where this call was made before in this conversation, plus repeats so far
    "since_user",  # steps since the user last spoke
)
TROUBLE = 2  # tool errors, or repeated calls, from which on the large model takes over


def signals(reply: Reply, ask: Ask) -> dict[str, float]:
    """The numbers of `NAMES` for one reply to one question."""
    state = ask.state
    found = dict.fromkeys(NAMES, 0.0)
    if reply.logprob is not None and reply.usage.completion:
        found |= {"mean_logprob": reply.logprob / reply.usage.completion, "total_logprob": reply.logprob}
    found |= {"failures": float(state.failures), "since_user": float(state.since_user), "repeats": float(state.repeats)}
    found["invalid"] = float(not well_formed(reply, ask.tools))
    if reply.tool_calls:
        history = state.history or ask.messages
        known = heard(history) + heard([{"role": "system", "content": state.policy}])
        access = {state.access.get(call.name, "read") for call in reply.tool_calls}
        found |= {
            "is_call": 1.0,
            "writes": float(bool(access - {"read"})),
            "irreversible": float("irreversible" in access),
            "ungrounded": float(sum(len(_loose(call, ask.tools, known)) for call in reply.tool_calls)),
        }
        found["repeats"] += sum(_made_before(call, history) for call in reply.tool_calls)
    return found


def reasons(found: Mapping[str, float], rules: Sequence[str]) -> list[str]:
    """Which of the rules `invalid`, `ungrounded`, `irreversible`, `trouble` ask for the large model."""
    met = {
        "invalid": found["invalid"] > 0,
        "ungrounded": found["ungrounded"] > 0,
        "irreversible": found["irreversible"] > 0,
        "trouble": found["failures"] >= TROUBLE or found["repeats"] >= 1,
    }
    return [rule for rule in rules if met.get(rule)]


def well_formed(reply: Reply, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a reply is words, or calls of offered tools whose arguments fit their schema."""
    if reply.error or reply.malformed:
        return False
    if not reply.tool_calls:
        return bool(reply.content.strip())
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}
    return all(call.name in schemas and _fits(call.parsed(), schemas[call.name]) for call in reply.tool_calls)


def _fits(arguments: dict[str, Any] | None, schema: Mapping[str, Any]) -> bool:
    from jsonschema import Draft202012Validator

    return arguments is not None and Draft202012Validator(schema).is_valid(arguments)


def _loose(call: Any, tools: Sequence[Mapping[str, Any]], known: str) -> list[str]:
    schema = next((t["function"].get("parameters") for t in tools if t["function"]["name"] == call.name), None)
    return ungrounded(call.parsed() or {}, known, schema)


def _made_before(call: Any, history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the very same call stands in the conversation since the last word of the user."""
    wanted = (call.name, _normal(call.arguments))
    for message in reversed(history):
        if message["role"] == "user":
            return False
        for made in message.get("tool_calls") or ():
            if (made["function"]["name"], _normal(made["function"]["arguments"])) == wanted:
                return True
    return False


def _normal(arguments: Any) -> str:
    try:
        value = json.loads(arguments) if isinstance(arguments, str) else arguments
        return json.dumps(value, sort_keys=True)
    except (ValueError, RecursionError):
        return str(arguments)
