"""Tokenizer, template, pre-training and the committed weights of the mini models."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest
import torch

from slmkit import models
from slmkit.config import resource
from slmkit.errors import InputError
from slmkit.mini import card, corpus, exam, grow, muon, pretrain, threshold, tokenizer
from slmkit.mini.batches import Stream, Weights, answers
from slmkit.mini.recipe import SIZES, Size, config
from slmkit.models.base import Request
from slmkit.models.parsing import parse
from slmkit.records import Reply

# Parameters, and the least share right of 60 items of a set.
MODELS = {"mini-1m": (1_000_000, "procedural", 0.08), "mini-2m": (2_166_000, "core_said", 0.65)}
TINY = pretrain.Recipe(batch_tokens=512, longest=512, chunk=48, easy=0.3)


@pytest.fixture(scope="module")
def tok():
    return tokenizer.train(tokenizer.plain_text(made) for made in islice(corpus.stream(0), 150))


def conversations(n, seed="template"):
    return list(islice(corpus.stream(seed), n))


def test_special_tokens_and_size(tok):
    assert len(tok) == tokenizer.VOCABULARY
    assert tok.bos_token == "<|begin|>" and tok.eos_token == "<|end|>" and tok.pad_token == "<|pad|>"
    assert len({tok.convert_tokens_to_ids(token) for token in tokenizer.SPECIAL}) == len(tokenizer.SPECIAL)
    assert tok("hello", add_special_tokens=True)["input_ids"] == tok("hello", add_special_tokens=False)["input_ids"]


def test_text_survives_tokenization(tok):
    for text in (
        '{"a": ["x", 1.5]}',
        "Ünïcode 東京 😀",
        "a  b\n\tc",
        '"quoted", and 12,5',
        "camelCaseName_x.y",
    ):
        assert tok.decode(tok(text, add_special_tokens=False)["input_ids"]) == text


@pytest.mark.parametrize(
    "value", ["Paris", "New York", "2031-07-19", "kai@mead.org", "x4g77", "TopHits_9", "data/pine.csv"]
)
def test_a_value_has_the_same_tokens_in_a_request_and_in_a_call(tok, value):
    said = tok.tokenize(f"in {value} now")
    called = tok.tokenize(f"find<|call|>{json.dumps({'place': value})}")
    alone = tok.tokenize(value)
    for tokens in (said, called):
        assert any(tokens[i : i + len(alone)] == alone for i in range(len(tokens)))


def test_the_mask_of_the_generation_marks_is_what_the_assistant_says(tok):
    marks = tok.convert_tokens_to_ids(["<|assistant|>", "<|call|>", "<|end|>"])
    for made in conversations(40):
        out = tok.apply_chat_template(
            made["messages"], tools=made["tools"], return_dict=True, return_assistant_tokens_mask=True
        )
        ids = np.array([out["input_ids"]])
        spoken, first, calling = answers(ids, *marks)
        assert out["assistant_masks"] == spoken[0].astype(int).tolist()
        wanted = [m for m in made["messages"] if m["role"] == "assistant"]
        assert first.sum() == len(wanted)
        assert (first & calling).sum() == sum("tool_calls" in m for m in wanted)
        texts = tok.decode(ids[spoken]).split("<|end|>")[:-1]
        for text, message in zip(texts, wanted, strict=True):
            read = parse(text, {tool["function"]["name"] for tool in made["tools"]})
            calls = [call["function"] for call in message.get("tool_calls", [])]
            assert [{"name": call.name, "arguments": call.parsed()} for call in read.tool_calls] == calls
            assert calls or text == message["content"]


def test_string_and_mapping_arguments_render_alike(tok):
    for made in conversations(25):
        as_strings = json.loads(json.dumps(made["messages"]))
        for message in as_strings:
            for call in message.get("tool_calls", []):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
        render = [
            tok.apply_chat_template(m, tools=made["tools"], tokenize=False) for m in (made["messages"], as_strings)
        ]
        assert render[0] == render[1]


def test_template_takes_every_role_and_odd_schemas(tok):
    nested = {
        "type": "object",
        "properties": {"x": {"type": "integer"}, "y": {"type": ["string", "null"]}},
        "required": ["x"],
    }
    parameters = {
        "type": "object",
        "properties": {
            "at": nested,
            "many": {"type": "array", "items": nested},
            "any": {},
            "e": {"enum": [1, 2]},
        },
    }
    tools = [
        {"type": "function", "function": {"name": "a.b", "description": "Do it.", "parameters": parameters}},
        {"type": "function", "function": {"name": "bare"}},
    ]
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"function": {"name": "bare", "arguments": "{}"}}] * 2,
        },
        {"role": "tool", "content": "ok"},
    ]
    text = tok.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True)
    assert text == (
        "<|begin|><|tools|>a.b Do it.\n"
        "a.b({int:x, string|null:y?}:at?, {int:x, string|null:y?}[]:many?, any:any?, 1|2:e?)\n"
        "bare\nbare()\n<|system|>S<|end|><|user|>hi<|end|><|assistant|>"
        "bare<|call|>{}\nbare<|call|>{}<|end|><|tool|>ok<|end|><|assistant|>"
    )
    plain = tok.apply_chat_template(messages[:2], tokenize=False)
    assert plain == "<|begin|><|system|>S<|end|><|user|>hi<|end|>"


def test_batches_have_few_shapes_and_their_chunks_are_fixed(tok):
    def stream(seed=0):
        return Stream(tok, seed, easy=False, core=0.0, tokens=1024, longest=1024, weights=Weights(), chunk=200)

    one, two, other = stream(), stream(), stream(1)
    seen = [next(one) for _ in range(15)]
    assert all(batch.ids.shape[1] % 64 == 0 and batch.ids.size <= 1024 for batch in seen)
    assert len({batch.ids.shape for batch in seen}) <= 12
    two.cursor = [0, 10]
    assert np.array_equal(next(two).ids, seen[10].ids)
    assert any(not np.array_equal(batch.ids, next(other).ids) for batch in seen)
    first = (seen[0].calls | seen[0].texts) & (seen[0].ids != tok.pad_token_id)
    assert (seen[0].weights[first] == Weights().first).all() and first.any()


def test_muon_makes_updates_orthogonal():
    torch.manual_seed(0)
    for shape in ((3, 24, 60), (2, 60, 24), (1, 32, 32)):
        spread = torch.linalg.svdvals(muon.orthogonal(torch.randn(shape)))
        assert spread.min() > 0.3 and spread.max() < 1.4


def weights_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_killed_run_resumes_to_the_same_weights(tok, tmp_path):
    settings = {"steps": 9, "seed": 3, "recipe": TINY, "tokenizer": tok}
    whole = weights_of(pretrain.pretrain("mini-test", tmp_path / "whole", **settings))
    for _ in range(2):
        pretrain.pretrain("mini-test", tmp_path / "cut", **settings, stop_after=3)
    assert not (tmp_path / "cut" / "model").exists()
    cut = weights_of(pretrain.pretrain("mini-test", tmp_path / "cut", **settings))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    other = weights_of(pretrain.pretrain("mini-test", tmp_path / "other", **{**settings, "seed": 4, "steps": 2}))
    assert any(not torch.equal(whole[name], other[name]) for name in whole)
    with pytest.raises(InputError, match="another model, seed or recipe"):
        pretrain.pretrain("mini-test", tmp_path / "cut", **{**settings, "seed": 4})


def test_loss_falls_in_a_short_training(tok, tmp_path):
    folder = pretrain.pretrain("mini-test", tmp_path, steps=70, recipe=TINY, tokenizer=tok)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[-1]["step"] == 70
    assert rows[-1]["loss"] < 6.4 < np.log(tokenizer.VOCABULARY)
    made = models.load(str(folder))
    assert made.model.config.model_type == "lfm2" and made.tokenizer.chat_template == tokenizer.template()


def test_minutes_become_steps_and_a_card_is_written_from_the_run(tok, tmp_path):
    recipe = pretrain.changed_recipe(["batch_tokens=512", "longest=512", "chunk=48", "easy=0"])
    pretrain.pretrain("mini-test", tmp_path, minutes=0.01, recipe=recipe, tokenizer=tok)
    stage = card.stage(tmp_path)
    assert stage["steps"] == stage["of_steps"] > 40
    assert stage["recipe"]["easy"] == 0
    assert card.stage(f"{tmp_path}@{stage['steps']}") == stage
    row = {
        "n": 10,
        "exact_match": 0.5,
        "low": 0.2,
        "high": 0.8,
        "right_name": 0.9,
        "valid_json": 1.0,
        "made_a_call": 1.0,
    }
    measured = [{"set": name, "decoding": way, **row} for name in card.WHAT for way in ("free", "constrained")]
    decided = threshold.balanced_accuracy(measured)
    shipped = {"call_logprob": -0.5, "score": threshold.SCORE}
    shipped["validation"] = {"sets": {"seen": 9}, "seed": 7, "balanced_accuracy": 0.913, "auroc": 0.95}
    scores = {"model": "mini-2m", "training": [stage], "scores": measured, "call_or_no_call": decided}
    assert "No threshold is shipped." in card.text({**scores, "call_threshold": None})
    text = card.text({**scores, "call_threshold": shipped})
    assert "-0.500 or more. Fitted on 9 of `seen`" in text and "91.3%" in text
    assert "| `seen` | `no_tool` | decoding | **50.0%**" in text
    assert "# mini-2m" in text and "**50.0%** [20.0%, 80.0%]" in text and "easy start 0%" in text
    assert set(card.WHAT) == set(corpus.evaluation_names())
    with pytest.raises(InputError, match="--out"):
        card.stage(tmp_path / "nothing")


def test_a_grown_model_starts_as_the_small_one_and_then_parts_from_it(tok, tmp_path, monkeypatch):
    small = pretrain.pretrain("mini-test", tmp_path / "small", steps=3, recipe=TINY, tokenizer=tok)
    monkeypatch.setitem(SIZES, "mini-wide", Size(64, 2, 4, 128))
    narrow = models.load(str(small)).model
    wide = grow.widened(narrow, config("mini-wide", tok))
    ids = torch.arange(10, 60).view(2, 25)
    with torch.no_grad():
        assert torch.allclose(narrow(ids).logits, wide(ids).logits, atol=1e-4)
        halves = wide.model(ids).last_hidden_state.chunk(2, dim=-1)
    assert torch.allclose(*halves, atol=1e-4)
    folder = pretrain.pretrain("mini-wide", tmp_path / "wide", steps=3, recipe=TINY, start_from=small)
    trained = models.load(str(folder)).model
    with torch.no_grad():
        halves = trained.model(ids).last_hidden_state.chunk(2, dim=-1)
    assert not torch.allclose(*halves, atol=1e-3)
    monkeypatch.setitem(SIZES, "mini-odd", Size(96, 2, 4, 128))
    with pytest.raises(InputError, match="double"):
        grow.widened(narrow, config("mini-odd", tok))


@pytest.mark.parametrize("model", ["mini-2m", "mini-8m", "mini-test"])
def test_a_llama_twin_has_the_same_parameter_count(tok, model):
    from transformers import AutoModelForCausalLM

    made = [AutoModelForCausalLM.from_config(config(name, tok)) for name in (model, f"{model}-llama")]
    assert [type(one).__name__ for one in made] == ["Lfm2ForCausalLM", "LlamaForCausalLM"]
    assert abs(made[1].num_parameters() / made[0].num_parameters() - 1) < 0.03


def test_a_llama_twin_trains_on_the_same_stream_and_resumes(tok, tmp_path):
    settings = {"seed": 3, "recipe": TINY, "tokenizer": tok}
    whole = weights_of(pretrain.pretrain("mini-test-llama", tmp_path / "whole", steps=4, **settings))
    pretrain.pretrain("mini-test-llama", tmp_path / "cut", steps=4, **settings, stop_after=3)
    folder = pretrain.pretrain("mini-test-llama", tmp_path / "cut", steps=4, **settings)
    cut = weights_of(folder)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    made = models.load(str(folder))
    assert made.model.config.model_type == "llama"
    assert made.chat([{"role": "user", "content": "hi"}], max_tokens=3).error is None
    pretrain.pretrain("mini-test", tmp_path / "lfm2", steps=4, **settings)
    tokens = [
        json.loads((tmp_path / run / "log.jsonl").read_text().splitlines()[-1])["tokens"] for run in ("cut", "lfm2")
    ]
    assert tokens[0] == tokens[1]
    with pytest.raises(InputError, match="is a llama, but mini-test is a lfm2"):
        pretrain.pretrain("mini-test", tmp_path / "mixed", steps=1, **settings, start_from=folder)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="mini-2m"):
        pretrain.pretrain("mini-2n", tmp_path, steps=1)
    with pytest.raises(InputError, match="muon_lr"):
        pretrain.changed_recipe(["muon_lt=1"])
    with pytest.raises(InputError, match="not a number"):
        pretrain.changed_recipe(["muon_lr=fast"])
    with pytest.raises(InputError, match="--minutes"):
        pretrain.pretrain("mini-2m", tmp_path)


def test_scoring_of_answers():
    def reply(text):
        read = parse(text, {"f"})
        return Reply(content=read.content, tool_calls=read.tool_calls, malformed=read.malformed)

    item = {"calls": [{"name": "f", "arguments": {"x": 1}}]}
    assert exam.correct(item, reply('f<|call|>{"x": 1}'))
    for wrong in ("No tool fits.", 'f<|call|>{"x": 2}', 'f<|call|>{"x"', "f<|call|>[1]", 'g<|call|>{"x": 1}'):
        assert not exam.correct(item, reply(wrong))
    assert exam.named(item, reply('f<|call|>{"x": 2}')) and not exam.named(item, reply("f<|call|>{"))
    assert exam.correct({"calls": []}, reply("No tool fits."))
    assert exam.calls(reply("f<|call|>{")) is None and exam.calls(Reply(error="cut")) is None
    errand = {"schema": {}, "answer": {"x": 1}}
    assert exam.correct(errand, reply('{"x": 1}')) and not exam.correct(errand, reply('{"x": "1"}'))


@pytest.mark.parametrize("name", MODELS)
def test_committed_weights(name):
    folder = resource(f"data/mini/{name}")
    parameters, chosen, floor = MODELS[name]
    stored = weights_of(folder)
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    torch.set_num_threads(1)
    made = models.load(name)
    assert abs(made.model.num_parameters() / parameters - 1) < 0.1
    assert made.model.config.max_position_embeddings == 4096 and made.tokenizer.bos_token
    items = corpus.evaluation_set(chosen, 60, seed=11)
    replies = made.chat_many([Request(item["messages"], item["tools"]) for item in items], max_tokens=160)
    assert sum(map(exam.correct, items, replies)) / 60 >= floor
