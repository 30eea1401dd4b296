"""Arguments against the schema of a tool, before any effect.

The tools of the built-in world use six keywords, which are checked here, closed to unknown names. A schema that uses
others (of an MCP server, say) goes to the package jsonschema, whose import takes seconds where all its formats are
installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KNOWN = {"type", "properties", "required", "enum", "items", "description", "title", "additionalProperties"}
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def mismatch(schema: Mapping[str, Any], value: Any) -> str:
    """The first way in which a value does not fit, in a few words; empty where it does."""
    return _plain(schema, value, "") if _simple(schema) else _full(schema, value)


def _simple(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    parts = [*(schema.get("properties") or {}).values(), *([schema["items"]] if "items" in schema else [])]
    known = set(schema) <= KNOWN and isinstance(schema.get("type"), str) and schema["type"] in TYPES
    return known and schema.get("additionalProperties", False) is False and all(map(_simple, parts))


def _plain(schema: Mapping[str, Any], value: Any, where: str) -> str:
    at, kind = (f"{where}: " if where else ""), schema["type"]
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    if not (isinstance(value, TYPES[kind]) or whole) or (isinstance(value, bool) and kind != "boolean"):
        return f"{at}must be of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{at}{str(value)[:40]!r} is none of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, list) and "items" in schema:
        return next((bad for item in value if (bad := _plain(schema["items"], item, where))), "")
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        for name in schema.get("required") or ():
            if name not in value:
                return f"{at}{name} is missing"
        for name, part in value.items():
            if name not in known:
                return f"{at}unknown argument {str(name)[:40]!r}"
            if bad := _plain(known[name], part, f"{where}.{name}".lstrip(".")):
                return bad
    return ""


def _full(schema: Mapping[str, Any], value: Any) -> str:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"the tool's own schema is broken ({error.message[:80]})"
    found = sorted(Draft202012Validator(schema).iter_errors(value), key=str)
    if not found:
        return ""
    where = ".".join(map(str, found[0].absolute_path))
    return (f"{where}: " if where else "") + found[0].message[:120]
