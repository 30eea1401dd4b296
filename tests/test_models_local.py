"""A model in process, loaded from a folder on disk the way a user's is."""

from __future__ import annotations

import json
import shutil
import time
from itertools import chain, pairwise
from pathlib import Path

import pytest
import torch
from folders import TEMPLATE, write_model
from servers import unused_port

from slmkit import models
from slmkit.errors import InputError
from slmkit.models import Request
from slmkit.models.decoding import Generated, Prompt, batches, generate
from slmkit.models.local import LocalModel
from slmkit.models.messages import for_template

TOOL = {
    "type": "function",
    "function": {
        "name": "set_alarm",
        "description": "Set an alarm",
        "parameters": {"type": "object", "properties": {"hour": {"type": "integer"}}, "required": ["hour"]},
    },
}
TEXT = "set an alarm for seven thirty please and book the table by the window in Oslo tomorrow"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("lfm2"))


@pytest.fixture(scope="module")
def model(folder: Path) -> LocalModel:
    return models.load(str(folder), device="cpu")


def requests(count: int) -> list[Request]:
    """Conversations of many lengths."""
    words = TEXT.split()
    texts = [" ".join(words[index % 5 :][: 2 + index % 11] * (1 + index % 4)) for index in range(count)]
    return [Request([{"role": "user", "content": text}], [TOOL] * (i % 3)) for i, text in enumerate(texts)]


def gap(model: LocalModel, prompt: Prompt, ids: list[int]) -> float:
    """How much likelier the likeliest next token is than the second, after `ids`."""
    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([prompt.ids + ids])).logits[0, -1]
    best = logits.log_softmax(-1).topk(2).values
    return float(best[0] - best[1])


@pytest.mark.parametrize("architecture", ["lfm2", "llama"])
@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.full)])
def test_a_batch_says_what_one_at_a_time_says(tmp_path: Path, architecture: str, count: int) -> None:
    model = models.load(str(write_model(tmp_path, architecture)), device="cpu")
    prompts = [model._prompt(request, models.Sampling(max_tokens=16)) for request in requests(count)]
    together: dict[int, Generated] = {}
    for batch in batches([len(prompt.ids) for prompt in prompts], budget_tokens=2_048, max_rows=16):
        rows = [prompts[index] for index in batch]
        together |= zip(batch, generate(model.model, rows, ends=model.ends, pad=model._pad()), strict=True)
    for index, prompt in enumerate(prompts):
        one, many = generate(model.model, [prompt], ends=model.ends, pad=model._pad())[0], together[index]
        if one.ids != many.ids:  # allowed at a near tie only
            same = next(n for n, pair in enumerate(zip(one.ids, many.ids, strict=False)) if pair[0] != pair[1])
            assert gap(model, prompt, one.ids[:same]) < 1e-3
        else:
            assert one.logprob == pytest.approx(many.logprob, abs=1e-3)
    assert len({tuple(output.ids) for output in together.values()}) > count // 4


def test_own_decoding_agrees_with_transformers(model: LocalModel) -> None:
    prompts = [model._prompt(request, models.Sampling(max_tokens=20)) for request in requests(6)]
    ours = generate(model.model, prompts, ends=model.ends, pad=model._pad())
    for prompt, output in zip(prompts, ours, strict=True):
        theirs = model.model.generate(torch.tensor([prompt.ids]), max_new_tokens=20, do_sample=False)
        assert output.ids == theirs[0, len(prompt.ids) :].tolist()


def test_logprob_is_that_of_the_tokens_said(model: LocalModel) -> None:
    prompt = model._prompt(requests(3)[2], models.Sampling(max_tokens=10))
    output = generate(model.model, [prompt], ends=model.ends, pad=model._pad())[0]
    ids = torch.tensor([prompt.ids + output.ids])
    with torch.inference_mode():
        logprobs = model.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    expected = logprobs.gather(1, ids[0, 1:, None])[len(prompt.ids) - 1 :].sum()
    assert output.logprob == pytest.approx(float(expected), abs=1e-3)


def test_rows_that_end_leave_the_batch(model: LocalModel) -> None:
    prompts = [model._prompt(request, models.Sampling(max_tokens=40)) for request in requests(8)]
    free = generate(model.model, prompts, ends=frozenset(), pad=model._pad())
    for row, prompt in enumerate(prompts):
        prompt.limit = 1 + 5 * row
    short = generate(model.model, prompts, ends=frozenset(), pad=model._pad())
    assert [output.ids for output in short] == [free[row].ids[: 1 + 5 * row] for row in range(8)]
    assert all(first.latency_s <= second.latency_s for first, second in pairwise(short))


