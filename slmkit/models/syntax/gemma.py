"""Gemma's own syntax of arguments, at every depth: `key:<|"|>text<|"|>,list:[1,2],inner:{a:true}`."""

from __future__ import annotations

import json
from typing import Any

from slmkit.models.syntax.spelling import ARRAY, OBJECT, QUOTE, STRING, Speller


class GemmaSpeller(Speller):
    """Writes arguments of any depth without JSON; see `Speller`."""

    def _value(self, schema: dict) -> str:
        if "$ref" in schema:
            return self._reference(schema)
        if "enum" in schema or "const" in schema:
            return self._either([self._text(self._spelt(value)) for value in self._choices(schema)])
        kind = schema.get("type")
        if kind in ("boolean", "null"):
            return self._either(['"true"', '"false"'] if kind == "boolean" else ['"null"'])
        if kind == "string":
            return f"{self._text(QUOTE)} {self._free(schema, QUOTE)}"
        return self._as_json(schema) if kind in ("integer", "number") else self._composite(schema)

    def _composite(self, schema: dict) -> str:
        """Arrays, objects and alternatives, which Gemma writes in a syntax of its own at every depth."""
        kind = schema.get("type")
        if kind == "object" and "properties" in schema:
            return self._named(f'"{{" {self._members(schema)} "}}"')
        if kind == "array":
            return self._list(schema, ",")
        others = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(kind, list):
            others = [{**schema, "type": one} for one in kind]
        if others:
            self._report(schema, {*STRING, *ARRAY, *OBJECT, "anyOf", "oneOf", "minimum", "maximum"})
            return self._either([self._value(other if isinstance(other, dict) else {}) for other in others])
        self._left_out.append("a value of no single type")
        return self._anything()

    def _anything(self) -> str:
        if "any" not in self._references:
            self._references["any"] = name = f"{self.rule}_any"
            key = r"/[A-Za-z_][A-Za-z0-9_]*:/"
            text = f"{self._text(QUOTE)} {self._free({}, QUOTE)}"
            number, _ = self._json({"type": "number"}, True)
            self.rules.append(f"{name}_number: %json {number}")
            self.rules.append(
                f'{name}: {text} | {name}_number | "true" | "false" | "null" | "[" ({name} ("," {name})*)? "]" '
                f'| "{{" ({key} {name} ("," {key} {name})*)? "}}"'
            )
        return self._references["any"]

    def _reference(self, schema: dict) -> str:
        """The rule of what a `$ref` names, which may name itself again."""
        key = schema["$ref"]
        if key not in self._references:
            self._references[key] = name = f"{self.rule}_ref{len(self._references)}"
            found = self._resolved(schema)
            body = self._anything() if "$ref" in found else self._value(found)
            self.rules.append(f"{name}: {body}")
        return self._references[key]

    def _spelt(self, value: Any) -> str:
        if isinstance(value, str):
            return QUOTE + value + QUOTE
        if isinstance(value, list):
            return "[" + ",".join(map(self._spelt, value)) + "]"
        if isinstance(value, dict):
            return "{" + ",".join(f"{self._key(key)}:{self._spelt(one)}" for key, one in value.items()) + "}"
        return json.dumps(value)
