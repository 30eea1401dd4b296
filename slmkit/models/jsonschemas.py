"""JSON Schemas as they are told to a model and to llguidance."""

from __future__ import annotations

from typing import Any

# The form that models are trained on: `{"a": 1, "b": [1, 2]}`, no other blanks.
SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
ANY_OBJECT = {"x-guidance": SPACING, "type": "object"}

_ANNOTATIONS = ("title", "description", "default", "examples")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_PARTS = ("allOf", "if", "then", "else", "not")  # each says something about an object that others describe too
_BESIDE = (*_PARTS, "anyOf", "oneOf", "$ref", "patternProperties")


def parameters(function: dict) -> dict:
    """The schema of a tool's arguments; a tool that names none takes none."""
    schema = function.get("parameters") or {}
    if schema.get("properties") or any(key in schema for key in (*_BESIDE, "additionalProperties")):
        return schema
    return {**schema, "properties": {}, "additionalProperties": False}


def attempts(schema: dict, value: bool = False) -> list[dict]:
    """Schemas to try in turn with llguidance: all of it, what it knows of it, any object (any `value`)."""
    strict = closed(schema) if value else {"type": "object", **closed(schema)}
    lenient = {"x-guidance": {**SPACING, "lenient": True}, **strict}
    return [{"x-guidance": SPACING, **strict}, lenient, {"x-guidance": SPACING} if value else ANY_OBJECT]


def closed(schema: Any, part: bool = False) -> Any:
    """The schema with no room for unnamed properties: an object that names some allows only those.

    Annotations (title, description, default, examples) are dropped, since they constrain nothing. An object that
    is described in parts (allOf, conditions, or alternatives beside its properties) stays open.
    """
    if isinstance(schema, list):
        return [closed(item, part) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            result[key] = {name: closed(item) for name, item in value.items()}
        elif key in ("enum", "const"):
            result[key] = value
        elif key not in _ANNOTATIONS:
            result[key] = closed(value, part=key in _PARTS or (key in _BESIDE and "properties" in schema))
    if result.get("properties") and not part and not any(key in result for key in _BESIDE):
        result.setdefault("additionalProperties", False)
    return result