def test_sampling_follows_its_seed_and_not_its_batch(model: LocalModel) -> None:
    asked = requests(6)
    options = {"temperature": 1.0, "top_p": 0.9, "top_k": 50, "max_tokens": 12}
    first = model.chat_many(asked, seed=1, **options)
    assert [r.content for r in model.chat_many(asked[::-1], seed=1, **options)][::-1] == [r.content for r in first]
    assert [r.content for r in model.chat_many(asked, seed=2, **options)] != [r.content for r in first]
    # With one token to choose from, sampling is greedy.
    greedy = model.chat_many(asked, max_tokens=12)
    assert [r.content for r in model.chat_many(asked, temperature=1.0, top_k=1, max_tokens=12)] == [
        r.content for r in greedy
    ]


def test_times_usage_and_finish(model: LocalModel) -> None:
    reply = model.chat(requests(1)[0].messages, max_tokens=5)
    assert 0 < reply.ttft_s < reply.latency_s
    assert reply.usage.prompt > 0
    assert (reply.usage.completion, reply.finish_reason) == (5, "length")
    assert reply.model == model.ref


def test_stop_text_ends_a_reply(model: LocalModel) -> None:
    said = model.chat(requests(1)[0].messages, max_tokens=30).content
    stop = said[4:7]
    reply = model.chat(requests(1)[0].messages, max_tokens=30, stop=stop)
    assert reply.content == said.partition(stop)[0].strip()
    assert (reply.finish_reason, reply.usage.completion < 30) == ("stop", True)


def test_context_overflow_fails_that_item_alone(model: LocalModel) -> None:
    long = Request([{"role": "user", "content": "seven " * 3_000}])
    replies = model.chat_many([*requests(2), long, *requests(1)], max_tokens=3)
    assert [reply.error is None for reply in replies] == [True, True, False, True]
    assert replies[2].error.startswith("context overflow: ") and replies[2].error.endswith(" tokens > 1,024")
    assert replies[2].usage.prompt > 1_024


def test_a_reply_never_leaves_the_context(folder: Path) -> None:
    model = models.load(str(folder), device="cpu")
    prompt = model._prompt(requests(1)[0], models.Sampling())
    model.context = len(prompt.ids) + 4
    reply = model.chat(requests(1)[0].messages)
    assert reply.usage.completion <= 4


def test_a_batch_that_does_not_fit_the_memory_is_halved(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.load(str(folder), device="cpu")
    expected = model.chat_many(requests(5), max_tokens=3)

    def small(model: object, prompts: list[Prompt], **options: object) -> list[Generated]:
        if len(prompts) > 2 or len(prompts[0].ids) > 100:
            raise torch.OutOfMemoryError
        return generate(model, prompts, **options)

    monkeypatch.setattr("slmkit.models.local.generate", small)
    long = Request([{"role": "user", "content": "seven " * 100}])
    replies = model.chat_many([*requests(5), long], max_tokens=3)
    assert [reply.content for reply in replies[:5]] == [reply.content for reply in expected]
    assert replies[5].error.startswith("out of memory at ")


def test_a_turn_that_the_template_refuses_fails_that_item_alone(tmp_path: Path) -> None:
    template = "{%- if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}" + TEMPLATE
    model = models.load(str(write_model(tmp_path, template=template)), device="cpu")
    asked = [Request([{"role": "user", "content": text}]) for text in ("no", "yes")]
    replies = model.chat_many(asked, max_tokens=2)
    assert replies[0].error == "chat template: not this"
    assert replies[1].error is None


def test_arguments_become_a_mapping_for_the_template(model: LocalModel) -> None:
    def turn(arguments: object) -> list[dict]:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
        return [{"role": "assistant", "content": None, "tool_calls": [call]}]

    assert for_template(turn('{"a": 1}')) == for_template(turn({"a": 1}))
    assert for_template(turn('{"a": '))[0]["tool_calls"][0]["function"]["arguments"] == '{"a": '
    assert '<|call|>{"name": "f", "arguments": {"a": 1}}<|end|>' in model.render(turn('{"a": 1}'))


def test_a_template_without_tools_gets_them_as_text(tmp_path: Path) -> None:
    template = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
    model = models.load(str(write_model(tmp_path, template=template)), device="cpu")
    text = model.render([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}], [TOOL])
    assert text.startswith("[system] Be kind.\n\n") and text.endswith("\n[user] hi\n")
    assert json.dumps(TOOL["function"]) in text
    assert model.render([{"role": "user", "content": "hi"}]) == "[user] hi\n"


