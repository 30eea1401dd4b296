"""Constrained tool calls of a model that knows nothing: whatever it says, a call is a valid one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
import torch
from folders import NAMED_TEMPLATE, TEMPLATE, write_model, write_tokenizer

from slmkit import models
from slmkit.errors import InputError
from slmkit.models import Request
from slmkit.models.callformat import FORMATS, CallFormat, call_format
from slmkit.models.constraint import CallConstraint
from slmkit.models.grammar import CallGrammar, Offer
from slmkit.models.jsonschemas import closed
from slmkit.models.local import LocalModel
from slmkit.models.parsing import parse
from slmkit.models.profiling import profile

SHORT = {"type": "string", "maxLength": 12}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {}},
    {
        "type": "object",
        "description": "dropped",
        "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 900}, "b": SHORT},
        "required": ["a"],
    },
    {
        "type": "object",
        "properties": {
            "unit": {"enum": ["celsius", "fahrenheit", None, 3]},
            "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "on": {"type": "boolean"},
        },
        "required": ["unit", "ratio", "on"],
    },
    {
        "type": "object",
        "properties": {
            "people": {
                "type": "array",
                "minItems": 1,
                "maxItems": 3,
                "items": {
                    "type": "object",
                    "properties": {"name": {**SHORT, "minLength": 2}, "age": {"type": ["integer", "null"]}},
                    "required": ["name", "age"],
                },
            },
            "where": {"$ref": "#/$defs/place"},
        },
        "required": ["people", "where"],
        "$defs": {"place": {"anyOf": [{"const": "home"}, {"type": "string", "pattern": "^[A-Z]{2}[0-9]{1,4}$"}]}},
    },
    {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date"},
            "step": {"type": "integer", "multipleOf": 5},
        },
        "required": ["day"],
    },
]
NAMES = ["none", "set.alarm", "get_weather", "book-table", "tägliche_frage"]


def tool(name: str, schema: dict) -> dict:
    return {"type": "function", "function": {"name": name, "description": "Do it", "parameters": schema}}


TOOLS = [tool(name, schema) for name, schema in zip(NAMES, SCHEMAS, strict=True)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def grammar_for(tokenizer: Any, form: CallFormat | None, thinks: bool = False) -> CallGrammar:
    return CallGrammar(tokenizer, len(tokenizer) + 5, frozenset([tokenizer.eos_token_id]), form, thinks)


def constrain(grammar: CallGrammar, tools: list[list[dict]], thinking: bool = False, **how: Any) -> CallConstraint:
    return grammar.constrain([Offer(some, **how) for some in tools], [thinking] * len(tools))


def opening(form: str, offered: dict) -> str:
    """How a call starts, as far as no constraint says it."""
    wanted = FORMATS[form]
    return offered["function"]["name"] + wanted.mark if wanted.named else wanted.start or "{"


def babble(
    constraint: CallConstraint, tokenizer: Any, openings: list[list[int]], seed: int, steps: int = 120
) -> list[str | None]:
    """What rows say whose next token is any allowed one, after an opening; None where it has no end."""
    random = torch.Generator().manual_seed(seed)
    rows = [[] for _ in openings]
    last = torch.zeros(len(rows), 1, dtype=torch.long)
    for step in range(steps):
        scores = torch.rand(len(rows), constraint.grammar.vocab_size, generator=random)
        scores[:, len(tokenizer) :] = float("-inf")  # ids that the tokenizer has no text for
        allowed = constraint(last, scores)
        for place, opening in enumerate(openings):
            token = opening[step] if step < len(opening) else int(allowed[place].argmax())
            rows[place].append(token)
            last[place, 0] = token
    end = tokenizer.eos_token_id
    return [tokenizer.decode(row[: row.index(end)]) if end in row else None for row in rows]


def assert_valid(text: str, tools: list[dict], minimum: int = 1) -> int:
    """Every call of the text is one of an offered tool with valid arguments; the number of them."""
    schemas = {t["function"]["name"]: t["function"]["parameters"] for t in tools}
    parsed = parse(text, schemas)
    assert not parsed.malformed, text
    assert len(parsed.tool_calls) >= minimum, text
    for call in parsed.tool_calls:
        jsonschema.validate(call.parsed(), schemas[call.name])
        assert set(call.parsed()) <= set(schemas[call.name]["properties"])
    return len(parsed.tool_calls)


@pytest.mark.parametrize("form", list(FORMATS))
@pytest.mark.parametrize("count", [25, pytest.param(400, marks=pytest.mark.full)])
def test_every_call_is_valid(tokenizer: Any, form: str, count: int) -> None:
    grammar = grammar_for(tokenizer, FORMATS[form])
    offers = [TOOLS[row % 5 : row % 5 + 1 + row % 3] for row in range(count)]
    openings = [tokenizer.encode(opening(form, offer[-1]), add_special_tokens=False) for offer in offers]
    constraint = constrain(grammar, offers)
    steps = {"deepseek": 1_000, "qwen_xml": 700}.get(form, 400)  # their marks take dozens of tokens here
    texts = babble(constraint, tokenizer, openings, seed=count, steps=steps)
    assert constraint.notes == [""] * count
    ended = [(text, offer) for text, offer in zip(texts, offers, strict=True) if text is not None]
    assert len(ended) > 0.75 * count
    calls = [assert_valid(text, offer) for text, offer in ended]
    assert (max(calls) > 1) == (FORMATS[form].between is not None)


def test_calls_of_a_random_model_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    start_calls(model, monkeypatch)
    requests = [Request([{"role": "user", "content": f"hour {row}"}], TOOLS[row % 4 :]) for row in range(12)]
    replies = model.chat_many(requests, constrained=True, temperature=2.0, max_tokens=100)
    free = model.chat_many(requests, constrained=False, temperature=2.0, max_tokens=10)
    assert not any(reply.tool_calls for reply in free)
    ended = [(q, reply) for q, reply in zip(requests, replies, strict=True) if reply.finish_reason != "length"]
    assert len(ended) > 5
    for request, reply in ended:
        assert reply.malformed == [] and reply.finish_reason == "tool_calls"
        schemas = {t["function"]["name"]: t["function"]["parameters"] for t in request.tools}
        for call in reply.tool_calls:
            jsonschema.validate(call.parsed(), schemas[call.name])
    assert all(reply.error is None for reply in replies)
    assert not model.notes


def start_calls(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model start each constrained reply with a call, which random weights hardly do."""
    model._load_grammar([], models.Sampling(constrained=True))
    start = model.grammar.mark_id

    class Started(CallConstraint):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            first, allowed = self.first, super().__call__(input_ids, scores)
            if first:
                allowed = torch.full_like(allowed, float("-inf"))
                allowed[:, start] = 0
            return allowed

    monkeypatch.setattr("slmkit.models.grammar.CallConstraint", Started)


