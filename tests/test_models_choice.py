"""What a reply may be: text, a call, no call, or an object that fits a schema; for every form of calls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from folders import NAMED_TEMPLATE, TEMPLATE, write_model, write_tokenizer
from servers import FakeOpenAI
from test_models_grammar import SCHEMAS, TOOLS, assert_valid, babble, constrain, grammar_for

from slmkit import models
from slmkit.errors import InputError
from slmkit.models import Recorded, Request
from slmkit.models.callformat import FORMATS, call_format
from slmkit.models.parsing import parse

SAY = [{"role": "user", "content": "hi"}]
ANSWER = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "parameters": {"type": "array", "maxItems": 2, "items": {"type": "integer"}},
        "tone": {"enum": ["warm", "cold"]},
    },
    "required": ["name", "parameters", "tone"],
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def say(constraint: Any, tokenizer: Any, text: str, seed: int = 0, steps: int = 200) -> str | None:
    """A reply that begins with this text, and goes on with any tokens that are allowed."""
    return babble(constraint, tokenizer, [tokenizer.encode(text, add_special_tokens=False)], seed, steps)[0]


def allowed(constraint: Any, tokenizer: Any, text: str) -> torch.Tensor:
    """Whether each token may follow on the text, (vocabulary)."""
    scores = torch.zeros(1, constraint.grammar.vocab_size)
    result = constraint(torch.zeros(1, 1, dtype=torch.long), scores)
    for token in tokenizer.encode(text, add_special_tokens=False):
        assert result[0, token] == 0, (text, tokenizer.decode([token]))
        result = constraint(torch.tensor([[token]]), scores)
    return result[0] == 0


def test_a_named_call_starts_after_a_whole_name_only(tokenizer: Any) -> None:
    grammar = grammar_for(tokenizer, FORMATS["named"])
    mark, end = grammar.mark_id, tokenizer.eos_token_id
    for text, may_call in [
        ("", 0),
        ("none", 1),
        ("set.alar", 0),
        ("set.alarm", 1),
        ("set.alarms", 0),
        ("I set.alarm", 0),
    ]:
        after = allowed(constrain(grammar, [TOOLS]), tokenizer, text)
        assert bool(after[mark]) == bool(may_call), text
        after[mark] = True
        assert after.all(), text  # the rest is free
    name = TOOLS[1]["function"]["name"]
    after = allowed(constrain(grammar, [TOOLS]), tokenizer, f'{name}<|call|>{{"a": 7}}')
    assert after[end] and after[tokenizer.encode("\n")[0]] and after.sum() == 2
    after = allowed(constrain(grammar, [TOOLS]), tokenizer, f'{name}<|call|>{{"a": 7}}\nnone')
    assert after[mark] and after.sum() == 1
    assert not allowed(constrain(grammar, [[TOOLS[0]]]), tokenizer, name)[mark]  # not on offer
    assert not allowed(constrain(grammar, [[]]), tokenizer, name)[mark]


def test_a_spelt_mark_is_no_way_round(tokenizer: Any) -> None:
    for form in ("mini", "named"):
        grammar = grammar_for(tokenizer, FORMATS[form])
        spelt = [grammar.texts.index(letter) for letter in "<|call|>"]
        for offer in ([], TOOLS):
            constraint = constrain(grammar, [offer])
            scores = torch.zeros(1, grammar.vocab_size)
            result = constraint(torch.zeros(1, 1, dtype=torch.long), scores)
            for token in spelt[:-1]:
                assert result[0, token] == 0
                result = constraint(torch.tensor([[token]]), scores)
            assert result[0, spelt[-1]] == float("-inf")
            assert result[0, spelt[0]] == 0


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.full)])
def test_a_required_call_is_made(tokenizer: Any, form: str, count: int) -> None:
    grammar = grammar_for(tokenizer, FORMATS[form])
    for enforced in (True, False):
        constraint = constrain(grammar, [TOOLS] * count, choice="required", enforced=enforced)
        steps = 1_000 if form in ("deepseek", "glm") else 300
        texts = babble(constraint, tokenizer, [[]] * count, seed=count, steps=steps)
        ended = [text for text in texts if text is not None]
        assert len(ended) > 0.7 * count
        for text in ended:
            assert_valid(text, TOOLS)
            assert parse(text).content == ""


@pytest.mark.parametrize("form", list(FORMATS))
def test_no_call_is_made_where_none_may_be(tokenizer: Any, form: str) -> None:
    grammar = grammar_for(tokenizer, FORMATS[form])
    constraint = constrain(grammar, [TOOLS] * 40, choice="none", enforced=False)
    texts = babble(constraint, tokenizer, [[]] * 40, seed=1, steps=400)
    assert sum(text is not None for text in texts) > 10
    for text in filter(None, texts):
        assert "<|call|>" not in text or form not in ("mini", "named")
        assert not text.lstrip().startswith("{") or form not in ("llama", "json")


def test_a_required_call_may_follow_a_thought(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path)
    tokenizer.add_tokens(["<think>", "</think>"])
    for form in ("mini", "named", "llama"):
        grammar = grammar_for(tokenizer, FORMATS[form], thinks=True)
        first = allowed(constrain(grammar, [TOOLS], choice="required"), tokenizer, "")
        assert first[tokenizer.convert_tokens_to_ids("<think>")]
        texts = [
            say(constrain(grammar, [TOOLS], choice="required"), tokenizer, "<think>any {</think>\n", seed)
            for seed in range(6)
        ]
        assert sum(assert_valid(text, TOOLS) for text in texts if text) > 2
        inside = constrain(grammar, [TOOLS], thinking=True, choice="required")
        assert allowed(inside, tokenizer, "so").all()
    first = allowed(constrain(grammar_for(tokenizer, FORMATS["mini"]), [TOOLS], choice="required"), tokenizer, "")
    assert first.sum() == 1  # the template knows no thinking


@pytest.mark.parametrize("form", [*FORMATS, None])
def test_an_answer_fits_its_schema(tokenizer: Any, form: str | None) -> None:
    grammar = grammar_for(tokenizer, FORMATS[form] if form else None)
    for schema in (ANSWER, *SCHEMAS[1:]):
        constraint = constrain(grammar, [[]] * 8, schema=schema)
        texts = [text for text in babble(constraint, tokenizer, [[]] * 8, seed=2, steps=250) if text is not None]
        assert len(texts) > 4
        for text in texts:
            jsonschema.validate(json.loads(text), schema)


def test_an_answer_or_a_call(tokenizer: Any) -> None:
    grammar = grammar_for(tokenizer, FORMATS["named"])
    offers = constrain(grammar, [TOOLS] * 60, schema=ANSWER)
    texts = [text for text in babble(offers, tokenizer, [[]] * 60, seed=4, steps=250) if text is not None]
    called = [text for text in texts if "<|call|>" in text]
    assert 5 < len(called) < len(texts)
    for text in texts:
        if text in called:
            assert_valid(text, TOOLS)
        else:
            jsonschema.validate(json.loads(text), ANSWER)
    required = constrain(grammar, [TOOLS], schema=ANSWER, choice="required")
    assert not allowed(required, tokenizer, "")[tokenizer.encode("{")[0]]
    none = constrain(grammar, [TOOLS], schema=ANSWER, choice="none")
    assert allowed(none, tokenizer, "").sum() < 5  # tokens that open an object


def test_a_model_keeps_to_choice_and_schema(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path, template=NAMED_TEMPLATE)), device="cpu")
    asked = [Request(SAY, TOOLS[row % 3 : row % 3 + 2]) for row in range(10)]
    how = {"temperature": 3.0, "max_tokens": 150}
    replies = model.chat_many(asked, tool_choice="required", **how)
    ended = [(request, reply) for request, reply in zip(asked, replies, strict=True) if reply.finish_reason != "length"]
    assert len(ended) > 5
    for request, reply in ended:
        assert reply.tool_calls and not reply.malformed and not reply.content
        assert {call.name for call in reply.tool_calls} <= set(request.schemas())
    assert not any(reply.tool_calls or reply.malformed for reply in model.chat_many(asked, tool_choice="none", **how))
    answers = model.chat_many([Request(SAY, schema=ANSWER)] * 6, constrained=True, **how)
    assert sum(reply.finish_reason == "stop" for reply in answers) > 3
    for reply in answers:
        if reply.finish_reason == "stop":  # it has a name and parameters, and is no call
            jsonschema.validate(json.loads(reply.content), ANSWER)


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path, template="{{ tools }}{{ messages }}")), device="cpu")
    with pytest.raises(InputError, match="tool_choice='required' cannot be had"):
        model.chat(SAY, TOOLS, tool_choice="required", max_tokens=2)
    assert model.chat(SAY, TOOLS[:1], tool_choice="none", max_tokens=2).error is None
    assert model.chat(SAY, tool_choice="required").error == "tool_choice is required, but no tool is on offer"
    with pytest.raises(InputError, match="did you mean 'required'"):
        model.chat(SAY, TOOLS, tool_choice="require")


def test_the_schema_is_told_in_the_system_message(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    told = 'Answer with one JSON object that fits this JSON Schema: {"type":"object"}'
    assert model.render(SAY, schema={"type": "object"}) == f"<|system|>{told}<|user|>hi<|assistant|>"
    both = [{"role": "system", "content": "Be kind."}, *SAY]
    assert model.render(both, schema={"type": "object"}).startswith(f"<|system|>Be kind.\n\n{told}<|user|>")
    parts = [{"role": "system", "content": [{"type": "text", "text": "Be kind."}]}, *SAY]
    assert model.render(parts, schema={"type": "object"}).startswith(f"<|system|>Be kind.\n\n{told}<|user|>")


def test_a_template_that_refuses_a_system_message_hears_it_from_the_user(tmp_path: Path) -> None:
    refuses = "{%- if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    model = models.load(str(write_model(tmp_path, template=refuses)), device="cpu")
    text = model.render(SAY, schema={"type": "object"})
    assert text.startswith("<|user|>Answer with one JSON object") and text.endswith("\n\nhi<|assistant|>")


def test_schema_and_choice_are_part_of_the_key(tmp_path: Path) -> None:
    plain, wanted = Request(SAY), Request(SAY, schema=ANSWER)
    assert plain.key("m") == Request(SAY, [], None).key("m") != wanted.key("m")
    model = models.load(str(write_model(tmp_path / "model")), device="cpu")
    path = tmp_path / "calls.jsonl"
    Recorded(model, path).chat_many([plain, wanted], max_tokens=4, constrained=True, temperature=1.0)
    again = models.load(f"replay:{path}")
    replies = again.chat_many([wanted, plain], constrained=True)
    assert replies[0].content != replies[1].content and all(reply.error is None for reply in replies)
    assert "no reply on file" in again.chat_many([plain, Request(SAY, schema={})], constrained=True)[1].error


def test_the_server_hears_of_schema_and_choice() -> None:
    with FakeOpenAI() as server:
        model = models.load(f"openai:m@{server.url}")
        model.chat(SAY, TOOLS, schema=ANSWER, tool_choice="required")
        model.chat(SAY, schema=ANSWER, constrained=True)
        refused = model.chat(SAY, tool_choice="required")
        first, second = server.bodies
    assert first["tool_choice"] == "required"
    form = {"name": "answer", "schema": ANSWER, "strict": False}
    assert first["response_format"] == {"type": "json_schema", "json_schema": form}
    assert second["response_format"]["json_schema"]["strict"] is True and "tool_choice" not in second
    assert json.dumps(ANSWER, separators=(",", ":")) in second["messages"][0]["content"]
    assert "no tool is on offer" in refused.error


def test_the_named_template_is_known_and_read_back(tmp_path: Path) -> None:
    assert call_format(NAMED_TEMPLATE) == FORMATS["named"]
    tokenizer = write_tokenizer(tmp_path, NAMED_TEMPLATE)
    made = [("set.alarm", {"a": 7, "b": "x<|call|>y"}), ("none", {})]
    calls = [{"type": "function", "function": {"name": name, "arguments": args}} for name, args in made]
    turn = [*SAY, {"role": "assistant", "content": "", "tool_calls": calls}]
    text = tokenizer.apply_chat_template(turn, tokenize=False).partition("<|assistant|>")[2].removesuffix("<|end|>")
    assert text == 'set.alarm<|call|>{"a": 7, "b": "x<|call|>y"}\nnone<|call|>{}'
    assert [(call.name, call.parsed()) for call in parse(text).tool_calls] == made
