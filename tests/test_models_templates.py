"""What each chat template writes is read back: every template that TRL ships and that knows tool calls."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slmkit.models import Request
from slmkit.models.messages import for_template, variants
from slmkit.models.parsing import Parsed, parse

TEMPLATES = {
    path.name.removesuffix(".jinja"): path.read_text(encoding="utf-8")
    for path in (resources.files("trl") / "chat_templates").iterdir()
    if path.name.endswith(".jinja") and "tool_call" in path.read_text(encoding="utf-8")
}
ONE_CALL = {"llama3_1", "llama3_2", "gptoss", "gptoss_training"}
# Writes calls only where the content is null, and an end after each but the first.
NULL_CONTENT = {"deepseek_r1_distill", "deepseek_r1_distill_training"}
ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eot|>", "<|call|>", "<|return|>"),
    *("<|tool_response>", "<|observation|>", "<turn|>", "<｜end▁of▁sentence｜>", "<EOS>"),
)
TURN_END = re.compile(r"(?:\s|" + "|".join(map(re.escape, ENDS)) + r")+\Z")

TYPES = {
    "city": {"type": "string"},
    "days": {"type": "integer"},
    "ratio": {"type": "number"},
    "ok": {"type": "boolean"},
    "none": {"type": "null"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "more": {"type": "object", "properties": {"deep": {"type": "array"}}},
}


def tool(name: str, properties: dict) -> dict:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": "Do it", "parameters": parameters}}


TOOLS = [tool("get_weather", TYPES), tool("tools.get_time-2", {"zone": {"type": "string"}}), tool("stop", {})]
SCHEMAS = Request([], TOOLS).schemas()


@cache
def _compiled() -> Any:
    from transformers.utils.chat_template_utils import render_jinja_template

    return render_jinja_template


def render(name: str, messages: list[dict], prompt: bool) -> str:
    errors = []
    for variant in variants(for_template(messages)):
        if name in NULL_CONTENT:
            variant = [{**m, "content": None} if m.get("tool_calls") else m for m in variant]
        try:
            texts, _ = _compiled()(
                [variant],
                tools=TOOLS,
                chat_template=TEMPLATES[name],
                add_generation_prompt=prompt,
                bos_token="<BOS>",
                eos_token="<EOS>",
            )
            return texts[0]
        except Exception as error:
            errors.append(error)
    raise errors[0]


def written(name: str, turn: dict) -> str:
    """What the model would have to write for the template to come out like this."""
    user = [{"role": "user", "content": "What now?"}]
    whole, prompt = render(name, [*user, turn], False), render(name, user, True)
    if not whole.startswith(prompt):
        prompt = prompt.rpartition("<think>")[0]  # opens a thought that the template then drops
    assert whole.startswith(prompt)
    return TURN_END.sub("", whole[len(prompt) :])


def turn(calls: list[tuple[str, dict]], content: str = "", reasoning: str = "") -> dict:
    made = [
        {"id": f"call0000{place}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for place, (name, arguments) in enumerate(calls)
    ]
    thought = {"reasoning_content": reasoning, "thinking": reasoning} if reasoning else {}
    return {"role": "assistant", "content": content, "tool_calls": made, **thought}


def read(parsed: Parsed) -> list[tuple[str, dict | None]]:
    return [(call.name, call.parsed()) for call in parsed.tool_calls]


WEATHER = {
    "city": 'Sankt "Pölten" {x}',
    "days": 3,
    "ratio": -0.5,
    "ok": True,
    "none": None,
    "tags": ["a", "b, c"],
    "more": {"deep": [1, {"x": False}]},
}


def test_there_are_templates() -> None:
    assert len(TEMPLATES) > 40
    assert {"qwen3", "qwen3_6", "gptoss", "deepseekv3", "glm4moe", "llama3_1", "gemma4", "lfm2_v2"} <= set(TEMPLATES)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_calls_are_read_back(name: str) -> None:
    made = [("get_weather", WEATHER), ("tools.get_time-2", {"zone": "CET"}), ("stop", {})]
    made = made[: 1 if name in ONE_CALL else 2 if name in NULL_CONTENT else 3]
    parsed = parse(written(name, turn(made)), SCHEMAS)
    assert (read(parsed), parsed.malformed, parsed.content) == (made, [], "")


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - NULL_CONTENT))
def test_text_and_reasoning_are_kept_apart_from_calls(name: str) -> None:
    made = [("get_weather", WEATHER)]
    only_thought = name in ONE_CALL or "muse" in name  # these have room for text or for a call, or none for text
    text = written(name, turn(made, "" if only_thought else "One moment.", "It asks for rain."))
    parsed = parse(text, SCHEMAS)
    assert (read(parsed), parsed.malformed) == (made, [])
    assert parsed.content == ("One moment." if "One moment." in text else "")
    assert parsed.reasoning == ("It asks for rain." if "It asks for rain." in text else "")


def test_most_templates_write_text_and_thoughts() -> None:
    texts = {name: written(name, turn([("stop", {})], "", "It asks.")) for name in set(TEMPLATES) - NULL_CONTENT}
    assert sum("It asks." in text for text in texts.values()) > 20


# Values that a syntax can spell: tags end at the next tag, and LFM2's template escapes nothing.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
TAGGED = WORDS.filter(lambda text: "<" not in text and text == text.strip())
QUOTED = WORDS.filter(lambda text: not set(text) & set("'\\<"))


def values(text: st.SearchStrategy[str]) -> st.SearchStrategy[dict]:
    keys = st.sampled_from(["x", "y-z", "in"])
    numbers = st.integers(-(10**12), 10**12) | st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
    anything = st.recursive(
        st.none() | st.booleans() | numbers | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=2),
        max_leaves=6,
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "city": text,
            "days": st.integers(-99, 99),
            "ok": st.booleans(),
            "none": st.none(),
            "tags": st.lists(text, max_size=3),
            "more": st.dictionaries(keys, anything, max_size=3),
        },
    )


def spelt(name: str) -> st.SearchStrategy[str]:
    if "lfm2" in name:
        return QUOTED
    tagged = any(mark in TEMPLATES[name] for mark in ("<parameter=", "<arg_key>", "<atem:", '<|"|>'))
    return TAGGED if tagged else WORDS


@pytest.mark.parametrize("name", sorted(name for name in TEMPLATES if not name.endswith("_training")))
@pytest.mark.parametrize("examples", [15, pytest.param(200, marks=pytest.mark.full)])
def test_any_arguments_are_read_back(name: str, examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.lists(values(spelt(name)), min_size=1, max_size=1 if name in ONE_CALL else 2))
    def check(arguments: list[dict]) -> None:
        made = [("get_weather", given_) for given_ in arguments]
        parsed = parse(written(name, turn(made)), SCHEMAS)
        assert (read(parsed), parsed.malformed) == (made, [])

    check()