def test_batches_are_few_shapes_within_the_budget() -> None:
    lengths = [5, 900, 70, 64, 65, 3_000, 1]
    found = list(batches(lengths, budget_tokens=1_024, max_rows=3))
    assert sorted(chain(*found)) == list(range(7))
    assert found[0] == [5]  # too long for the budget, so alone
    for batch in found:
        longest = -(-max(lengths[index] for index in batch) // 64) * 64
        assert len(batch) == 1 or (len(batch) <= 3 and len(batch) * longest <= 1_024)


def test_adapter_changes_the_answers(folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    plain = models.load(str(folder), device="cpu")
    model = models.load(f"{folder}+{tmp_path / 'adapter'}", device="cpu")
    assert model.fingerprint != plain.fingerprint
    assert [r.content for r in model.chat_many(requests(4), max_tokens=8)] != [
        r.content for r in plain.chat_many(requests(4), max_tokens=8)
    ]
    other = write_model(tmp_path / "wider", hidden_size=64)
    with pytest.raises(InputError, match="does not fit the model"):
        models.load(f"{other}+{tmp_path / 'adapter'}", device="cpu")
    with pytest.raises(InputError, match=r"is an adapter; name it with its model as MODEL\+"):
        models.load(str(tmp_path / "adapter"))


def test_fingerprint_follows_the_weights(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    same, other = models.load(str(folder)), models.load(str(copied))
    assert same.fingerprint == other.fingerprint != models.load(str(folder), dtype="bfloat16").fingerprint
    weights = copied / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert models.load(str(copied)).fingerprint != same.fingerprint


def broken(folder: Path, tmp_path: Path, what: str) -> str:
    """A copy of the folder with one thing wrong."""
    copied = Path(shutil.copytree(folder, tmp_path / "model"))
    if what == "no config":
        (copied / "config.json").unlink()
    elif what == "no weights":
        (copied / "model.safetensors").unlink()
    elif what == "torn weights":
        (copied / "model.safetensors").write_bytes((copied / "model.safetensors").read_bytes()[:1_000])
    elif what == "broken config":
        (copied / "config.json").write_text("{")
    elif what == "unknown architecture":
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps({**config, "model_type": "none_such"}))
    elif what == "no tokenizer":
        for path in copied.glob("tokenizer*"):
            path.unlink()
    elif what == "no template":
        (copied / "chat_template.jinja").unlink()
    return str(copied)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no config", "is not a model folder: it has no config.json"),
        ("no weights", "the model cannot be read"),
        ("torn weights", "the model cannot be read"),
        ("broken config", "cannot be read"),
        ("unknown architecture", "cannot be read"),
        ("no tokenizer", "tokenizer"),
        ("no template", "the tokenizer has no chat template"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(folder: Path, tmp_path: Path, what: str, said: str) -> None:
    name = broken(folder, tmp_path, what)
    with pytest.raises(InputError) as caught:
        models.load(name)
    message = str(caught.value)
    assert said in message and name in message
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cuda"}, "device 'cuda' asked for"),
        ({"device": "cudda"}, "did you mean 'cuda'"),
        ({"dtype": "bfloat"}, "did you mean 'bfloat16'"),
        ({"load_in_4bit": True, "device": "cpu"}, "load_in_4bit needs a CUDA device"),
    ],
)
def test_what_this_machine_cannot_do_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=said):
        models.load(str(folder), **options)


@pytest.mark.parametrize("how", ["refused", "offline"])
def test_a_hub_that_cannot_be_reached_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", how == "offline")
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused_port()}")
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        models.load("nobody/nothing-1b@main", device="cpu")
    assert time.perf_counter() - started < 15
    message = str(caught.value)
    assert "the hub cannot be reached" in message and "hf download nobody/nothing-1b" in message
    assert "\n" not in message


def test_a_cached_hub_model_needs_no_hub(monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path) -> None:
    from huggingface_hub import constants

    home = tmp_path / "models--nobody--cached"
    shutil.copytree(folder, home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused_port()}")
    model = models.load("nobody/cached", device="cpu")
    assert model.fingerprint.startswith("nobody/cached@abc")
    assert model.chat(requests(1)[0].messages, max_tokens=2).error is None
