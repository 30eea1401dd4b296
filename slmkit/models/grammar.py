"""Constrained tool calling: free text or a call, and a call takes no other form than a valid one.

Text stays free until the model starts a call; from there llguidance (github.com/guidance-ai/llguidance)
allows only what goes on to a call of an offered tool with arguments valid against its JSON Schema. A schema
feature that llguidance refuses is left out for that tool, and the item carries a note that says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from slmkit.errors import InputError
from slmkit.models.constraint import CallConstraint, Row, first_line

# The form that models are trained on: `{"a": 1, "b": [1, 2]}`, no other blanks.
SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
KEPT = 64  # compiled grammars; one weighs some 100 kB


@dataclass(frozen=True)
class CallFormat:
    """How a family writes a call: start, before, JSON, after. Without a start the reply begins with it."""

    start: str
    before: str = ""
    after: str = ""
    between: str = ""
    arguments: str = "arguments"
    repeats: bool = True


FORMATS = {
    "mini": CallFormat("<|call|>"),
    "hermes": CallFormat("<tool_call>", before="\n", after="\n</tool_call>", between="\n"),
    "llama": CallFormat("", arguments="parameters", repeats=False),
    "json": CallFormat("", repeats=False),
}


def call_format(template: str) -> CallFormat | None:
    """The format that a chat template teaches; None for one that is not known here.

    A template without tools gets them as text, with plain JSON as the form of a call (`messages.with_tools`).
    """
    if '<|call|>{"name"' in template:
        return FORMATS["mini"]
    if '"name": function name, "parameters": ' in template:
        return FORMATS["llama"]
    if "<tool_call>" in template and "<function=" not in template and "<arg_key>" not in template:
        return FORMATS["hermes"]
    return None if "tools" in template else FORMATS["json"]


def closed(schema: Any) -> Any:
    """The schema with no room for unnamed properties: an object that names some allows only those.

    Annotations (title, description, default, examples) are dropped, since they constrain nothing.
    """
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties", "$defs", "definitions") and isinstance(value, dict):
            result[key] = {name: closed(part) for name, part in value.items()}
        elif key in ("enum", "const"):
            result[key] = value
        elif key not in ("title", "description", "default", "examples"):
            result[key] = closed(value)
    if result.get("properties") and "patternProperties" not in result:
        result.setdefault("additionalProperties", False)
    return result


class CallGrammar:
    """Makes constraints for one model: its tokenizer, its end tokens and its call format."""

    def __init__(self, tokenizer: Any, vocab_size: int, ends: frozenset[int], form: CallFormat) -> None:
        """Raises InputError for a tokenizer that llguidance cannot read (a slow one)."""
        import llguidance.hf

        try:
            self.tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocab_size, eos_token=sorted(ends))
        except ValueError as error:
            raise InputError(f"constrained decoding needs a fast tokenizer ({error})") from None
        self.form = form
        self.vocab_size = vocab_size
        start = self._ids(form.start)
        self.start_id = start[0] if len(start) == 1 else None  # None: the start is spelt out, or there is none
        self.think_ids = [self._ids(mark) for mark in ("<think>", "</think>")]
        self.opens_json = torch.zeros(vocab_size, dtype=torch.bool)
        if not form.start:
            texts = (self.tokens.decode_str([token]) for token in range(vocab_size))
            self.opens_json = torch.tensor([text.lstrip().startswith("{") for text in texts])
        self._schemas: dict[str, tuple[str, str]] = {}
        self._matchers: dict[str, tuple[Any, str]] = {}

    def constrain(self, tools: Sequence[list[dict]], thinking: Sequence[bool]) -> CallConstraint:
        """The constraint for a batch: the tools of each row, and whether its prompt ends in a thought."""
        offers = zip(tools, thinking, strict=True)
        return CallConstraint(self, [Row(*self.matcher(offer), not offer, thinks) for offer, thinks in offers])

    def matcher(self, tools: list[dict]) -> tuple[Any, str]:
        """A fresh matcher for what follows the start of a call (None without tools), and the note."""
        if not tools:
            return None, ""
        key = json.dumps(tools, sort_keys=True)
        if key not in self._matchers:
            if len(self._matchers) >= KEPT:
                self._matchers.clear()
            self._matchers[key] = self._compile(tools)
        matcher, note = self._matchers[key]
        return matcher and matcher.deep_copy(), note

    def _compile(self, tools: list[dict]) -> tuple[Any, str]:
        from llguidance import LLMatcher

        grammar, note = self._grammar(tools)
        matcher = LLMatcher(self.tokens, LLMatcher.grammar_from_lark(grammar), log_level=0)
        if matcher.is_error():
            return None, f"unconstrained: {first_line(matcher.get_error())}"
        return matcher, note

    def _grammar(self, tools: list[dict]) -> tuple[str, str]:
        """Lark grammar of one call or several, and what had to be left out of the schemas."""
        form, notes, rules = self.form, [], []
        for place, tool in enumerate(tools):
            function = tool.get("function", tool)
            schema, note = self._schema(function.get("parameters") or {})
            if note:
                notes.append(f"{function['name']}: {note}")
            head = '{"name": ' + json.dumps(function["name"], ensure_ascii=False) + f', "{form.arguments}": '
            # Each schema is a root of its own, so that its `#/$defs/...` references hold.
            rules.append(f'tool_{place}: {self._text(head)} arguments_{place} "}}"')
            rules.append(f"arguments_{place}: %json {schema}")
        again = f"({self._text(form.between)} {self._text(form.start)} call)*" if form.repeats else ""
        choice = " | ".join(f"tool_{place}" for place in range(len(tools)))
        lines = [f"start: call {again}", f"call: {self._text(form.before)} any_tool {self._text(form.after)}"]
        return "\n".join([*lines, f"any_tool: {choice}", *rules]), "; ".join(notes)

    def _schema(self, parameters: dict) -> tuple[str, str]:
        """The parameters as llguidance takes them, and what it made us leave out."""
        from llguidance import LLMatcher

        key = json.dumps(parameters, sort_keys=True)
        if key in self._schemas:
            return self._schemas[key]
        strict = {"type": "object", "properties": {}, "additionalProperties": False} | closed(parameters)
        attempts = [
            {"x-guidance": SPACING, **strict},
            {"x-guidance": {**SPACING, "lenient": True}, **strict},
            {"x-guidance": SPACING, "type": "object"},
        ]
        reason = ""
        for schema in attempts:
            text = json.dumps(schema)
            refused, messages = LLMatcher.validate_grammar_with_warnings(f"start: %json {text}", self.tokens)
            if not refused:
                break
            reason = reason or first_line(messages[0])
        else:
            raise RuntimeError(f"llguidance refuses a plain object: {reason}")
        self._schemas[key] = text, f"schema not enforced in full ({reason})" if reason else ""
        return self._schemas[key]

    def _text(self, text: str) -> str:
        """A literal in Lark; tokens that are special to llguidance are named, not spelt."""
        if not text:
            return ""
        ids = self._ids(text)
        if len(ids) == 1 and self.tokens.is_special_token(ids[0]):
            return text
        head, mark, tail = text.partition("</tool_call>")
        if mark and (head or tail):
            return " ".join(filter(None, map(self._text, (head, mark, tail))))
        return json.dumps(text, ensure_ascii=False)

    def _ids(self, text: str) -> list[int]:
        return self.tokens.tokenize_str(text, parse_special=True) if text else []