def test_text_stays_as_free_as_without_the_constraint(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    requests = [Request([{"role": "user", "content": f"say {row}"}], TOOLS) for row in range(6)]
    free = model.chat_many(requests, max_tokens=20)
    bound = model.chat_many(requests, max_tokens=20, constrained=True)
    texts = [place for place, reply in enumerate(free) if not reply.malformed]  # others may happen to call
    assert len(texts) > 2
    for place in texts:
        assert bound[place].content == free[place].content
        assert bound[place].logprob == pytest.approx(free[place].logprob, abs=1e-4)


@pytest.mark.parametrize("form", ["mini", "llama"])
def test_without_tools_no_call_can_start(tokenizer: Any, form: str) -> None:
    grammar = grammar_for(tokenizer, FORMATS[form])
    scores = constrain(grammar, [[], TOOLS])(torch.zeros(2, 1), torch.zeros(2, grammar.vocab_size))
    opens = tokenizer.encode(FORMATS[form].start or '{"name": "none"', add_special_tokens=False)[0]
    assert scores[0, opens] == float("-inf")
    assert scores[1, opens] == 0
    words = tokenizer.encode("weather", add_special_tokens=False)
    assert (scores[:, words] == 0).all()


def test_a_bare_format_is_bound_at_its_first_token_only(tokenizer: Any) -> None:
    grammar = grammar_for(tokenizer, FORMATS["json"])
    opening = tokenizer.encode('Well, {"name": "x', add_special_tokens=False)
    text = babble(constrain(grammar, [TOOLS]), tokenizer, [opening], seed=1)[0]
    assert text is None or text.startswith('Well, {"name": "x')


def test_a_call_mentioned_while_thinking_binds_nothing(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path)
    tokenizer.add_tokens(["<think>", "</think>"])
    grammar = grammar_for(tokenizer, FORMATS["mini"])
    ids = lambda text: tokenizer.encode(text, add_special_tokens=False)  # noqa: E731
    constraint = grammar.constrain([Offer(TOOLS), Offer(TOOLS)], [True, False])
    inside, outside = ids("<|call|>x"), ids("<|call|>")
    scores = torch.zeros(2, grammar.vocab_size)
    constraint(torch.zeros(2, 1), scores)
    after = constraint(torch.tensor([[inside[0]], [outside[0]]]), scores)
    assert (after[0] == 0).all() and (after[1] == float("-inf")).any()
    constraint = constrain(grammar, [TOOLS])
    opening = ids("<think>a <|call|>b</think><|call|>")
    texts = [babble(constrain(grammar, [TOOLS]), tokenizer, [opening], seed)[0] for seed in range(4)]
    assert sum(assert_valid(text, TOOLS) for text in texts if text) > 0


@pytest.mark.parametrize("special", [True, False])
def test_marks_that_are_tokens(tmp_path: Path, special: bool) -> None:
    tokenizer = write_tokenizer(tmp_path)
    tokenizer.add_tokens(["<tool_call>", "</tool_call>"], special_tokens=special)
    grammar = grammar_for(tokenizer, FORMATS["hermes"])
    opening = tokenizer.encode("<tool_call>", add_special_tokens=False)
    assert len(opening) == 1 and grammar.mark_id == opening[0]
    texts = babble(constrain(grammar, [TOOLS] * 10), tokenizer, [opening] * 10, seed=3)
    assert sum(assert_valid(text, TOOLS) for text in texts if text) > 5


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 2, "uniqueItems": True}, "uniqueItems"),
        ({"type": "dict"}, "Invalid type: dict"),
        ({"type": "string", "pattern": "^(?=a)b"}, "regex"),
        ({"$ref": "#/$defs/missing"}, "missing"),
        ({"type": "integer", "minimum": "3"}, "minimum"),
    ],
)
def test_a_schema_that_is_refused_is_noted_for_its_tool_alone(tokenizer: Any, schema: dict, reason: str) -> None:
    odd = tool("odd", {"type": "object", "properties": {"x": schema}, "required": ["x"]})
    grammar = grammar_for(tokenizer, FORMATS["mini"])
    start = tokenizer.encode('<|call|>{"name": "set.alarm"', add_special_tokens=False)
    constraint = constrain(grammar, [[odd, TOOLS[1]], [TOOLS[1]]])
    texts = babble(constraint, tokenizer, [start, start], seed=5)
    assert constraint.notes[0].startswith("odd: schema not enforced in full (") and reason in constraint.notes[0]
    assert constraint.notes[1] == ""
    for text in texts:
        assert text is None or parse(text).tool_calls[0].name == "set.alarm"


