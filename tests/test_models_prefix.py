"""Shared beginnings of prompts: worked out once, with the same answers; and what a batch is worth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from folders import write_model
from test_models_local import gap

from slmkit import models
from slmkit.models import Request
from slmkit.models.decoding import Generated, Prompt, generate
from slmkit.models.local import LocalModel
from slmkit.models.prefix import BATCH, SHORTEST, Prefixes, common, groups, shareable

CITIES = ["Oslo", "Paris", "Rome", "Cairo", "Lima", "Quito", "Delhi", "Tokyo", "Perth", "Berlin", "Graz", "Bern"]
SYSTEM = {"role": "system", "content": "Set the alarm, book the table, and say what the weather in Oslo is. " * 3}


def tool(number: int) -> dict:
    names = ["set_alarm", "get_weather", "book_table"]
    properties = {
        name: {"type": "string", "description": f"the {name}"} for name in ("city", "label", "notes")[number % 4 :]
    }
    function = {"name": f"{names[number % 3]}_{number}", "description": "Book a table by the window in Oslo at the sea"}
    return {"type": "function", "function": {**function, "parameters": {"type": "object", "properties": properties}}}


def asked(count: int, shared: bool, tools: int = 6) -> list[Request]:
    """Requests over the same tools after the same system message, or each over tools of its own."""
    found = []
    for number in range(count):
        some = range(tools) if shared else range(number, number + 1 + number % 5)
        text = f"Set an alarm for {number % 12}:30 in {CITIES[number % 12]}" + " and book a table" * (number % 4)
        found.append(Request([*[SYSTEM] * shared, {"role": "user", "content": text}], [tool(n % 30) for n in some]))
    return found


def prompts_of(model: LocalModel, requests: Sequence[Request], limit: int = 16) -> list[Prompt]:
    return [model._prompt(request, models.Sampling(max_tokens=limit)) for request in requests]


def alone(model: LocalModel, prompts: Sequence[Prompt]) -> list[Generated]:
    return [generate(model.model, [prompt], ends=model.ends, pad=model._pad())[0] for prompt in prompts]


def differences(
    model: LocalModel, prompts: Sequence[Prompt], one: Sequence[Generated], other: Sequence[Generated]
) -> int:
    """How many outputs differ; each must do so at a near tie, and the others agree in log-probability."""
    found = 0
    for prompt, first, second in zip(prompts, one, other, strict=True):
        if first.ids == second.ids:
            assert first.logprob == pytest.approx(second.logprob, abs=1e-3)
            continue
        same = next(n for n, pair in enumerate(zip(first.ids, second.ids, strict=False)) if pair[0] != pair[1])
        assert gap(model, prompt, first.ids[:same]) < 1e-3
        found += 1
    return found


@pytest.mark.parametrize("architecture", ["lfm2", "llama"])
@pytest.mark.parametrize("count", [14, pytest.param(200, marks=pytest.mark.full)])
def test_a_shared_beginning_changes_no_answer(tmp_path: Path, architecture: str, count: int) -> None:
    model = models.load(str(write_model(tmp_path, architecture)), device="cpu", dtype="float32")
    assert shareable(model.model)
    prompts = prompts_of(model, asked(count, shared=True))
    shared = min(common(prompts[0].ids, prompt.ids) for prompt in prompts)
    assert shared > 100
    plain = alone(model, prompts)
    prefixes = Prefixes()
    for size in (shared, shared - 7):
        with_prefix = generate(model.model, prompts, ends=model.ends, pad=model._pad(), prefixes=prefixes, shared=size)
        assert differences(model, prompts, plain, with_prefix) <= 0.005 * count
        assert all(0 < output.cached <= shared for output in with_prefix)
    # One prompt after the other: what the last one left is taken, and no more of it than is shared.
    one_by_one = [
        generate(model.model, [prompt], ends=model.ends, pad=model._pad(), prefixes=prefixes)[0] for prompt in prompts
    ]
    assert differences(model, prompts, plain, one_by_one) <= 0.005 * count
    assert all(output.cached >= shared - 7 for output in one_by_one)


@pytest.mark.parametrize("architecture", ["lfm2", "llama"])
def test_rows_shorter_than_the_longest_rest(tmp_path: Path, architecture: str) -> None:
    model = models.load(str(write_model(tmp_path, architecture)), device="cpu", dtype="float32")
    ids = model.tokenizer.encode("Set an alarm for the table by the window. " * 8, add_special_tokens=False)
    prompts = [Prompt(ids[:60] + ids[5 : 5 + rest], 8) for rest in (1, 2, 30, 80)]
    found = generate(model.model, prompts, ends=model.ends, pad=model._pad(), prefixes=Prefixes(), shared=60)
    assert differences(model, prompts, alone(model, prompts), found) == 0
    assert [output.cached for output in found] == [0, 0, 10, 60]


def test_a_conversation_goes_on_from_where_it_was(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    talk = [SYSTEM, {"role": "user", "content": "Set an alarm"}]
    first = model.chat(talk, [tool(1)], max_tokens=4)
    talk += [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "And book a table"}]
    second = model.chat(talk, [tool(1)], max_tokens=4)
    assert first.usage.cached == 0
    assert first.usage.prompt - 3 <= second.usage.cached < second.usage.prompt
    fresh = models.load(str(tmp_path), device="cpu").chat(talk, [tool(1)], max_tokens=4)
    assert (fresh.content, fresh.usage.cached) == (second.content, 0)
    assert model.chat([{"role": "user", "content": "hi"}], max_tokens=4).usage.cached == 0
    assert len(model.prefixes.kept) == 1  # the second took the place of the first, and went on from it


def test_a_batch_says_how_much_it_did_not_run_over(tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    requests = asked(10, shared=True)
    plain = [
        reply.content for reply in models.load(str(tmp_path), device="cpu").chat_many(requests[::-1], max_tokens=5)
    ]
    for _ in range(2):  # the second time what is shared is there already
        replies = model.chat_many(requests, max_tokens=5)
        assert [reply.content for reply in replies] == plain[::-1]
        assert all(reply.usage.cached > 0.5 * reply.usage.prompt for reply in replies)
    assert all(reply.usage.cached == 0 for reply in model.chat_many(asked(10, shared=False), max_tokens=5))


def test_models_that_keep_more_than_tokens_share_nothing() -> None:
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, MambaConfig, MambaForCausalLM

    small = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    assert not shareable(Gemma3ForCausalLM(Gemma3TextConfig(**small, **heads, sliding_window=8)))
    assert not shareable(MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2)))


def test_prompts_are_grouped_where_it_pays() -> None:
    beginnings = [[base] * 300 for base in (1, 2)]
    many = [beginnings[n % 2] + [10 + n] * (1 + n % 3) for n in range(60)]
    assert {(shared, len(members)) for shared, members in groups(many)} == {(300, 30)}
    lonely = [[1000 + n] * 90 for n in range(5)]
    found = groups([*many, *lonely])
    assert found[-1] == (0, [60, 61, 62, 63, 64]) and len(found) == 3
    # A few that share little get no batch of their own, unless there are no others.
    few = [[5] * 100 + [n] for n in range(4)]
    assert groups(few) == [(100, [0, 1, 2, 3])]
    assert len(groups([*few, *lonely])) == 1 and BATCH > 3 * 100
    assert groups([[5] * (SHORTEST - 1) + [n] for n in range(9)])[0][0] == 0
    assert groups([]) == []
    same = groups([[7] * 80] * 3)
    assert same == [(79, [0, 1, 2])]  # one token must be left to run over


def test_what_is_kept_stays_within_its_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = models.load(str(write_model(tmp_path)), device="cpu")
    for number in range(4):
        model.chat([{"role": "user", "content": f"{number} " * 60}], max_tokens=1)
    sizes = [prefix.bytes for prefix in model.prefixes.kept]
    assert len(sizes) == 4
    monkeypatch.setattr("slmkit.models.prefix.KEPT_BYTES", sum(sizes[:2]))
    model.chat([{"role": "user", "content": "9 " * 60}], max_tokens=1)
    assert len(model.prefixes.kept) == 2


def plain_loop(model: LocalModel, requests: Sequence[Request], max_tokens: int) -> tuple[int, float]:
    """Tokens and processor seconds of `generate` for one request after the other, as one would write it first."""
    tokens, started = 0, time.process_time()
    for request in requests:
        ids = model.tokenizer(model.render(request.messages, request.tools), return_tensors="pt").input_ids
        tokens += len(model.model.generate(ids, max_new_tokens=max_tokens, do_sample=False)[0])
    return tokens, time.process_time() - started


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("count", "times"), [(24, 2.0), pytest.param(200, 4.0, marks=pytest.mark.full)])
def test_a_batch_is_faster_than_a_loop(shared: bool, count: int, times: float) -> None:
    """Tokens a processor second, prompt and reply, no padding, on the same requests in one run."""
    model = models.load("mini-2m", device="cpu", dtype="float32")
    requests = asked(count, shared)
    # The batch stands between two halves of the loop, so that a busier minute meets both.
    before, before_s = plain_loop(model, requests[: count // 2], max_tokens=48)
    started = time.process_time()
    replies = model.chat_many(requests, max_tokens=48, progress=False)
    batch_s = time.process_time() - started
    assert len(replies) == count
    after, after_s = plain_loop(model, requests[count // 2 :], max_tokens=48)
    spent = {"loop": before_s + after_s, "batch": batch_s}
    done = {
        "loop": before + after,
        "batch": sum(reply.usage.prompt + reply.usage.completion for reply in replies),
    }
    speed = {name: done[name] / spent[name] for name in done}
    print(
        f"{count} items, shared {shared}: "
        + ", ".join(f"{name} {value:,.0f} tokens/s" for name, value in speed.items())
    )
    assert done["loop"] == done["batch"]
    assert speed["batch"] >= times * speed["loop"]


@pytest.mark.parametrize("count", [24, pytest.param(200, marks=pytest.mark.full)])
def test_a_trained_model_says_the_same_in_a_batch(count: int) -> None:
    model = models.load("mini-2m", device="cpu", dtype="float32")
    requests = [*asked(count // 2, True), *asked(count // 2, False)]
    prompts = prompts_of(model, requests, 48)
    plain = alone(model, prompts)
    together: dict[int, Generated] = {}
    for shared, members in groups([prompt.ids for prompt in prompts]):
        some = [prompts[member] for member in members]
        made = generate(model.model, some, ends=model.ends, pad=model._pad(), prefixes=Prefixes(), shared=shared)
        together |= zip(members, made, strict=True)
    found = differences(model, prompts, plain, [together[place] for place in range(count)])
    print(f"{found} of {count} differ, each at a near tie")
    assert found <= 0.005 * count
    with torch.inference_mode():
        assert model.model.dtype == torch.float32
