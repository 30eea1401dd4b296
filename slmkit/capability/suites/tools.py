"""Tools as a model is offered them: legal names, and parameters in JSON Schema Draft 2020-12.

Benchmarks name types in their own way (`dict`, `float`, `tuple`, `HashMap`, `str`); an OpenAI-compatible
server takes JSON Schema only, and function names of `[A-Za-z0-9_-]`, at most 64 of them. Nothing here changes
what it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Looked up in lower case, so `String`, `HashMap` and `Bigint` are found too. None: any value.
TYPES: dict[str, str | None] = {
    **dict.fromkeys(["string", "str", "char", "text", "enum", "url", "uri", "email"], "string"),
    **dict.fromkeys(["date", "time", "datetime", "timestamp", "file", "binary", "bytes"], "string"),
    **dict.fromkeys(["integer", "int", "long", "short", "byte", "bigint"], "integer"),
    **dict.fromkeys(["number", "float", "double", "decimal"], "number"),
    **dict.fromkeys(["boolean", "bool"], "boolean"),
    **dict.fromkeys(["array", "list", "tuple", "set", "arraylist", "queue", "stack"], "array"),
    **dict.fromkeys(["object", "dict", "dictionary", "map", "hashmap", "hashtable", "json"], "object"),
    **dict.fromkeys(["null", "none"], "null"),
    **dict.fromkeys(["any", ""], None),
}
# list(string), Array<String>, objectArray
LIST_OF = re.compile(r"(?:list|array)\s*[\[(<]\s*(\w+)\s*[\])>]|(\w+)array", re.IGNORECASE)
SUBSCHEMAS = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
NUMBER = int | float
VALUES = {"string": str, "integer": int, "number": NUMBER, "boolean": bool, "array": list, "object": dict}
DROPPED = ("optional",)  # not a keyword of JSON Schema, and what it says is in `required`


def legal_names(names: Iterable[str]) -> dict[str, str]:
    """Legal name -> name of the source, one legal name for each in order: dots and the like become `_`.

    Names that are legal stay as they are; a name that would collide gets a number. Looking a legal name up
    gives the source's name back.
    """
    given = list(names)
    taken = {name for name in given if NAME.fullmatch(name)}
    legal: dict[str, str] = {}
    for name in given:
        base = chosen = name if name in taken else re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"
        number = 1
        while chosen in legal or (chosen in taken and chosen != name):
            number += 1
            chosen = f"{base[: 63 - len(str(number))]}_{number}"
        legal[chosen] = name
    return legal


def _type(name: Any) -> tuple[Any, dict[str, Any]]:
    """JSON Schema type for a source's name of a type (None: any value), and what else the name says."""
    if not isinstance(name, str):
        return name, {}
    if name.lower() in TYPES:
        return TYPES[name.lower()], {}
    if found := LIST_OF.fullmatch(name):
        return "array", {"items": json_schema({"type": found[1] or found[2]})}
    return name, {}  # unknown: kept, so that the check of the schema names it


def _compiles(pattern: str) -> bool:
    """Whether the pattern is a regular expression here too: JavaScript takes `[\\w-.]`, Python does not."""
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _mend(schema: dict[str, Any]) -> None:
    """Bring keywords of OpenAPI 3.0 and of no standard at all into their place."""
    for key in ("exclusiveMinimum", "exclusiveMaximum", "required"):
        if isinstance(schema.get(key), bool):
            value = schema.pop(key)
            if key != "required" and value and (bound := key.replace("exclusiveM", "m")) in schema:
                schema[key] = schema.pop(bound)
    if not isinstance(schema.get("examples", []), list):
        schema["examples"] = [schema["examples"]]
    if isinstance(pattern := schema.get("pattern"), str) and not _compiles(pattern):
        schema["description"] = f"{schema.get('description', '')} Pattern: {schema.pop('pattern')}".strip()


def _enum(values: list[Any], kind: Any) -> list[Any]:
    """The values that the type admits; text that spells one ("3", "True") is taken at its word."""
    if not isinstance(kind, str) or kind not in VALUES:
        return values
    spelt = {"true": True, "false": False} if kind == "boolean" else {}
    admitted = []
    for value in values:
        if isinstance(value, str) and kind in ("integer", "number") and re.fullmatch(r"-?\d+(\.\d+)?", value):
            value = float(value) if "." in value else int(value)
        elif isinstance(value, str) and value.lower() in spelt:
            value = spelt[value.lower()]
        if isinstance(value, VALUES[kind]) and (kind == "boolean" or not isinstance(value, bool)):
            admitted.append(value)
    return admitted


