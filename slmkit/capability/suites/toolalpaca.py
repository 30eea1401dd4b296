"""ToolAlpaca: instructions to APIs that are documented in OpenAPI.

Source: Tang et al. 2023, "ToolAlpaca: Generalized Tool Learning for Language Models with 3000 Simulated
Cases" (arXiv:2306.05301). The source lets a model run its steps against a simulated API and has GPT-4 judge
process and final answer against the golden calls, so its figures cannot be had without a judge.

Different here: one reply, judged call by call against the golden ones. Wanted are all golden calls that need
no earlier result; a golden call with a `${... from ...}` argument, one marked `[Optional]`, and one whose
input cannot be read may come along but need not. Other placeholders (`${start date}`) take any value, and an
empty string is the same as leaving the argument out. `getDetails` of the golden answers is the source's own
tool for asking the user: it is on offer, with any question, and where it is all that is wanted, a question in
words is as good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slmkit.capability.scoring import Score, decoded, differences, score_calls
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.source import entries
from slmkit.capability.suites.tools import toolbox
from slmkit.files import either
from slmkit.records import Reply, ToolCall

CATEGORIES = ("eval_simulated", "eval_real")
OPTIONAL = CATEGORIES
METRIC = "call_match"
LICENCE = "Apache-2.0"
ASK = {
    "name": "getDetails",
    "description": "Ask the user for what the request leaves open and a call needs.",
    "parameters": {
        "type": "object",
        "properties": {"Question": {"type": "string", "description": "The question to the user."}},
        "required": ["Question"],
    },
}
FIELDS = (
    "Name",
    "Documentation",
    "Function_Description",
    "Function_Projection",
    "Instructions",
    "Golden_Answers",
)
OPEN = re.compile(r'"?\$\{([^},"]*)\}?"?')  # ${start date}, also where its brace or a quote is missing
ANY, LATER = "${}", "${from}"


def _resolved(node: Any, document: dict[str, Any], depth: int = 0) -> Any:
    """The node with its `$ref` replaced by what they point to; a chain of more than 8 ends in any value."""
    if isinstance(node, list):
        return [_resolved(item, document, depth) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        return _resolved(target, document, depth + 1) if depth < 8 else {}
    return {key: _resolved(value, document, depth) for key, value in node.items()}


def _operation(document: dict[str, Any], name: str, place: list[str]) -> dict[str, Any]:
    """The OpenAPI operation of a function: at its path and method, or else by its operationId."""
    path, method = place
    paths = {key: item for key, item in document.get("paths", {}).items() if isinstance(item, dict)}
    if operation := paths.get(path, {}).get(method.lower()):
        return _resolved(operation, document)
    operations = [operation for item in paths.values() for operation in item.values()]
    named = (op for op in operations if isinstance(op, dict) and op.get("operationId") == name)
    return _resolved(next(named, {}), document)


def functions(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The functions of an API as {name, description, parameters}; path, query and body side by side."""
    document = json.loads(entry["Documentation"])
    made = []
    for name, place in entry["Function_Projection"].items():
        operation = _operation(document, name, place)
        properties, required = {}, []
        for parameter in operation.get("parameters", []):
            inline = {key: parameter[key] for key in ("type", "items", "enum") if key in parameter}
            schema = parameter.get("schema") or inline
            properties[parameter["name"]] = {"description": parameter.get("description", ""), **schema}
            required += [parameter["name"]] if parameter.get("required") is True else []
        for content in (operation.get("requestBody") or {}).get("content", {}).values():
            body = content.get("schema") or {}
            properties.update(body.get("properties") or {})
            required += [field for field in body.get("required") or [] if isinstance(field, str)]
            break
        text = entry["Function_Description"].get(name, operation.get("summary", ""))
        schema = {"type": "object", "properties": properties, "required": required}
        made.append({"name": name, "description": text.split("\nParameters:")[0], "parameters": schema})
    return made


def golden(answer: dict[str, Any]) -> dict[str, Any]:
    """A golden step as {name, arguments, needed}; a placeholder becomes ANY, unreadable input None."""
    name = answer["Action"].removeprefix("[Optional]").strip()
    text = OPEN.sub(lambda m: json.dumps(LATER if " from " in m[1] else ANY), answer["Action_Input"] or "{}")
    arguments = ToolCall(name=name, arguments=text).parsed()
    if arguments is None:
        return {"name": name, "arguments": None, "needed": False}
    needed = name == answer["Action"] and LATER not in arguments.values()
    for key, value in arguments.items():
        if isinstance(value, str) and (value == LATER or re.fullmatch(r"\{.*\}", value)):
            arguments[key] = ANY
    return {"name": name, "arguments": arguments, "needed": needed}


def load(folder: Path, category: str) -> Iterator[Item]:
    """One item for each instruction to an API."""
    path = either(folder, f"{category}.jsonl")
    for entry in entries(path, *FIELDS):
        made, names = toolbox([*functions(entry), ASK])
        legal = {source: name for name, source in names.items()}
        pairs = zip(entry["Instructions"], entry["Golden_Answers"], strict=True)
        for number, (request, answers) in enumerate(pairs):
            steps = [golden(answer) for answer in answers]
            yield Item(
                suite="toolalpaca",
                category=category,
                id=f"{entry['Name']}#{number}",
                messages=[{"role": "user", "content": request}],
                tools=made,
                wants="call",
                gold=[{**step, "name": legal.get(step["name"], step["name"])} for step in steps],
                meta={"names": names, "asks": legal["getDetails"], "file": str(path)},
            )


def same(wanted: Any, given: Any) -> bool:
    """Whether a golden argument takes `given`: a placeholder anything, text without case and outer blanks."""
    if isinstance(wanted, str) and isinstance(given, str):
        return wanted == ANY or wanted.strip().casefold() == given.strip().casefold()
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(map(same, wanted, given))
    if isinstance(wanted, dict) and isinstance(given, dict):
        return wanted.keys() == given.keys() and all(same(value, given[key]) for key, value in wanted.items())
    return wanted == ANY or (wanted == given and isinstance(wanted, bool) == isinstance(given, bool))


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value != ""}


def _asking(step: dict[str, Any], ask: str) -> dict[str, Any]:
    """The step with what it was given; any question will do."""
    if step["name"] == ask:
        return {**step, "arguments": {"Question": ANY}}
    return {**step, "arguments": _given(step["arguments"])} if step["arguments"] else step


def _fits(step: dict[str, Any], call: dict[str, Any]) -> bool:
    return step["arguments"] is None or not differences(step["arguments"], call["arguments"], same)


def score(item: Item, reply: Reply) -> Score:
    """Correct when every golden call that can be made now is made, and nothing that is not golden."""
    ask, calls = item.meta["asks"], decoded(reply)
    wanted = [_asking(step, ask) for step in item.gold if step["needed"]]
    if calls == [] and {step["name"] for step in wanted} == {ask} and "?" in reply.content:
        return Score(True)
    if not calls:
        return score_calls(wanted or item.gold, reply, same)
    calls = [{**call, "arguments": _given(call["arguments"])} for call in calls]
    for step in (_asking(step, ask) for step in item.gold if not step["needed"]):
        fitting = (call for call in calls if call["name"] == step["name"] and _fits(step, call))
        if len(calls) > len(wanted) and (call := next(fitting, None)):
            calls.remove(call)
    made = [ToolCall(name=call["name"], arguments=json.dumps(call["arguments"])) for call in calls]
    return score_calls(wanted, reply.model_copy(update={"tool_calls": made}), same)
