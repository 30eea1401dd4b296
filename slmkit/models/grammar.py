"""Constrained tool calling: free text or a call, and a call takes no other form than a valid one.

Text stays free until the model starts a call; from there llguidance (github.com/guidance-ai/llguidance)
allows only what goes on to a call of an offered tool with arguments valid against its JSON Schema. A reply
that must be a call, or a JSON object that fits a schema, is bound from its first token. A schema feature that
llguidance refuses is left out for that tool, and the item carries a note that says so.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import torch

from slmkit.errors import InputError
from slmkit.models.base import Request, Sampling
from slmkit.models.callformat import CallFormat
from slmkit.models.constraint import CallConstraint, Row, first_line
from slmkit.models.jsonschemas import ANY_OBJECT, attempts, parameters
from slmkit.models.syntax.gemma import GemmaSpeller
from slmkit.models.syntax.spelling import Speller

KEPT = 64  # compiled grammars; one weighs some 100 kB


@dataclass(frozen=True)
class Offer:
    """What one reply may be: calls of these tools, text, or an object that fits `schema` instead of text.

    `choice` is that of OpenAI's tool_choice: auto, none (no call) or required (a call, no text). `enforced`
    is off where only the choice is asked for, and calls and answers are otherwise free.
    """

    tools: list[dict] = field(default_factory=list)
    choice: str = "auto"
    schema: dict | None = None
    enforced: bool = True

    @classmethod
    def of(cls, request: Request, sampling: Sampling) -> Offer:
        """What a request and its sampling ask for."""
        return cls(request.tools, sampling.tool_choice, request.schema, sampling.constrained)

    @property
    def calls(self) -> list[dict]:
        """The tools that may be called."""
        return [] if self.choice == "none" else self.tools

    @property
    def whole(self) -> bool:
        """Whether the reply is bound from its first token."""
        return bool(self.calls and self.choice == "required") or bool(self.enforced and self.schema is not None)


class CallGrammar:
    """Makes constraints for one model: its tokenizer, its end tokens and its call format."""

    def __init__(
        self, tokenizer: Any, vocab_size: int, ends: frozenset[int], form: CallFormat | None, thinks: bool = False
    ) -> None:
        """`thinks`: a reply may begin with `<think>`. Without a format there are answers by schema only.

        Raises InputError for a tokenizer that llguidance cannot read (a slow one), and for a named format whose
        mark is no token.
        """
        import llguidance.hf

        try:
            self.tokens = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocab_size, eos_token=sorted(ends))
        except ValueError as error:
            raise InputError(f"constrained decoding needs a fast tokenizer ({error})") from None
        self.tokenizer = tokenizer
        self.form = form
        self.vocab_size = vocab_size
        self.texts = [self.tokens.decode_str([token]) for token in range(vocab_size)]
        special = [token for token in range(vocab_size) if self.tokens.is_special_token(token)]
        self.special = {self.texts[token]: token for token in special if self.texts[token]}
        # A character may be spread over tokens, so marks are looked for in bytes.
        self.bytes = [self.tokens.decode_bytes([token]) for token in range(vocab_size)]
        for token in special:
            self.bytes[token] = self.texts[token].encode()
        mark = self._ids(form.mark) if form else []
        self.mark_id = mark[0] if len(mark) == 1 else None  # None: the mark is spelt out, or there is none
        if form and form.named and self.mark_id is None:
            raise InputError(f"constrained decoding needs a tokenizer with {form.mark} as one token")
        self.think_ids = [self._ids(text) for text in ("<think>", "</think>")]
        self.may_think = thinks and len(self.think_ids[0]) == 1
        self.opens_json = torch.tensor([text.lstrip().startswith("{") for text in self.texts])
        self.blank = torch.tensor([bool(text) and not text.strip() for text in self.texts])
        self._completing: dict[int, tuple[torch.Tensor, torch.Tensor | None]] = {}
        self._schemas: dict[str, tuple[str, str]] = {}
        self._matchers: dict[str, tuple[Any, str]] = {}

    def constrain(self, offers: list[Offer], thinking: list[bool]) -> CallConstraint:
        """The constraint for a batch: what each row may say, and whether its prompt ends in a thought."""
        rows = []
        for offer, thinks in zip(offers, thinking, strict=True):
            matcher, note = self.matcher(offer)
            rows.append(Row(matcher, note, barred=not offer.calls, whole=offer.whole, thinking=thinks))
        return CallConstraint(self, rows)

    def matcher(self, offer: Offer) -> tuple[Any, str]:
        """A fresh matcher for what is bound of a reply (None where nothing is), and the note.

        It takes the reply from its first token, or from behind the start of a call where text is free.
        """
        if not offer.whole and not (offer.enforced and offer.calls):
            return None, ""
        key = json.dumps([offer.calls, offer.choice, offer.schema, offer.enforced], sort_keys=True)
        if key not in self._matchers:
            if len(self._matchers) >= KEPT:
                self._matchers.clear()
            self._matchers[key] = self._compile(offer)
        matcher, note = self._matchers[key]
        return matcher and matcher.deep_copy(), note

    def _compile(self, offer: Offer) -> tuple[Any, str]:
        from llguidance import LLMatcher

        grammar, note = self._grammar(offer)
        matcher = LLMatcher(self.tokens, LLMatcher.grammar_from_lark(grammar), log_level=0)
        if matcher.is_error():
            return None, f"unconstrained: {first_line(matcher.get_error())}"
        return matcher, note

    def _grammar(self, offer: Offer) -> tuple[str, str]:
        """Lark grammar of what is bound, and what had to be left out of the schemas."""
        form, notes, rules, starts = self.form, [], [], []
        if offer.calls and form:
            again = "" if form.between is None else f"({self._text(form.between)} call)*"
            opening = self._text(form.start) if offer.whole else ""
            starts.append(f"{opening} {self._text(form.opens)} call {again} {self._text(form.closes)}")
            rules.append("call: " + " | ".join(f"tool_{place}" for place in range(len(offer.calls))))
        for place, tool in enumerate(offer.calls if form else []):
            function = tool.get("function", tool)
            written, note = self._arguments(parameters(function), f"arguments_{place}")
            notes += [f"{function['name']}: {note}"] if note else []
            name = json.dumps(function["name"], ensure_ascii=False) if form.quoted else function["name"]
            ends = " | ".join(self._text(text) for text in (form.after_name, *form.or_after_name))
            head = f"{self._text(form.before_name + name)} ({ends})"
            if not form.or_after_name:
                head = self._text(form.before_name + name + form.after_name)
            # Each schema is a root of its own, so that its `#/$defs/...` references hold.
            rules.append(f"tool_{place}: {head} arguments_{place} {self._text(form.after)}")
            rules += written
        if offer.whole and offer.schema is not None and offer.choice != "required":
            schema, note = self._schema(offer.schema)
            notes += [f"answer: {note}"] if note else []
            starts.append("answer")
            rules.append(f"answer: %json {schema}")
        return "\n".join(["start: " + " | ".join(starts), *rules]), "; ".join(notes)

    def _arguments(self, schema: dict, rule: str) -> tuple[list[str], str]:
        """Rules of a tool's arguments in the syntax of the format, the first named `rule`, and what is left out."""
        if self.form.arguments == "json":  # type: ignore[union-attr]
            text, note = self._schema(schema)
            return [f"{rule}: %json {text}"], note
        kind = GemmaSpeller if self.form.arguments == "gemma" else Speller  # type: ignore[union-attr]
        speller = kind(self.form.arguments, rule, self._text, self._schema)  # type: ignore[union-attr]
        return speller.arguments(schema), speller.note

    def _schema(self, schema: dict, value: bool = False) -> tuple[str, str]:
        """The schema, of an object or any `value`, as llguidance takes it, and what it made us leave out."""
        from llguidance import LLMatcher

        key = json.dumps([schema, value], sort_keys=True)
        if key in self._schemas:
            return self._schemas[key]
        reason = ""
        for attempt in attempts(schema, value):
            text = json.dumps(attempt)
            refused, messages = LLMatcher.validate_grammar_with_warnings(f"start: %json {text}", self.tokens)
            if not refused:
                break
            reason = reason or first_line(messages[0])
        else:
            raise RuntimeError(f"llguidance refuses {ANY_OBJECT}: {reason}")
        self._schemas[key] = text, f"schema not enforced in full ({reason})" if reason else ""
        return self._schemas[key]

    def _text(self, text: str) -> str:
        """A literal in Lark; special tokens in it are told by their number, since no text spells them."""
        special = re.compile("|".join(map(re.escape, self.special)) or "(?!)")
        parts, at = [], 0
        for found in [*special.finditer(text), None]:
            if plain := text[at : found.start() if found else None]:
                parts.append(json.dumps(plain, ensure_ascii=False))
            if found:
                parts.append(f"<[{self.special[found.group()]}]>")
                at = found.end()
        return " ".join(parts)

    def _ids(self, text: str) -> list[int]:
        if text in self.special:
            return [self.special[text]]
        return self.tokens.tokenize_str(text, parse_special=True) if text else []

    def completing(self, said: bytes) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Tokens that would complete the mark after this, (vocabulary), and those of them that are not the mark.

        There are hardly ever any of the latter; None stands for none.
        """
        mark = self.form.mark.encode()  # type: ignore[union-attr]
        held = next((n for n in range(min(len(mark) - 1, len(said)), 0, -1) if said.endswith(mark[:n])), 0)
        if held not in self._completing:
            every = torch.tensor([mark in mark[:held] + token for token in self.bytes])
            others = every.clone()
            if self.mark_id is not None:
                others[self.mark_id] = False
            self._completing[held] = every, others if others.any() else None
        return self._completing[held]