def _properties(schema: dict[str, Any], properties: Mapping[str, Any]) -> None:
    """Convert the properties, and gather in `required` those that say of themselves that they are."""
    schema["properties"] = {name: json_schema(value) for name, value in properties.items()}
    required = schema.get("required")
    if required is None or isinstance(required, bool):
        required = [n for n, v in properties.items() if isinstance(v, Mapping) and v.get("required") is True]
        required = required or None
    if isinstance(required, list) and all(isinstance(name, str) for name in required):
        schema["required"] = list(dict.fromkeys(required))
        for name in schema["required"]:
            schema["properties"].setdefault(name, {})  # required but never described: any value


def json_schema(node: Any) -> Any:
    """The schema of a source as JSON Schema, in new objects; what is no schema is returned for the check.

    Beyond type names: `required: true` on a parameter moves to its parent; an `enum` keeps what its type
    admits, and one on an array is about the items; a required name without a schema gets the schema of any
    value; a pattern that does not compile moves to the description.
    """
    if not isinstance(node, Mapping):
        return node
    schema = {key: value for key, value in node.items() if key not in DROPPED}
    if "type" in schema:
        names = schema["type"]
        kind, more = _type(names) if not isinstance(names, list) else ([_type(n)[0] for n in names], {})
        schema = {**more, **schema, "type": kind}
        if kind is None or (isinstance(kind, list) and None in kind):
            del schema["type"]
    _mend(schema)
    for key in SUBSCHEMAS:
        if isinstance(schema.get(key), Mapping):
            schema[key] = json_schema(schema[key])
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(schema.get(key), list):
            schema[key] = [json_schema(part) for part in schema[key]]
    if isinstance(schema.get("properties"), Mapping):
        _properties(schema, schema["properties"])
    if isinstance(schema.get("enum"), list):
        values = schema.pop("enum")
        target = schema
        if schema.get("type") == "array" and not any(isinstance(value, list) for value in values):
            target = schema["items"] = dict(schema.get("items") or {})
        if admitted := _enum(values, target.get("type")):
            target["enum"] = admitted
    return schema


def parameters(node: Any) -> Any:
    """The schema of a whole call: always of type object, empty when the source gives none."""
    if not node:
        return {"type": "object", "properties": {}}
    if not isinstance(node, Mapping):
        return node
    return json_schema({"type": "object", "properties": {}, **node} | {"type": "object"})


def tool(name: str, description: str, schema: Any) -> dict[str, Any]:
    """A tool in OpenAI form; `schema` is the source's schema of the parameters."""
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters(schema)},
    }


def toolbox(functions: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Tools for functions {name, description, parameters}, and the map of their legal to original names."""
    functions = list(functions)
    names = legal_names(function["name"] for function in functions)
    made = [
        tool(legal, function.get("description", ""), function.get("parameters"))
        for legal, function in zip(names, functions, strict=True)
    ]
    return made, names


def _is_plain(node: Any) -> bool:
    """Whether only common keywords occur, each with a value of its kind: surely valid, and fast to see."""
    if not isinstance(node, dict):
        return False
    for key, value in node.items():
        if key == "type":
            plain = isinstance(value, str) and value in VALUES
        elif key in ("description", "format", "pattern", "title"):
            plain = isinstance(value, str)
        elif key == "properties":
            plain = isinstance(value, dict) and all(map(_is_plain, value.values()))
        elif key in ("items", "additionalProperties"):
            plain = _is_plain(value)
        elif key == "required":
            plain = isinstance(value, list) and all(isinstance(name, str) for name in value)
            plain = plain and len(set(value)) == len(value)
        elif key in ("minimum", "maximum"):
            plain = isinstance(value, NUMBER) and not isinstance(value, bool)
        elif key in ("minLength", "maxLength", "minItems", "maxItems"):
            plain = type(value) is int and value >= 0
        else:
            plain = key == "default" or (key == "enum" and isinstance(value, list))
        if not plain:
            return False
    return True


def fault(schema: Any) -> str | None:
    """What makes `schema` no JSON Schema of Draft 2020-12 for a call, in a few words; None when it is one."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "parameters must be a JSON Schema of type object"
    return None if _is_plain(schema) else _fault(json.dumps(schema, sort_keys=True))


@lru_cache(maxsize=8192)
def _fault(text: str) -> str | None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema, format_checker=None)  # formats cost 50 times the rest
    except SchemaError as error:
        return f"{error.message} at {'/'.join(map(str, error.absolute_path)) or 'its top'}"
    return None
