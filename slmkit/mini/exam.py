"""Scores of a mini model on the evaluation sets: greedy, free, exact match of name and all arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.mini import corpus
from slmkit.mini.tokenizer import CALL, EOS, PAD
from slmkit.stats import wilson

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Item = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a model answered: the raw text and the calls in it (None where one of them is not JSON)."""

    text: str
    calls: list[dict[str, Any]] | None


def answer(text: str) -> Answer:
    """The calls in a decoded answer; plain text has none."""
    text = text.replace(PAD, "").split(EOS)[0]
    calls = []
    for part in text.split(CALL)[1:]:
        try:
            call = json.loads(part)
        except json.JSONDecodeError:
            return Answer(text, None)
        if not isinstance(call, dict) or not isinstance(call.get("arguments"), dict):
            return Answer(text, None)
        calls.append({"name": call.get("name"), "arguments": call["arguments"]})
    return Answer(text, calls)


def correct(item: Item, given: Answer) -> bool:
    """Exact match of the calls, whatever their order; no call where none is wanted."""
    return given.calls is not None and _sorted(given.calls) == _sorted(item["calls"])


def _sorted(calls: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(calls, key=lambda call: json.dumps(call, sort_keys=True, default=str))


def named(item: Item, given: Answer) -> bool:
    """Whether the right tools were named, arguments aside."""
    return given.calls is not None and sorted(str(call["name"]) for call in given.calls) == sorted(
        call["name"] for call in item["calls"]
    )


def load(folder: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Model (float32, evaluation mode) and tokenizer of a folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(
        folder
    )


def answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    items: Sequence[Item],
    batch: int = 50,
    longest: int = 160,
) -> list[Answer]:
    """Greedy answers to the items, in their order; batched by length of prompt."""
    import torch

    prompts = [
        tokenizer.apply_chat_template(
            item["messages"], tools=item["tools"] or None, tokenize=False, add_generation_prompt=True
        )
        for item in items
    ]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    given: dict[int, Answer] = {}
    with torch.inference_mode():
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            inputs = tokenizer(
                [prompts[index] for index in some],
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            )
            inputs.pop("token_type_ids", None)
            out = model.generate(**inputs, max_new_tokens=longest, do_sample=False, pad_token_id=tokenizer.pad_token_id)
            for index, ids in zip(some, out[:, inputs["input_ids"].shape[1] :], strict=True):
                given[index] = answer(tokenizer.decode(ids))
    return [given[index] for index in range(len(items))]


def exam(folder: str | Path, sets: Iterable[str] | None = None, n: int = 200, seed: int = 0) -> list[dict[str, Any]]:
    """One row a set, as fractions: exact match with Wilson interval, right name, valid JSON, call made."""
    model, tokenizer = load(folder)
    rows = []
    for name in sets or corpus.evaluation_names():
        items = corpus.evaluation_set(name, n, seed)
        given = answers(model, tokenizer, items)
        right = sum(correct(item, one) for item, one in zip(items, given, strict=True))
        low, high = wilson(right, n)
        rows.append(
            {
                "set": name,
                "n": n,
                "exact_match": right / n,
                "low": low,
                "high": high,
                "right_name": sum(named(item, one) for item, one in zip(items, given, strict=True)) / n,
                "valid_json": sum(one.calls is not None for one in given) / n,
                "made_a_call": sum(one.calls != [] for one in given) / n,
            }
        )
    return rows
