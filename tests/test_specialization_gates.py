"""Gates: each passes what is sound, and fails on the mistake that it stands against."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import specialists
import torch
from safetensors.torch import load_file, save_file
from specialists import TOOLS, call, row, rows

from slmkit import models
from slmkit.errors import InputError
from slmkit.models import loading, parse_reference
from slmkit.specialization import data, gates
from slmkit.specialization.contamination import phrasing
from slmkit.specialization.finetune import Settings, finetune
from slmkit.specialization.gates import GateError


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(specialists.base(tmp_path_factory.mktemp("base"), template=specialists.MARKED))


@pytest.fixture(scope="module")
def tokenizer(base):
    return loading.load_tokenizer(parse_reference(base), base)


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    settings = Settings(steps=6, evaluate_every=3, batch_size=4, rank=4, learning_rate=2e-2, warmup_steps=0)
    return finetune(base, rows(6), rows(2), settings, tmp_path_factory.mktemp("run"))


def test_the_loss_mask_is_the_answer_and_nothing_else(tokenizer):
    for one in rows(3):
        shown = gates.loss_mask(tokenizer, one)
        learned, seen = "".join(shown[shown["in_loss"]]["token"]), "".join(shown["token"])
        assert seen == data.text(tokenizer, one) and learned.endswith("<|end|>")
        assert data.prompt(tokenizer, one) + learned == seen
        assert "<|user|>" not in learned


@pytest.mark.parametrize(
    "mistake, complaint",
    [
        (lambda labels: labels.fill_(-100), "no token of the row is in the loss"),
        (lambda labels: labels[0, -1].fill_(-100), "is in the loss, the answer is"),  # the end token is not learnt
        (lambda labels: labels.copy_(labels.roll(-1, 1)), "labels and tokens are shifted"),
    ],
)
def test_a_wrong_loss_mask_is_found(tokenizer, mistake, complaint):
    (encoded,) = data.encode(tokenizer, rows(1))
    batch = data.collate([encoded], tokenizer.pad_token_id)
    mistake(batch["labels"])
    with pytest.raises(GateError, match=complaint):
        gates.loss_mask(tokenizer, rows(1)[0], batch)


def test_a_mask_against_the_templates_own_marks_is_found(tokenizer):
    odd = copy.copy(tokenizer)
    # Marks that leave out the end token: the usual mistake of hand-made templates.
    odd.chat_template = specialists.MARKED.replace(
        '{% if message.role == "assistant" %}<|end|>{% endif %}{%- endmacro', "{%- endmacro"
    ).replace("{% endgeneration %}", "{% endgeneration %}<|end|>")
    assert odd.chat_template.count("<|end|>") == 1
    with pytest.raises(GateError, match="generation marks hold"):
        gates.loss_mask(odd, rows(1)[0])


def test_none_padding_is_found():
    assert gates.no_padding(rows(6)) == 6
    padded = [copy.deepcopy(one) for one in rows(2)]
    padded[1]["tools"][0]["function"]["parameters"]["properties"]["city"] = None
    with pytest.raises(GateError, match=r"row 1, tools\[0\].parameters.properties.city is None"):
        gates.no_padding(padded)
    for arguments in ('{"city": "Oslo", "hour": null}', {"city": "Oslo", "note": None}):
        one = row("x", call("get_weather", city="Oslo"))
        one["messages"][-1]["tool_calls"][0]["function"]["arguments"] = arguments
        with pytest.raises(GateError, match=r"row 0, get_weather\((hour|note)=None\), which its schema forbids"):
            gates.no_padding([one])


def test_a_null_that_the_schema_allows_is_no_padding():
    tools = copy.deepcopy(TOOLS)
    properties = tools[0]["function"]["parameters"]["properties"]
    properties["note"] = {"type": ["string", "null"], "default": None, "enum": ["a", None]}
    assert gates.no_padding([row("x", call("set_alarm", hour=1, note=None), tools)]) == 1


def test_arrow_pads_and_the_gate_sees_it():
    from datasets import Dataset

    plain = [
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "no"}], "tools": [tool]}
        for tool in (
            {"function": {"name": "a", "parameters": {"properties": {"city": {"type": "string"}}}}},
            {"function": {"name": "b", "parameters": {"properties": {"hour": {"type": "integer"}}}}},
        )
    ]
    assert gates.no_padding(plain) == 2
    with pytest.raises(GateError, match="is None"):
        gates.no_padding(list(Dataset.from_list(plain)))


def test_another_prompt_when_served_is_found(base):
    model = models.load(base)
    assert gates.same_prompt(model, rows(6)) == 6
    model.tokenizer = copy.copy(model.tokenizer)
    served = models.load(base)
    original = served.render
    served.render = lambda messages, tools=None, schema=None: original(messages, tools[::-1], schema)
    with pytest.raises(GateError, match=r"row 0 differs at character \d+: 'set_alarm.* in training, 'get_weather"):
        gates.same_prompt(served, rows(1))
    served.render = lambda messages, tools=None, schema=None: original(messages, tools, schema) + "\n"
    with pytest.raises(GateError, match="row 0 differs at character"):
        gates.same_prompt(served, rows(1))


def test_an_adapter_that_is_not_active_is_found(base, tuned, tmp_path):
    found = gates.adapter_active(base, tuned.reference, rows(3))
    assert found["logit_change"] > 0.01 and found["weights_hash"] == tuned.card["weights_hash"]
    with pytest.raises(GateError, match="not active"):
        gates.adapter_active(base, base, rows(3))
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in tuned.adapter.iterdir():
        (empty / path.name).write_bytes(path.read_bytes())
    stored = load_file(empty / "adapter_model.safetensors")
    save_file({name: tensor * 0 for name, tensor in stored.items()}, empty / "adapter_model.safetensors")
    with pytest.raises(GateError, match="not active"):
        gates.adapter_active(base, f"{base}+{empty}", rows(3))
    save_file({name: tensor * 2 for name, tensor in stored.items()}, empty / "adapter_model.safetensors")
    with pytest.raises(GateError, match="its card names other ones"):
        gates.adapter_active(base, f"{base}+{empty}", rows(3))


def test_a_merge_that_changed_the_model_is_found(base, tuned, tmp_path):
    merged = models.load(tuned.reference)
    merged.model.save_pretrained(tmp_path)
    merged.tokenizer.save_pretrained(tmp_path)
    assert gates.merged_equals(tuned.reference, tmp_path, rows(3)) < 1e-3
    with pytest.raises(GateError, match=r"differs from .* by \S+ in a logit, tolerance 2e-03"):
        gates.merged_equals(tuned.reference, base, rows(3))  # the adapter was left out
    merged.model.to(torch.bfloat16).save_pretrained(tmp_path)
    with pytest.raises(GateError, match="merge"):
        gates.merged_equals(tuned.reference, tmp_path, rows(3), tolerance=1e-6)


def with_tool(name: str, **parameters: str) -> list[dict]:
    properties = {argument: {"type": kind} for argument, kind in parameters.items()}
    return [{"type": "function", "function": {"name": name, "parameters": {"properties": properties}}}]


def test_contamination_is_found_by_text_phrasing_tool_and_schema():
    train = [
        row("Set an alarm for 7, please!", call("set_alarm", hour=7)),
        row("Dim it", "no", with_tool("dim", a="string")),
    ]
    clean = {"new": [row("Play jazz", "no", with_tool("play", b="string"))]}
    table = gates.contamination(train, clean)
    assert table["kind"].tolist() == ["text", "tool name", "schema"] and table["n_in_training"].sum() == 0
    with pytest.raises(
        GateError, match=r"1 of 1 items of 'test' share their text with training, e.g. 'set an alarm for 7"
    ):
        gates.contamination(train, {"test": [row("set an ALARM for 7 please", "no")]}, same_tools=["test"])
    with pytest.raises(GateError, match="share their tool name"):
        gates.contamination(train, {"new": [row("Play jazz", "no", with_tool("Set-Alarm", b="string"))]})
    renamed = copy.deepcopy(TOOLS[:1])
    renamed[0]["function"]["name"] = "wake"
    with pytest.raises(GateError, match="share their schema"):
        gates.contamination(train, {"new": [row("Wake me", "no", renamed)]})
    other_value = {"test": [row("Set an alarm for 9 please", call("set_alarm", hour=9))]}
    assert gates.contamination(train, other_value, same_tools=["test"])["n_in_training"].sum() == 0
    with pytest.raises(GateError, match=r"share their phrasing with training, e.g. 'set an alarm for #"):
        gates.contamination(train, other_value, same_tools=["test"], new_phrasings=["test"])


def test_a_phrasing_is_a_request_without_its_values():
    one = row("Weather in New York, York or 10?", call("get_weather", city="New York", note="York"))
    assert phrasing(one) == "weather in # # or 10"


def test_drift_beyond_the_limit_is_found():
    before = np.repeat([True, False], [80, 20])
    worse = before.copy()
    worse[:2] = False
    found = gates.drift(before, worse, limit=0.03)
    assert found.difference == pytest.approx(-0.02) and found.margin == 0.03
    worse[:5] = False
    with pytest.raises(GateError, match=r"5\.0 points of general skill are lost .* n = 100\), limit 3\.0; mix in"):
        gates.drift(before, worse, limit=0.03)
    with pytest.raises(InputError):
        gates.drift(before, worse[:50])