def test_notes_reach_the_model(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    odd = tool("odd", {"type": "object", "properties": {"x": {"type": "dict"}}})
    requests = [Request([{"role": "user", "content": "hi"}], [t]) for t in (odd, TOOLS[0])]
    replies = model.chat_many(requests, constrained=True, max_tokens=3)
    assert [reply.error for reply in replies] == [None, None]
    assert list(model.notes) == [requests[0].key(model.ref)]
    assert "Invalid type: dict" in model.notes[requests[0].key(model.ref)]


def test_closed_keeps_properties_that_are_named_like_annotations() -> None:
    schema = {"type": "object", "title": "T", "properties": {"title": {"type": "string", "description": "d"}}}
    assert closed(schema) == {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "additionalProperties": False,
    }
    assert closed({"enum": [{"title": 1}]}) == {"enum": [{"title": 1}]}


def test_format_is_read_from_the_template() -> None:
    assert call_format(TEMPLATE) == FORMATS["mini"]
    assert call_format('{% if tools %}<tool_call>\n{"name": ...}') == FORMATS["hermes"]
    assert call_format('{{ tools }} {"name": function name, "parameters": dictionary}') == FORMATS["llama"]
    assert call_format("{{ messages }}") == FORMATS["json"]
    assert call_format("{{ tools }}{{ '[TOOL_CALLS] [' }}") == FORMATS["mistral_list"]
    assert call_format("{{ tools }}{{ '[TOOL_CALLS]' + name + '[ARGS]' }}") == FORMATS["mistral"]
    shipped = resources.files("trl") / "chat_templates"
    for name, form in [("qwen3", "hermes"), ("llama3_1", "llama"), ("llama3_2", "llama"), ("phi3", "json")]:
        assert call_format((shipped / f"{name}.jinja").read_text("utf-8")) == FORMATS[form], name
    written = {"gptoss": "gptoss", "glm4moe": "glm", "lfm2_v2": "lfm2", "lfm2_2_5_vl": "lfm2"}
    written |= dict.fromkeys(("qwen3_5_think", "qwen3_6", "qwen3_8", "nemotron_3_nano"), "qwen_xml")
    written |= dict.fromkeys(("gemma4", "gemma4_v5", "diffusion_gemma"), "gemma")
    for name, form in written.items():
        assert call_format((shipped / f"{name}.jinja").read_text("utf-8")) == FORMATS[form], name
    assert call_format((shipped / "muse_glimmer.jinja").read_text("utf-8")) is None


def test_a_format_that_is_not_known_is_said(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path, template="{{ tools }}{{ messages }}")), device="cpu")
    with pytest.raises(InputError, match="its form of calls is not known"):
        model.chat([{"role": "user", "content": "hi"}], TOOLS, constrained=True)


