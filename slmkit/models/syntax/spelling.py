"""Arguments that are not written as JSON: grammar rules for Python calls, tagged values and Gemma's own syntax.

`python` (LFM2) is `key='text', other=3`, `parameters` (Qwen 3.5) and `pairs` (GLM) put a value between tags as text,
`gemma` is `key:<|"|>text<|"|>,other:3`. Arguments come in the schema's order; required ones cannot be left out.
Types, enums, required, bounds of numbers, lengths, arrays and nested objects are enforced. Where a value of a tag or
of a Python call is no plain string, it is JSON, and all is enforced that llguidance knows.

What is not enforced is told in `Speller.note`: most formats of a string that nothing quotes, and its pattern unless
it is a plain one from ^ to $; conditions between arguments; names that cannot be written. A string between tags (and
Gemma's) holds no `<` but before a blank, a digit or `=`, since nothing escapes a tag; one of bounded length holds none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from slmkit.models.syntax.tagged import untagged

PLAIN = {"title", "description", "default", "examples", "type", "$schema", "$id", "$comment", "deprecated", "nullable"}
OBJECT = {"properties", "required", "additionalProperties", "$defs", "definitions"}
STRING = {"minLength", "maxLength", "enum", "const"}
ARRAY = {"items", "minItems", "maxItems"}
_KEYS = {"python": r"[^\W\d][\w-]*", "parameters": r"""[^>\s"'<]+""", "pairs": r"""[^<\s"']+""", "gemma": '[^<>"]+'}
_ATOM = r"(?:[A-Za-z0-9_ \-:,@#]|\\[d.]|\[[A-Za-z0-9_\-]+\])(?:[+*?]|\{\d+(?:,\d*)?\})?"
_PATTERN = re.compile(rf"\^((?:{_ATOM})+)\$")
_LONG, _SHORT = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])", "(0[469]|11)-(0[1-9]|[12][0-9]|30)"
_FORMATS = {
    "date": f"[0-9]{{4}}-({_LONG}|{_SHORT}|02-(0[1-9]|1[0-9]|2[0-8]))",  # 29 February cannot be said
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
QUOTE = '<|"|>'


class Speller:
    """Writes the rules of one tool's arguments; `note` says what they do not enforce."""

    def __init__(
        self, syntax: str, rule: str, text: Callable[[str], str], schema: Callable[[dict, bool], tuple[str, str]]
    ) -> None:
        """`text` turns a literal into Lark, `schema` a JSON Schema of a value into what llguidance takes of it."""
        self.syntax, self.rule, self._text, self._json = syntax, rule, text, schema
        self.rules: list[str] = []
        self._left_out: list[str] = []
        self._definitions: dict[str, Any] = {}
        self._references: dict[str, str] = {}

    @property
    def note(self) -> str:
        """What is not enforced; empty where everything is."""
        reasons = "; ".join(dict.fromkeys(self._left_out))
        return f"schema not enforced in full ({reasons})" if reasons else ""

    def arguments(self, schema: dict) -> list[str]:
        """The rules for an object of this schema, without what stands around it; the first has the given name."""
        self._definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        schema = self._resolved(schema)
        if not isinstance(schema.get("properties", {}), dict) or ("properties" not in schema and len(schema) > 1):
            self._left_out.append("no arguments named")
            schema = {}
        body = self._members(schema, top=True)
        return [f"{self.rule}: {body}", *self.rules]

    def _members(self, schema: dict, top: bool = False) -> str:
        """Lark of an object's members in the schema's order."""
        self._report(schema, OBJECT)
        required = [*schema.get("required", ())]
        members = []
        for key, value in schema.get("properties", {}).items():
            if re.fullmatch(_KEYS[self.syntax], key):
                members.append((key in required, self._member(key, value if isinstance(value, dict) else {})))
            else:
                self._left_out.append(f"{key!r} cannot be written as the name of an argument")
        self._left_out += [f"{key!r} is required but not described" for key in required
                           if key not in schema.get("properties", {})]  # fmt: skip
        if self.syntax in ("parameters", "pairs"):
            return " ".join(member if needed else f"({member})?" for needed, member in members) or '""'
        comma = json.dumps(", " if self.syntax == "python" else ",")
        later, first = '""', '""'  # what may follow a member, and what may stand first
        for needed, member in reversed(members):
            name = self._named(member)
            first = self._named(f"{name} {later}" if needed else f"{name} {later} | {first}")
            later = self._named(f"{comma} {name} {later}" if needed else f"{comma} {name} {later} | {later}")
        return first

    def _member(self, key: str, schema: dict) -> str:
        if self.syntax == "python":
            return f"{self._text(key + '=')} {self._value(schema)}"
        if self.syntax == "gemma":
            return f"{self._text(self._key(key) + ':')} {self._value(schema)}"
        if self.syntax == "parameters":
            opens, closes = f"<parameter={key}>\n", "\n</parameter>\n"
        else:
            opens, closes = f"<arg_key>{key}</arg_key>\n<arg_value>", "</arg_value>\n"
        return f"{self._text(opens)} {self._tagged(schema, closes)}"

    def _key(self, key: str) -> str:
        return key if re.fullmatch(r"""[^\s{}\[\]:,"<]+""", key) else QUOTE + key + QUOTE

    def _tagged(self, schema: dict, closes: str) -> str:
        """A value as text, with the tag that closes it."""
        end = self._text(closes)
        if "enum" in schema or "const" in schema:
            is_string = schema.get("type") == "string"
            written = [
                value
                if isinstance(value, str) and (is_string or untagged(value, {}) == value)
                else json.dumps(value, ensure_ascii=False)
                for value in self._choices(schema)
            ]
            return f"{self._either([self._text(text) for text in written])} {end}"
        if schema.get("type") == "string":
            return self._free(schema, closes)
        if schema.get("type") in ("boolean", "null"):
            words = ("true", "false", "True", "False") if schema["type"] == "boolean" else ("null", "None")
            return f"{self._either([json.dumps(word) for word in words])} {end}"
        return f"{self._as_json(schema)} {end}"

    def _free(self, schema: dict, closes: str) -> str:
        """A string that nothing quotes, up to `closes`: one regular expression, or blanks would be taken for text."""
        pattern = self._pattern(schema)
        self._report(schema, STRING | ({"pattern", "format"} if pattern else set()))
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        anything = "[^<]" if self.syntax != "pairs" else r"[^<\n]"  # a newline next to a tag is no part of the value
        if pattern:
            body = pattern
        elif least or most is not None:
            body = f"{anything}{{{least},{'' if most is None else most}}}"
        else:
            body = r"([^<]|<[\s0-9=])*"
        tail = self._text(closes)
        if "<[" in tail:  # special tokens end the text by themselves
            head = closes[: len(closes) - len(closes.lstrip("\n"))]
            return f"/{body}{_escaped(head)}/ {self._text(closes[len(head) :])}"
        return f"/{body}{_escaped(closes)}/"

    def _pattern(self, schema: dict) -> str:
        """The regular expression that a string has to match as a whole; empty where there is none that serves."""
        if {"minLength", "maxLength"} & set(schema) or {"pattern", "format"} <= set(schema):
            return ""
        plain = _PATTERN.fullmatch(str(schema.get("pattern", "")))
        return plain[1].replace("\\d", "[0-9]") if plain else _FORMATS.get(schema.get("format", ""), "")

    def _value(self, schema: dict) -> str:
        """A value in Python syntax, or as JSON, which is read there as well."""
        if "enum" in schema or "const" in schema:
            return self._either([self._text(self._spelt(value)) for value in self._choices(schema)])
        kind = schema.get("type")
        if kind in ("boolean", "null"):
            return self._either(['"True"', '"False"'] if kind == "boolean" else ['"None"'])
        items = schema.get("items")
        if kind == "array" and isinstance(items, dict) and _quotable(items) and not set(schema) - ARRAY - PLAIN:
            return f"({self._list(schema, ', ')} | {self._as_json(schema)})"  # the template has written both
        return self._python_string(schema) if _quotable(schema) else self._as_json(schema)

    def _list(self, schema: dict, comma: str) -> str:
        """An array in the syntax itself."""
        self._report(schema, ARRAY)
        items = schema.get("items", {})
        item = self._named(self._value(items if isinstance(items, dict) else {}))
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if most == 0:
            return '"[" "]"'
        again = f'("{comma}" {item}){{{max(least - 1, 0)},{"" if most is None else most - 1}}}'
        some = f"{item} {again}"
        return self._named(f'"[" {some if least else f"({some})?"} "]"')

    def _resolved(self, schema: dict) -> dict:
        """The schema that a chain of local references leads to; itself, noted, where there is none."""
        found: Any = schema
        for _ in range(8):
            if not isinstance(found, dict) or "$ref" not in found:
                break
            _, _, path = str(found["$ref"]).partition("#/")
            found = self._definitions
            for part in path.split("/"):
                found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, dict) and "$ref" not in found:
            return found
        self._left_out.append(f"{schema.get('$ref')} not found")
        return schema

    def _python_string(self, schema: dict) -> str:
        self._report(schema, STRING)
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        return r"/'([^'\\\x00-\x1f\x7f]|\\['\\n]){" + f"{least},{'' if most is None else most}" + "}'/"

    def _spelt(self, value: Any) -> str:
        """A constant as the syntax writes it."""
        if isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
            return f"'{escaped}'"
        return str(value) if value is None or isinstance(value, bool) else json.dumps(value, ensure_ascii=False)

    def _as_json(self, schema: dict) -> str:
        text, note = self._json({**schema, **self._definitions}, True)
        if note:
            self._left_out.append(note.removeprefix("schema not enforced in full (").removesuffix(")"))
        return self._named(f"%json {text}")

    def _choices(self, schema: dict) -> list[Any]:
        """The values of an enum or a constant; with the type string, only strings are read back as they are."""
        self._report(schema, {"enum", "const", "minimum", "maximum", *STRING})
        values = [schema["const"]] if "const" in schema else [*schema["enum"]]
        fitting = [value for value in values if isinstance(value, str)] if schema.get("type") == "string" else values
        return fitting or values

    def _either(self, choices: list[str]) -> str:
        return "(" + " | ".join(choices) + ")"

    def _named(self, body: str) -> str:
        name = f"{self.rule}_{len(self.rules)}"
        self.rules.append(f"{name}: {body}")
        return name

    def _report(self, schema: dict, known: set[str]) -> None:
        self._left_out += [f"{key} not enforced" for key in schema if key not in known | PLAIN]


def _quotable(schema: dict) -> bool:
    """Whether it is a string that a Python literal can be bound to."""
    return schema.get("type") == "string" and not {"pattern", "format"} & set(schema)


def _escaped(text: str) -> str:
    """A literal inside a regular expression of Lark."""
    return re.escape(text).replace("\n", "n").replace("/", "\\/") if text else ""