WORDS = ["city", "day", "unit", "tags", "people", "note", "x1", "rate"]


def schema(dice: Random, depth: int = 0) -> dict[str, Any]:
    """A schema of a value: every type, enums, bounds, arrays and nested objects, so that a value ends soon."""
    kinds = ["string", "enum", "integer", "number", "boolean", "null", "const"] + ["array", "object"] * (depth < 3)
    kind = dice.choice(kinds)
    low = dice.randint(-50, 50)
    if kind == "string":
        shortest = dice.choice([0, 0, 1, 3])
        return {"type": "string", "minLength": shortest, "maxLength": shortest + dice.randint(0, 8)}
    if kind in ("integer", "number"):
        bounds = [
            {"minimum": low, "maximum": low + dice.randint(0, 2_000)},
            {"exclusiveMinimum": low, "maximum": low + 1},
        ]
        return {"type": kind, **dice.choice(bounds)}
    if kind == "array":
        fewest = dice.randint(0, 2)
        return {"type": "array", "items": schema(dice, depth + 1), "minItems": fewest, "maxItems": fewest + 2}
    if kind == "object":
        return an_object(dice, depth + 1)
    if kind == "enum":
        return {"enum": dice.sample(["a", "b c", 'd"e', 3, -1.5, True, None, "ü"], dice.randint(1, 4))}
    return {"const": "only"} if kind == "const" else {"type": kind}


def an_object(dice: Random, depth: int = 0) -> dict[str, Any]:
    names = dice.sample(WORDS, dice.randint(1, 4))
    required = [name for name in names if dice.random() < 0.7]
    return {"type": "object", "properties": {name: schema(dice, depth) for name in names}, "required": required}


@pytest.mark.parametrize("template", [TEMPLATE, NAMED_TEMPLATE], ids=["mini", "named"])
@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.full)])  # over two calls a reply
def test_all_calls_of_an_untrained_model_are_valid(tmp_path: Path, template: str, count: int) -> None:
    """Schemas and replies by chance, through the same door as everything else; the price per token is printed."""
    model = models.load(str(write_model(tmp_path, template=template, context=2_048)), device="cpu", dtype="float32")
    dice = Random(count)
    offers = [[tool(f"{NAMES[row % 5]}{n}", an_object(dice)) for n in range(1 + row % 3)] for row in range(count)]
    requests = [Request([{"role": "user", "content": f"hour {row}"}], offer) for row, offer in enumerate(offers)]
    how = {"constrained": True, "tool_choice": "required", "temperature": 1.5, "max_tokens": 1_500}
    replies = model.chat_many(requests, **how)
    assert model.notes == {}
    cut = [reply for reply in replies if reply.finish_reason == "length"]
    made = 0
    for request, reply in zip(requests, replies, strict=True):
        assert reply.error is None
        if reply.finish_reason == "length":
            continue
        assert reply.malformed == [] and reply.content == "" and reply.tool_calls
        for call in reply.tool_calls:
            jsonschema.validate(call.parsed(), request.schemas()[call.name])
            made += 1
    several = sum(len(reply.tool_calls) > 1 for reply in replies)
    table = profile(model, requests[:100], **how)
    price = table.loc["constraint", "us_per_token"], table.loc["constraint", "share"]
    print(f"{made} calls valid in {count} replies, {several} with several, {len(cut)} cut")
    print(f"{price[0]:.0f} us/token for the constraint, {price[1]:.1%} of the time")
    assert made >= count and several > count // 20
    assert len(cut) <= 0.01 * count
